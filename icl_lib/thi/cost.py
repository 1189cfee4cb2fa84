"""What THI cost at one (K, xi, lambda): questions, pictures described, texts merged, tokens, seconds.

`run` is an `icl_lib.thi.interaction.Interaction`. Every count is of what Algorithm 1 needs at that point, not of the
whole trace, which serves every point.
"""

import numpy as np
import pandas as pd

from icl_lib.thi import algorithm1
from icl_lib.thi.algorithm1 import questions, released_questions
from icl_lib.thi.interaction import Interaction

TOKENS = ("question_read", "describe_read", "describe_written", "merge_read", "merge_written")


def count_tokens(run, mllm) -> dict[str, np.ndarray] | None:
    """Tokens of THI's three kinds of call, by the MLLM's own tokenizer; None where it shows none.

    question_read [Q, K_max]: one question about each candidate (Eq. 2); its answer is one token, read off the
    logits. describe_read, describe_written [G]: the 15 questions about a picture (Eq. 4), 0 for pictures that
    are no first Yes. merge_read, merge_written [Q]: merging into the query (Eq. 5), 0 where nothing was merged.
    What was written is taken from `mllm`, which remembers it; without its memory it writes it again.
    """
    prompts, paths = mllm.prompts, run.gallery["path"].to_numpy()
    texts = run.queries["caption"].tolist()
    Q, depth = run.trace.candidates.shape
    asked = [prompts.ask_match(text) for text in texts for _ in range(depth)]
    read = mllm.tokens_read(asked, paths[run.trace.candidates.ravel()].tolist())
    if read is None:
        return None
    found = {
        name: np.zeros(len(paths) if "describe" in name else Q, dtype=int) for name in TOKENS[1:]
    }
    first = run.trace.first_yes
    chosen = np.unique(run.trace.candidates[first >= 0, first[first >= 0]])
    shown, asks = paths[chosen].tolist(), [prompts.ask_answers()] * len(chosen)
    found["describe_read"][chosen] = mllm.tokens_read(asks, shown)
    found["describe_written"][chosen] = mllm.tokens_written(mllm.write(asks, shown))
    merged = [q for q in np.flatnonzero(first >= 0) if prompts.answers_text(run.answers[q])]
    asks = [prompts.ask_merged(run.answers[q], texts[q]) for q in merged]
    found["merge_read"][merged] = mllm.tokens_read(asks)
    found["merge_written"][merged] = mllm.tokens_written(mllm.write(asks))
    return {"question_read": read.reshape(Q, depth), **found}


def spent(run, K: int, xi: float, lam: float, tokens: dict | None = None) -> pd.DataFrame:
    """One row a quantity: total, a query, and a point of Rank-1 gained (NaN where THI gains none).

    tokens: from `count_tokens`; None leaves the tokens out. Seconds are those of the machine that asked.
    Describing and merging took the share of their whole time that their number is of all.
    """
    top, trace = run.sim.max(1), run.trace
    asked, anchor = questions(top, trace, K, xi), run.per_query(K, xi, lam)["anchor"]
    rows, pictures = np.flatnonzero(anchor >= 0), np.unique(anchor[anchor >= 0])
    put = np.arange(trace.k_max) < asked[:, None]
    total = {
        "questions asked": asked.sum(),
        "questions the released code asks": released_questions(top, trace, K, xi).sum(),
        "pictures described": len(pictures),
        "texts merged": len(rows),
    }
    if tokens is not None:
        read = {
            "asking": tokens["question_read"][put].sum(),
            "describing": tokens["describe_read"][pictures].sum(),
            "merging": tokens["merge_read"][rows].sum(),
        }
        wrote = {
            "asking": asked.sum(),
            "describing": tokens["describe_written"][pictures].sum(),
            "merging": tokens["merge_written"][rows].sum(),
        }
        total |= {f"tokens read, {step}": number for step, number in read.items()}
        total |= {f"tokens written, {step}": number for step, number in wrote.items()}
        total |= {"tokens, all": sum(read.values()) + sum(wrote.values())}
    total["seconds asking"] = np.nansum(np.where(put, trace.seconds, 0))
    if run.seconds_refining is not None:
        total["seconds describing and merging"] = (
            run.seconds_refining * len(rows) / max(1, (trace.first_yes >= 0).sum())
        )
    gain = run.per_query(K, xi, lam)["rank1"].mean() - run.per_query(0, xi, lam)["rank1"].mean()
    table = pd.DataFrame({"total": pd.Series(total, dtype=float)}).rename_axis("quantity")
    table["a query"] = table["total"] / max(1, len(top))
    table["a Rank-1 point"] = table["total"] / gain if gain > 0 else np.nan
    return table


def cost(run: Interaction, point: dict, anchor: np.ndarray) -> dict:
    """What a split's THI cost at a point that gave `anchor` [Q]; seconds_asking is the whole trace's."""
    top = run.sim.max(1)
    asked, released = (
        int(count(top, run.trace, point["K"], point["xi"]).sum())
        for count in (algorithm1.questions, algorithm1.released_questions)
    )
    return {
        "questions": asked,
        "queries": len(top),
        "seconds_asking": round(float(np.nansum(run.trace.seconds)), 2),
        "released_questions": released,
        "pictures_described": len({a for a in anchor if a >= 0}),
    }
