"""Tokens that THI reads and writes, by the MLLM's own tokenizer; `run` is an `icl_lib.stages.Interaction`."""

import numpy as np

from icl_lib.thi import questions

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
    found = {name: np.zeros(len(paths) if "describe" in name else Q, dtype=int) for name in TOKENS[1:]}
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


def tokens_spent(run, K: int, xi: float, anchor, counted: dict | None) -> dict[str, float]:
    """{"tokens read, …": number, "tokens written, …": …} of what Algorithm 1 needs at (K, xi), rows for `studies.costs`.

    anchor [Q]: its anchors there; counted: from `count_tokens`, None gives {}.
    """
    if counted is None:
        return {}
    asked, anchor = questions(run.sim.max(1), run.trace, K, xi), np.asarray(anchor)
    put = np.arange(run.trace.k_max) < asked[:, None]
    merged, described = anchor >= 0, np.unique(anchor[anchor >= 0])
    return {
        "tokens read, Yes/No": counted["question_read"][put].sum(),
        "tokens read, describing": counted["describe_read"][described].sum(),
        "tokens read, merging": counted["merge_read"][merged].sum(),
        "tokens written, Yes/No": asked.sum(),  # one each, read off the logits
        "tokens written, describing": counted["describe_written"][described].sum(),
        "tokens written, merging": counted["merge_written"][merged].sum(),
    }
