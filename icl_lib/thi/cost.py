"""What THI costs at one (K, ξ, λ): questions, images described, texts merged, tokens and seconds.

All numbers are those that Algorithm 1 needs at that point, and not those of the whole trace, which
serves every point. `run` is an `icl_lib.thi.interaction.Interaction`.
"""

import numpy as np
import pandas as pd

from icl_lib.thi.algorithm1 import anchor_ranks, answers_needed
from icl_lib.thi.trace import Trace


def questions(sim_top1, trace: Trace, K: int, xi: float) -> np.ndarray:
    """The number of questions [Q] that Algorithm 1 needs for each query, at most the trace's depth.

    It is one where S(q, v̂_1) > ξ; elsewhere the questions go on to the first Yes, or to K.
    sim_top1 [Q] is S(q, v̂_1), the largest similarity of each query.
    """
    return answers_needed(np.asarray(sim_top1), trace, min(K, trace.k_max), xi)


def released_questions(sim_top1, trace: Trace, K: int, xi: float) -> np.ndarray:
    """The number of questions [Q] that the authors' released code asks.

    In each of the K rounds it asks about every query that has no anchor yet.
    """
    rank = anchor_ranks(np.asarray(sim_top1), trace, K, xi)
    return np.where(rank >= 0, rank + 1, min(K, trace.k_max))


def cost(run, point: dict, anchor: np.ndarray) -> dict:
    """The costs that summary.json reports for a split, at a point that gave `anchor` [Q].

    seconds_asking is the time of the whole trace. Evidence describes no image, and the released
    code has nothing like it.
    """
    if run.evidence is not None:
        return {
            "questions": int(run.trace.asked.sum()),
            "queries": len(run.sim),
            "seconds_asking": round(float(np.nansum(run.trace.seconds)), 2),
        }
    top1, at = run.sim.max(1), (run.trace, point["K"], point["xi"])
    return {
        "questions": int(questions(top1, *at).sum()),
        "queries": len(top1),
        "seconds_asking": round(float(np.nansum(run.trace.seconds)), 2),
        "released_questions": int(released_questions(top1, *at).sum()),
        "pictures_described": len(np.unique(anchor[anchor >= 0])),
    }


def count_tokens(run, mllm) -> dict[str, np.ndarray] | None:
    """Counts the tokens of all calls that THI makes, or returns None if the MLLM has no tokenizer.

    Returns:
        question_read [Q, K_max]: the prompt of each question (Eq. 2); its answer is one token.
        describe_read, describe_written [G]: the questions about an image and their answers (Eq.
        4); 0 for images that are no query's first Yes. merge_read, merge_written [Q]: merging the
        answers into the query (Eq. 5); 0 where nothing is merged. Written texts come from the
        MLLM's memory; an MLLM without one writes them again.
    """
    prompts, paths = mllm.prompts, run.gallery["path"].to_numpy()
    texts, candidates = run.queries["caption"].tolist(), run.trace.candidates
    asked = [prompts.ask_match(text) for text in texts for _ in range(candidates.shape[1])]
    question_read = mllm.tokens_read(asked, paths[candidates.ravel()].tolist())
    if question_read is None:
        return None
    first = run.trace.first_yes
    yes = np.flatnonzero(first >= 0)
    described = np.unique(candidates[yes, first[yes]])
    images = paths[described].tolist()
    asks = [prompts.ask_answers()] * len(images)
    merged = [q for q in yes if prompts.answers_text(run.answers[q])]
    merges = [prompts.ask_merged(run.answers[q], texts[q]) for q in merged]

    return {
        "question_read": question_read.reshape(candidates.shape),
        "describe_read": _spread(mllm.tokens_read(asks, images), len(paths), described),
        "describe_written": _spread(
            mllm.tokens_written(mllm.write(asks, images)), len(paths), described
        ),
        "merge_read": _spread(mllm.tokens_read(merges), len(texts), merged),
        "merge_written": _spread(mllm.tokens_written(mllm.write(merges)), len(texts), merged),
    }


def _spread(counts, length: int, at) -> np.ndarray:
    """An array [length] that holds `counts` at the places `at`, and 0 elsewhere."""
    out = np.zeros(length, dtype=int)
    out[at] = counts
    return out


def spent(run, K: int, xi: float, lam: float, tokens: dict | None = None) -> pd.DataFrame:
    """A table of THI's costs: in total, per query, and per point of Rank-1 gained.

    The last column is NaN where THI gains nothing. Seconds are those of the machine that asked. The
    time of describing and merging is a share of the trace's, by the number of texts merged.

    Args:
        run: the interaction.
        K: the number of rounds.
        xi: the threshold ξ.
        lam: the weight λ.
        tokens: the counts of `count_tokens`; without them, the table has no rows about tokens.
    """
    top1, trace, after = run.sim.max(1), run.trace, run.per_query(K, xi, lam)
    asked, anchor = questions(top1, trace, K, xi), after["anchor"]
    rows, pictures = np.flatnonzero(anchor >= 0), np.unique(anchor[anchor >= 0])
    was_asked = np.arange(trace.k_max) < asked[:, None]
    total = {
        "questions asked": asked.sum(),
        "questions the released code asks": released_questions(top1, trace, K, xi).sum(),
        "pictures described": len(pictures),
        "texts merged": len(rows),
    }
    if tokens is not None:
        of_tokens = {
            "tokens read, asking": tokens["question_read"][was_asked].sum(),
            "tokens read, describing": tokens["describe_read"][pictures].sum(),
            "tokens read, merging": tokens["merge_read"][rows].sum(),
            "tokens written, asking": asked.sum(),  # an answer is one token
            "tokens written, describing": tokens["describe_written"][pictures].sum(),
            "tokens written, merging": tokens["merge_written"][rows].sum(),
        }
        total |= of_tokens | {"tokens, all": sum(of_tokens.values())}
    total["seconds asking"] = np.nansum(np.where(was_asked, trace.seconds, 0))
    if run.seconds_refining is not None:
        merged = max(1, (trace.first_yes >= 0).sum())
        total["seconds describing and merging"] = run.seconds_refining * len(rows) / merged
    gain = after["rank1"].mean() - run.per_query(0, xi, lam)["rank1"].mean()
    table = pd.DataFrame({"total": pd.Series(total, dtype=float)}).rename_axis("quantity")
    table["per query"] = table["total"] / max(1, len(top1))
    table["per Rank-1 point"] = table["total"] / gain if gain > 0 else np.nan
    return table
