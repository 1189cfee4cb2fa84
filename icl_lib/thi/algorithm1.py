"""Test-time human-centred interaction: ask the MLLM along the ranking, find the anchor, re-rank.

S(q, v) is the backbone's similarity, v̂_k the k-th ranked image of a query, rank = k − 1 counts from 0.
In code: sim [Q, G] is S(q, v), sim_refined [Q, G] is S(q̂, v) with the query text enriched by what the
anchor shows.

Which candidate can become a query's anchor is its FIRST Yes in rank order, whatever K, ξ and λ are. So
one trace of answers up to the first Yes replays every setting without asking the MLLM again.
"""

import numpy as np
import pandas as pd

from icl_lib.thi.trace import Trace


def replay(
    sim, sim_refined, trace: Trace, K: int, xi: float, lam: float
) -> tuple[np.ndarray, np.ndarray]:
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
    from icl_lib.retrieval.metrics import (  # torch-free, but not needed to ask
        NAMES,
        per_query_metrics,
    )

    sim, sim_refined, query_pids = _matrix(sim), _matrix(sim_refined), np.asarray(query_pids)
    top = sim.max(1, initial=-np.inf)
    points = [(int(K), float(xi)) for K in Ks for xi in xis]
    for K, xi in points:
        _refuse_unknown(top, trace, K, xi, gallery=sim.shape[1])
    used = np.array([_anchor_rank(top, trace, K, xi) >= 0 for K, xi in points]).reshape(
        len(points), len(sim)
    )
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
        np.where(asked.all(1), trace.k_max, np.argmin(asked, axis=1))
        if trace.k_max
        else np.zeros(len(first))
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
        if len(columns) and not (columns.min() >= 0 and columns.max() < sim.shape[1]):
            raise ValueError(
                f"the trace's candidates go beyond the gallery of {sim.shape[1]} images"
            )
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
