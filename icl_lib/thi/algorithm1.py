"""Algorithm 1 and Eq. 6: which candidate becomes a query's anchor, and how it re-ranks the gallery.

v̂_1, v̂_2, … are the images that the backbone ranks first for a query q. The MLLM is asked whether
q describes them, one by one, at most K times (Algorithm 1):

    k = 1: if the answer is Yes and S(q, v̂_1) > ξ, v̂_1 is the anchor.
    k > 1: if the answer is Yes, all earlier ones are No, and S(q, v̂_1) ≤ ξ, v̂_k is the anchor.

So only the candidate of the first Yes can be the anchor, whatever K, ξ and λ are, and a trace of
the answers up to the first Yes replays every setting without asking the MLLM again.

With an anchor, the similarities become (Eq. 6)

    Ŝ(q, v) = λ·S(q, v) + (1 − λ)·S̄(q̂, v),   S̄ = 1 for the anchor and S(q̂, v) for all other
    images,

where q̂ is the query enriched with what the anchor shows (Eq. 4 and 5, see `refined_query`).

In code, sim [Q, G] is S(q, v) of Q queries and G gallery images, sim_refined [Q, G] is S(q̂, v),
top1 [Q] is S(q, v̂_1), and ranks count from 0: rank = k − 1.
"""

import numpy as np

from icl_lib.thi.trace import Trace


def replay(
    sim, sim_refined, trace: Trace, K: int, xi: float, lam: float
) -> tuple[np.ndarray, np.ndarray]:
    """Applies Algorithm 1 and Eq. 6 to recorded answers.

    Args:
        sim: S(q, v) [Q, G].
        sim_refined: S(q̂, v) [Q, G]; rows of queries without a Yes may hold NaN.
        trace: the MLLM's answers about the candidates of the Q queries.
        K: the number of rounds, 0 or more.
        xi: the threshold ξ.
        lam: the weight λ, in [0, 1].

    Returns:
        The final similarities [Q, G], and the gallery column of each query's anchor [Q] (−1: none).

    Raises:
        ValueError: the shapes do not fit, or the trace lacks an answer that this K and ξ need.
    """
    sim, sim_refined = np.asarray(sim), np.asarray(sim_refined)
    if sim.shape != sim_refined.shape or len(sim) != len(trace.p_yes):
        raise ValueError(
            f"replay needs sim and sim_refined [Q, G] and a trace of Q queries, got {sim.shape}, "
            f"{sim_refined.shape} and {len(trace.p_yes)}"
        )
    anchor = find_anchors(sim, trace, K, xi)
    return rerank(sim, sim_refined, anchor, lam), anchor


def find_anchors(sim: np.ndarray, trace: Trace, K: int, xi: float) -> np.ndarray:
    """Algorithm 1: the gallery column of each query's anchor [Q], −1 where there is none."""
    top1 = sim.max(1)
    rank = anchor_ranks(top1, trace, K, xi)
    check_answers(top1, trace, min(K, sim.shape[1]), xi)
    anchor = np.full(len(sim), -1)
    found = np.flatnonzero(rank >= 0)
    anchor[found] = gallery_columns(sim, trace, found, rank[found])
    return anchor


def anchor_ranks(top1: np.ndarray, trace: Trace, K: int, xi: float) -> np.ndarray:
    """Algorithm 1: the rank [Q], from 0, of each query's anchor, −1 where there is none."""
    if int(K) != K or K < 0:
        raise ValueError(f"K={K!r} must be a whole number of rounds, 0 or more")
    first = trace.first_yes
    accepted = np.where(top1 > xi, first == 0, first > 0)
    return np.where(accepted & (first < K), first, -1)


def rerank(
    sim: np.ndarray, sim_refined: np.ndarray, anchor: np.ndarray, lam: float, anchor_score=1.0
) -> np.ndarray:
    """Eq. 6: the final similarities [Q, G]; queries without an anchor keep S(q, v).

    anchor [Q] holds gallery columns, −1 for none. anchor_score is S̄ of the anchor; the paper's is
    1.
    """
    if not 0 <= lam <= 1:
        raise ValueError(f"lam={lam} must lie in [0, 1]")
    found = np.flatnonzero(anchor >= 0)
    enriched = sim_refined[found]
    if np.isnan(enriched).any():
        raise ValueError(
            "sim_refined holds NaN for a query that has an anchor: its refined text was not made"
        )
    enriched[np.arange(len(found)), anchor[found]] = anchor_score
    final = sim.astype(np.result_type(sim, np.float32))
    final[found] = lam * final[found] + (1 - lam) * enriched
    return final


def answers_needed(top1: np.ndarray, trace: Trace, K: int, xi: float) -> np.ndarray:
    """The number of answers [Q] that Algorithm 1 needs.

    It is one where S(q, v̂_1) > ξ; elsewhere the answers up to the first Yes, or all K.
    """
    first = trace.first_yes
    return np.minimum(np.where(top1 > xi, 1, np.where(first >= 0, first + 1, K)), K)


def check_answers(top1: np.ndarray, trace: Trace, K: int, xi: float) -> None:
    """Raises a ValueError if the trace lacks an answer that decides a query's anchor."""
    answered = ~np.isnan(trace.p_yes)
    before_gap = np.logical_and.accumulate(answered, axis=1).sum(1)
    short = np.flatnonzero(before_gap < answers_needed(top1, trace, K, xi))
    if len(short):
        raise ValueError(
            f"the trace does not say how K={K}, xi={xi} ends for {len(short)} queries (first: "
            f"query {short[0]}, asked {answered[short[0]].sum()} times): ask again with "
            f"k_max ≥ {K}, or with ask='all' if the threshold was raised afterwards"
        )


def gallery_columns(sim: np.ndarray, trace: Trace, rows, rank) -> np.ndarray:
    """The gallery columns of the candidates at `rank` [n] of the queries `rows` [n]."""
    if trace.candidates.dtype.kind not in "iu":
        # The candidates are paths, so they are taken for the first ones of this ranking.
        return np.argsort(-sim[rows], axis=1, kind="stable")[np.arange(len(rows)), rank]
    columns = trace.candidates[rows, rank]
    if ((columns < 0) | (columns >= sim.shape[1])).any():
        raise ValueError(f"the trace's candidates go beyond the gallery of {sim.shape[1]} images")
    return columns
