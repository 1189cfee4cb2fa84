"""Asks the MLLM about the candidates of each query, in rank order, until the first Yes."""

import time

import numpy as np

from icl_lib.results import progress
from icl_lib.thi.answers import Answers
from icl_lib.thi.trace import Trace


def interact(queries, candidates, mllm, k_max=10, threshold=0.5, image_paths=None, folder=None, ask="first",
             batch_size=128) -> Trace:  # fmt: skip
    """Asks in rank order whether a query's text describes the picture (Eq. 2), until its first Yes.

    queries: Q texts. candidates [Q, ≥ k_max] in rank order: gallery columns with `image_paths` [G]; or
    the pictures' paths themselves, and `replay` then takes them for the first of its own ranking. mllm:
    anything with p_yes(images, texts) → [N] in [0, 1]. k_max: questions a query at most; an array [Q]
    sets each query's own, and `where(sim.max(1) > xi, 1, K)` is all that Algorithm 1 needs at one ξ.
    ask="all" goes on behind the first Yes, for studies of P(Yes). folder: answers are appended there
    after every batch of `batch_size` and never asked for again, also not after a kill or with another
    k_max or threshold; the finished trace is saved there.
    """
    pictures, names = _pictures(candidates, image_paths)
    limit = np.broadcast_to(np.asarray(k_max, dtype=int), len(queries))
    depth = min(int(limit.max(initial=0)), pictures.shape[1])
    if len(queries) != len(pictures):
        raise ValueError(f"{len(queries)} queries but candidates for {len(pictures)}")
    if ask not in ("first", "all"):
        raise ValueError(f"ask={ask!r}: 'first' stops at the first Yes, 'all' goes on to k_max")
    answers = Answers(folder, getattr(mllm, "name", type(mllm).__name__), queries)
    p_yes = np.full((len(queries), depth), np.nan)
    seconds = p_yes.copy()
    open_ = np.ones(len(queries), dtype=bool)
    for rank in range(depth):
        asking = np.flatnonzero(open_ & (limit > rank))
        # Texts asked of one picture come one after another, so that an MLLM can reuse what it saw.
        missing = sorted((q for q in asking if (q, pictures[q, rank]) not in answers),
                         key=lambda q: (str(pictures[q, rank]), q))  # fmt: skip
        for start in progress(range(0, len(missing), batch_size), f"round {rank + 1} of {depth}"):
            batch = missing[start : start + batch_size]
            began = time.perf_counter()
            said = _asked(mllm, [pictures[q, rank] for q in batch], [queries[q] for q in batch])
            each = (time.perf_counter() - began) / len(batch)
            answers.add([(int(q), pictures[q, rank], p, each) for q, p in zip(batch, said)])
        for q in asking:
            p_yes[q, rank], seconds[q, rank] = answers[q, pictures[q, rank]]
        if ask == "first":
            open_ &= ~(p_yes[:, rank] > threshold)
    trace = Trace(names[:, :depth], p_yes, threshold, seconds)
    if folder is not None:
        trace.save(folder)
    return trace


def _pictures(candidates, image_paths) -> tuple[np.ndarray, np.ndarray]:
    """What to ask about [Q, K], and what the trace calls it: the column where known, else the path."""
    rows = (
        candidates.tolist() if hasattr(candidates, "tolist") else [list(row) for row in candidates]
    )
    shape = (len(rows), len(rows[0]) if rows else 0)
    if any(len(row) != shape[1] for row in rows):
        raise ValueError(
            "every query needs equally many candidates: cut the rows to k_max or the gallery's size"
        )
    flat = [item for row in rows for item in row]
    numbered = all(isinstance(item, (int, np.integer)) for item in flat)
    names = np.array(
        flat if numbered else [str(item) for item in flat], dtype=int if numbered else None
    )
    if image_paths is not None:
        if not numbered:
            column = {str(path): number for number, path in enumerate(image_paths)}
            names = np.array([column.get(str(item), -1) for item in flat])
        wrong = np.flatnonzero((names < 0) | (names >= len(image_paths)))
        if len(wrong):
            raise ValueError(
                f"candidate {flat[wrong[0]]} is none of the {len(image_paths)} image_paths"
            )
        flat = [image_paths[number] for number in names]
    pictures = np.empty(len(flat), dtype=object)
    for number, item in enumerate(flat):  # one by one, or NumPy would unpack pictures into pixels
        pictures[number] = item
    return pictures.reshape(shape), names.reshape(shape)


def _asked(mllm, pictures, texts) -> np.ndarray:
    """mllm.p_yes, held to its promise: N probabilities."""
    said = np.asarray(mllm.p_yes(pictures, texts), dtype=float)
    if said.shape != (len(texts),) or not ((said >= 0) & (said <= 1)).all():
        raise ValueError(
            f"p_yes must return {len(texts)} probabilities in [0, 1], got {said.shape}: {said[:5]}"
        )
    return said
