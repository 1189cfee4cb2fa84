"""Test-time human-centred interaction: ask the MLLM along the ranking, find the anchor, re-rank.

S(q, v) is the backbone's similarity, v̂_k the k-th ranked image of a query, rank = k − 1 counts from 0.
In code: sim [Q, G] is S(q, v), sim_refined [Q, G] is S(q̂, v) with the query text enriched by what the
anchor shows.

Which candidate can become a query's anchor is its FIRST Yes in rank order, whatever K, ξ and λ are. So
one trace of answers up to the first Yes replays every setting without asking the MLLM again.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.answers import Answers
from icl_lib.results import atomic_path, progress, read_json, write_json


@dataclass(frozen=True, eq=False)
class Trace:
    """What the MLLM said about each query's candidates, in rank order.

    candidates [Q, K_max]: gallery columns (or picture paths, where no columns were known). p_yes [Q,
    K_max]: P(Yes) in [0, 1]; NaN where it was not asked. Yes means p_yes > threshold. seconds [Q, K_max]:
    the batch's time shared among its questions; NaN where it was not asked. `dataclasses.replace(trace,
    threshold=…)` re-reads the same answers; where that needs an answer that was never asked for, `replay`
    says so.
    """

    candidates: np.ndarray
    p_yes: np.ndarray
    threshold: float = 0.5
    seconds: np.ndarray = field(default=None)

    def __post_init__(self):
        arrays = {"candidates": np.array(self.candidates), "p_yes": np.array(self.p_yes, dtype=float)}
        times = np.where(np.isnan(arrays["p_yes"]), np.nan, 0.0) if self.seconds is None else self.seconds
        arrays["seconds"] = np.array(times, dtype=float)
        shapes = {name: array.shape for name, array in arrays.items()}
        if arrays["p_yes"].ndim != 2 or len(set(shapes.values())) > 1:
            raise ValueError(f"a trace wants arrays of one shape [Q, K_max], got {shapes}")
        if np.nanmin(arrays["p_yes"], initial=0) < 0 or np.nanmax(arrays["p_yes"], initial=1) > 1:
            raise ValueError("p_yes must lie in [0, 1], or be NaN where nothing was asked")
        for name, array in arrays.items():
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    @classmethod
    def from_answers(cls, yes, candidates) -> "Trace":
        """A trace of recorded answers: yes [Q, K] bool on candidates [Q, K] gallery columns."""
        yes = np.asarray(yes)
        if yes.dtype != bool and not np.isin(yes, (0, 1)).all():
            raise ValueError("from_answers wants True and False (or 1 and 0); for probabilities use Trace(…)")
        return cls(candidates, yes.astype(float))

    @property
    def k_max(self) -> int:
        return self.p_yes.shape[1]

    @property
    def first_yes(self) -> np.ndarray:
        """Rank (from 0) of each query's first Yes [Q]; -1 if there is none."""
        yes = self.p_yes > self.threshold  # NaN is no Yes
        return np.where(yes.any(1), yes.argmax(1) if self.k_max else 0, -1)

    @property
    def asked(self) -> np.ndarray:
        """Questions put to the MLLM for each query [Q]."""
        return (~np.isnan(self.p_yes)).sum(1)

    @property
    def extra(self) -> np.ndarray:
        """Of `asked`, those behind the first Yes [Q]: what `ask="all"` asked beyond Algorithm 1's need."""
        first = self.first_yes
        behind = (np.arange(self.k_max) > first[:, None]) & (first >= 0)[:, None]
        return (behind & ~np.isnan(self.p_yes)).sum(1)

    def rows(self) -> pd.DataFrame:
        """One row a question: query, rank (from 0), image, p_yes, seconds."""
        query, rank = np.nonzero(~np.isnan(self.p_yes))
        return pd.DataFrame(
            {
                "query": query,
                "rank": rank,
                "image": self.candidates[query, rank],
                "p_yes": self.p_yes[query, rank],
                "seconds": self.seconds[query, rank],
            }
        )

    def save(self, folder) -> None:
        """Writes trace.npz and, readable by eye, trace.json into `folder`."""
        with atomic_path(Path(folder) / "trace.npz") as path:
            np.savez_compressed(path, candidates=self.candidates, p_yes=self.p_yes, seconds=self.seconds)
        told = {"threshold": self.threshold, "queries": len(self.p_yes), "k_max": self.k_max}
        told |= {"questions": int(self.asked.sum()), "behind the first Yes": int(self.extra.sum())}
        told |= {"seconds": round(float(np.nansum(self.seconds)), 2)}
        write_json(Path(folder) / "trace.json", told)

    @classmethod
    def load(cls, folder) -> "Trace":
        """The trace that `save` wrote into `folder`."""
        path = Path(folder) / "trace.npz"
        if not path.is_file():
            raise FileNotFoundError(f"No finished trace in {folder}: run interact(…, folder) to the end.")
        with np.load(path, allow_pickle=False) as arrays:
            return cls(threshold=read_json(Path(folder) / "trace.json")["threshold"], **arrays)


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


def refine(
    queries, trace: Trace, mllm, image_paths=None, batch_size=128
) -> tuple[list[str], list[dict | None]]:
    """Eq. 4 and 5: (q̂ of every query, what the MLLM said of its anchor-to-be), both [Q].

    The image of a query's first Yes is described, once however many queries chose it, and merged into the
    text. Queries without a Yes keep their text and have None. image_paths [G] as in `interact`.
    """
    from icl_lib.mllm.tasks import aggregate, describe

    first, names = trace.first_yes, trace.candidates
    asked = np.flatnonzero(first >= 0).tolist()
    image = {q: names[q, first[q]] if image_paths is None else image_paths[names[q, first[q]]] for q in asked}
    seen, texts, answers = {}, list(queries), [None] * len(queries)
    distinct = sorted(set(image.values()), key=str)
    for start in progress(range(0, len(distinct), batch_size), "describing anchors"):
        batch = distinct[start : start + batch_size]
        seen |= zip(batch, describe(mllm, batch))
    for start in progress(range(0, len(asked), batch_size), "merging texts"):
        batch = asked[start : start + batch_size]
        merged = aggregate(mllm, [seen[image[q]] for q in batch], [queries[q] for q in batch])
        for q, text in zip(batch, merged):
            texts[q], answers[q] = text, seen[image[q]]
    return texts, answers


def replay(sim, sim_refined, trace: Trace, K: int, xi: float, lam: float) -> tuple[np.ndarray, np.ndarray]:
    """Algorithm 1 and Eq. 6 on recorded answers: (final similarities [Q, G], anchor [Q] column or −1).

    With S(q, v̂_1) > ξ the anchor is v̂_1 if its answer is Yes; otherwise it is v̂_k of the first Yes, 1
    < k ≤ K. Ŝ(q, v) = λ·S(q, v) + (1 − λ)·S̄(q̂, v), S̄ = 1 for the anchor and S(q̂, v) else; queries
    without anchor keep S. K ≥ 0; lam in [0, 1]; rows of sim_refined without a Yes may hold NaN. Raises
    ValueError if shapes do not fit or the trace lacks an answer that this K and ξ need.
    """
    sim, sim_refined = _matrix(sim), _matrix(sim_refined)
    if sim.shape != sim_refined.shape or len(sim) != len(trace.p_yes):
        raise ValueError(
            f"replay wants sim and sim_refined [Q, G] and a trace of Q queries, got {sim.shape}, "
            f"{sim_refined.shape} and {len(trace.p_yes)}"
        )
    top = sim.max(1, initial=-np.inf)
    rank = _anchor_rank(top, trace, K, xi)
    _refuse_unknown(top, trace, K, xi, gallery=sim.shape[1])
    anchor = np.full(len(sim), -1)
    rows = np.flatnonzero(rank >= 0)
    anchor[rows] = anchor_columns(sim, trace, rows, rank[rows])
    final = sim.copy()
    final[rows] = _rerank(sim[rows], sim_refined[rows], anchor[rows], lam)
    return final, anchor


def questions(sim_top1, trace: Trace, K: int, xi: float) -> np.ndarray:
    """Questions [Q] that Algorithm 1 needs: one where S(q, v̂_1) > ξ, else up to the first Yes, at most K.

    sim_top1 [Q] is S(q, v̂_1), the row maximum. K beyond the trace's depth counts as the depth.
    """
    first = trace.first_yes
    until = np.where(first >= 0, first + 1, trace.k_max)
    return np.minimum(np.where(np.asarray(sim_top1) > xi, 1, until), min(K, trace.k_max))


def released_questions(sim_top1, trace: Trace, K: int, xi: float) -> np.ndarray:
    """Questions [Q] that the released code asks: in each of K rounds, every query that has no anchor yet."""
    rank, rounds = _anchor_rank(np.asarray(sim_top1), trace, K, xi), min(K, trace.k_max)
    return np.where(rank >= 0, rank + 1, rounds)


def grid(sim, sim_refined, trace: Trace, query_pids, gallery_pids, Ks, xis, lams) -> pd.DataFrame:
    """Every (K, ξ, λ) replayed, one row each: metrics in percent, anchors, questions, released_questions.

    Equal to `retrieval_metrics(replay(…)[0], …)` at each point, but ranks each query only once a λ:
    whatever K and ξ, it ends with its first Yes as anchor, or with none.
    """
    from icl_lib.retrieval.metrics import NAMES, per_query_metrics  # torch-free, but not needed to ask

    sim, sim_refined, query_pids = _matrix(sim), _matrix(sim_refined), np.asarray(query_pids)
    top = sim.max(1, initial=-np.inf)
    points = [(int(K), float(xi)) for K in Ks for xi in xis]
    for K, xi in points:
        _refuse_unknown(top, trace, K, xi, gallery=sim.shape[1])
    used = np.array([_anchor_rank(top, trace, K, xi) >= 0 for K, xi in points]).reshape(len(points), len(sim))
    rows = np.flatnonzero(used.any(0))
    anchor = anchor_columns(sim, trace, rows, trace.first_yes[rows])
    plain = _stack(per_query_metrics(sim, query_pids, gallery_pids), NAMES)  # [Q, 5]
    base, table = plain.mean(0), []
    for lam in map(float, lams):
        final = _rerank(sim[rows], sim_refined[rows], anchor, lam)
        gain = _stack(per_query_metrics(final, query_pids[rows], gallery_pids), NAMES) - plain[rows]
        means = base + used[:, rows] @ gain / max(1, len(sim))  # [points, 5]
        table += [(K, xi, lam, *mean) for (K, xi), mean in zip(points, means)]
    cost = [
        (n.sum(), questions(top, trace, K, xi).sum(), released_questions(top, trace, K, xi).sum())
        for n, (K, xi) in zip(used, points)
    ]
    frame = pd.DataFrame(table, columns=["K", "xi", "lam", *NAMES])
    costs = pd.DataFrame(cost * len(lams), columns=["anchors", "questions", "released_questions"])
    return pd.concat([frame, costs.astype(int)], axis=1)


def simulated_trace(candidates, query_pids, gallery_pids, tpr: float, fpr: float, seed: int = 0) -> Trace:
    """INSTRUMENT, no model: says Yes at rate `tpr` of the right person and `fpr` of others, independently."""
    candidates = np.asarray(candidates)
    right = np.asarray(gallery_pids)[candidates] == np.asarray(query_pids)[:, None]
    yes = np.random.default_rng(seed).random(right.shape) < np.where(right, tpr, fpr)
    return Trace.from_answers(yes, candidates)


def _anchor_rank(top, trace: Trace, K: int, xi: float) -> np.ndarray:
    """Rank [Q] (from 0) of the anchor that Algorithm 1 settles on, −1 for none."""
    if int(K) != K or K < 0:
        raise ValueError(f"K={K!r} must be a whole number of rounds, 0 or more")
    first = trace.first_yes
    found = np.where(top > xi, first == 0, first > 0) & (first < K)
    return np.where(found, first, -1)


def _refuse_unknown(top, trace: Trace, K: int, xi: float, gallery: int) -> None:
    """Raises ValueError if a query lacks an answer that decides its anchor at this K and ξ."""
    first, asked = trace.first_yes, ~np.isnan(trace.p_yes)
    in_a_row = (
        np.where(asked.all(1), trace.k_max, np.argmin(asked, axis=1)) if trace.k_max else np.zeros(len(first))
    )
    # A gallery smaller than K ends the list; a trace shallower than K leaves it open.
    needed = np.where(top > xi, min(K, 1), np.where(first >= 0, np.minimum(first + 1, K), K))
    short = np.flatnonzero(in_a_row < np.minimum(needed, gallery))
    if len(short):
        raise ValueError(
            f"the trace does not say how K={K}, xi={xi} ends for {len(short)} queries (first: query "
            f"{short[0]}, asked {int(asked[short[0]].sum())} times): ask again with k_max ≥ {K}, or "
            "ask='all' if the threshold was raised afterwards"
        )


def anchor_columns(sim: np.ndarray, trace: Trace, rows: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Gallery columns of the images at `rank` in the candidates of `rows`."""
    if trace.candidates.dtype.kind in "iu":
        columns = trace.candidates[rows, rank]
        if len(columns) and not (0 <= columns.min() and columns.max() < sim.shape[1]):
            raise ValueError(f"the trace's candidates go beyond the gallery of {sim.shape[1]} images")
        return columns
    # The candidates were given as paths: they are the ranking's own first ones.
    return np.argsort(-sim[rows], axis=1, kind="stable")[np.arange(len(rows)), rank]


def _rerank(sim: np.ndarray, refined: np.ndarray, anchor: np.ndarray, lam: float) -> np.ndarray:
    """Eq. 6 for rows that have an anchor [n, G]."""
    if not 0 <= lam <= 1:
        raise ValueError(f"lam={lam} must lie in [0, 1]")
    if np.isnan(refined).any():
        raise ValueError(
            "sim_refined holds NaN for a query that has an anchor: its refined text was not made"
        )
    refined = refined.copy()
    refined[np.arange(len(anchor)), anchor] = 1.0
    return lam * sim + (1 - lam) * refined


def _matrix(sim) -> np.ndarray:
    sim = np.asarray(sim)
    return sim if sim.dtype.kind == "f" else sim.astype(float)


def _stack(metrics: dict, names) -> np.ndarray:
    return np.stack([metrics[name] for name in names], axis=1)


def _pictures(candidates, image_paths) -> tuple[np.ndarray, np.ndarray]:
    """What to ask about [Q, K], and what the trace calls it: the column where known, else the path."""
    rows = candidates.tolist() if hasattr(candidates, "tolist") else [list(row) for row in candidates]
    shape = (len(rows), len(rows[0]) if rows else 0)
    if any(len(row) != shape[1] for row in rows):
        raise ValueError(
            "every query needs equally many candidates: cut the rows to k_max or the gallery's size"
        )
    flat = [item for row in rows for item in row]
    numbered = all(isinstance(item, (int, np.integer)) for item in flat)
    names = np.array(flat if numbered else [str(item) for item in flat], dtype=int if numbered else None)
    if image_paths is not None:
        if not numbered:
            column = {str(path): number for number, path in enumerate(image_paths)}
            names = np.array([column.get(str(item), -1) for item in flat])
        wrong = np.flatnonzero((names < 0) | (names >= len(image_paths)))
        if len(wrong):
            raise ValueError(f"candidate {flat[wrong[0]]} is none of the {len(image_paths)} image_paths")
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
