"""Asks the MLLM about each query's candidates: in rank order to the first Yes, or by a policy."""

import time
from functools import partial
from pathlib import Path

import numpy as np

from icl_lib.params.names import digest
from icl_lib.results import Journal
from icl_lib.thi.trace import Trace


def interact(
    queries,
    candidates,
    mllm,
    k_max=10,
    threshold=0.5,
    image_paths=None,
    folder=None,
    ask="first",
    batch_size=128,
) -> Trace:
    """Asks whether each query describes its candidates (Eq. 2), one by one, until the first Yes.

    All queries are asked their next question together.

    Args:
        queries: Q texts.
        candidates: [Q, ≥ k_max] in rank order. With `image_paths`, gallery columns. Without it, the
            images' paths themselves; `replay` then takes them for the first ones of its own
            ranking.
        mllm: any object with p_yes(images, texts) that returns N probabilities.
        k_max: the most questions about a query. An array [Q] sets it for each query: for one ξ,
            Algorithm 1 needs no more than np.where(sim.max(1) > xi, 1, K).
        threshold: an answer is Yes if P(Yes) > threshold.
        image_paths: the paths of the G gallery images.
        folder: where the answers are kept. They are written after every batch, so a killed run asks
            only what is missing, and so does a run with another k_max or threshold. The finished
            trace is saved there too.
        ask: "first" stops at the first Yes; "all" goes on to k_max, for studies of P(Yes). A
            function chooses freely: from P(Yes) [Q, K] so far, NaN where nothing was asked, it
            gives the rank [Q] to ask about next, and −1 for no more
            (see `icl_lib.thi.policies.Policy`).
        batch_size: the number of questions in one call of p_yes.

    Raises:
        ValueError: the candidates do not fit the queries or the gallery, or p_yes returns anything
            but one probability per question.
    """
    names, images = _candidates(candidates, image_paths)
    limit = np.broadcast_to(np.asarray(k_max, dtype=int), len(queries))
    depth = min(int(limit.max(initial=0)), names.shape[1])
    if len(queries) != len(names):
        raise ValueError(f"{len(queries)} queries but candidates for {len(names)}")
    if not callable(ask) and ask not in ("first", "all"):
        raise ValueError(f"ask={ask!r}: 'first' stops at the first Yes, 'all' goes on to k_max")
    # Answers of another MLLM or about other queries go into a journal of their own.
    about = digest([getattr(mllm, "name", type(mllm).__name__), list(map(str, queries))])
    journal = Journal(folder and Path(folder) / f"trace-{about}.jsonl")
    answers = np.full((len(queries), depth, 2), np.nan)  # P(Yes), seconds
    for done in range(depth):
        if callable(ask):
            ranks = np.asarray(ask(answers[..., 0]))
        else:
            decided = ask == "first" and (answers[..., 0] > threshold).any(1)
            ranks = np.where(decided, -1, np.full(len(queries), done))
        asking = np.flatnonzero((ranks >= 0) & (limit > done)).tolist()
        if not asking:
            break
        # Questions about one image come one after another, so that an MLLM can reuse what it saw.
        asking.sort(key=lambda q: str(images[q][ranks[q]]))
        inputs = {
            (q, str(images[q][rank])): (images[q][rank], queries[q])
            for q, rank in zip(asking, ranks[asking].tolist(), strict=True)
        }
        label = f"round {done + 1} of {depth}"
        answers[asking, ranks[asking]] = journal.complete(
            inputs, partial(_ask, mllm), batch_size, label
        )
    trace = Trace(names[:, :depth], answers[..., 0], threshold, answers[..., 1])
    if folder is not None:
        trace.save(folder)
    return trace


def _candidates(candidates, image_paths) -> tuple[np.ndarray, list[list]]:
    """The candidates as the trace names them [Q, K] (columns, or else paths), and their images."""
    rows = [list(row) for row in candidates]
    width = len(rows[0]) if rows else 0
    if any(len(row) != width for row in rows):
        raise ValueError(
            "every query needs equally many candidates: cut the rows to k_max or the gallery's size"
        )
    flat = [item for row in rows for item in row]
    numbered = all(isinstance(item, int | np.integer) for item in flat)
    names = np.array(flat if numbered else list(map(str, flat)), dtype=int if numbered else None)
    names = names.reshape(len(rows), width)
    if image_paths is None:
        return names, rows
    for item in flat:
        if not numbered or not 0 <= item < len(image_paths):
            raise ValueError(
                f"candidate {item} is none of the {len(image_paths)} image_paths: with "
                "image_paths, candidates are gallery columns, counted from 0"
            )
    return names, [[image_paths[column] for column in row] for row in rows]


def _ask(mllm, pairs: list[tuple]) -> list[tuple[float, float]]:
    """P(Yes) of each pair of image and text, and its equal share of the time that the call took."""
    images, texts = (list(side) for side in zip(*pairs, strict=True))
    start = time.perf_counter()
    p_yes = np.asarray(mllm.p_yes(images, texts), dtype=float)
    seconds = round((time.perf_counter() - start) / len(pairs), 6)
    if p_yes.shape != (len(texts),) or not ((p_yes >= 0) & (p_yes <= 1)).all():
        raise ValueError(
            f"p_yes must return {len(texts)} probabilities in [0, 1], "
            f"got {p_yes.shape}: {p_yes[:5]}"
        )
    return [(p, seconds) for p in p_yes.tolist()]
