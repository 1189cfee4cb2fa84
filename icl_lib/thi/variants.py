"""Five variants of Algorithm 1 and Eq. 6 against wrong anchors (not in the paper).

Each changes one thing, by one parameter `value`. Each takes what `icl_lib.thi.algorithm1.replay`
takes, returns the same, and equals it at the parameter's neutral value. None asks the MLLM
anything.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from icl_lib.params.names import known
from icl_lib.thi.algorithm1 import find_anchors, gallery_columns, rerank
from icl_lib.thi.trace import Trace


def confident(
    sim,
    sim_refined,
    trace: Trace,
    K: int,
    xi: float,
    lam: float,
    value: float,
    whole: Trace,
    sim_best,
):
    """(a) The candidate of the highest P(Yes) replaces the first Yes if it is clearly higher.

    Clearly means by more than `value`, in [0, 1]: 0 always takes the highest P(Yes), 1 is
    Algorithm 1. Of equal ones, the higher rank counts. Only queries with S(q, v̂_1) ≤ ξ and a Yes
    among the first K answers can change. If that first Yes is about v̂_1, there is no anchor, as
    in Algorithm 1, unless a later candidate replaces it.

    Args:
        sim: S(q, v) [Q, G].
        sim_refined: S(q̂, v) [Q, G].
        trace: the answers up to the first Yes.
        K: the number of rounds.
        xi: the threshold ξ.
        lam: the weight λ.
        value: the margin of P(Yes).
        whole: the answers about all of the first K candidates or more, asked with `ask="all"`.
        sim_best: S(q̂, v) [Q, G] with q̂ enriched by the candidate of the highest P(Yes) in
            `whole`.
    """
    depth = max(1, min(K, sim.shape[1]))
    p_yes, first = whole.p_yes[:, :depth], trace.first_yes
    if p_yes.shape[1] < depth or np.isnan(p_yes).any():
        raise ValueError(
            f"argmax over K={K} needs P(Yes) of every one of them: "
            f"interact(…, k_max={K}, ask='all')"
        )
    anchor = find_anchors(sim, trace, K, xi)
    best = p_yes.argmax(1)  # the first of equal ones
    moved = np.flatnonzero((first >= 0) & (first < K) & (sim.max(1) <= xi))
    moved = moved[p_yes[moved, best[moved]] > p_yes[moved, first[moved]] + value]
    anchor[moved] = gallery_columns(sim, whole, moved, best[moved])
    sim_refined = sim_refined.copy()
    sim_refined[moved] = sim_best[moved]
    return rerank(sim, sim_refined, anchor, lam), anchor


def soft(sim, sim_refined, trace: Trace, K: int, xi: float, lam: float, value: float):
    """(b) S̄ of the anchor is w + (1 − w)·S(q̂, v) instead of 1, with w = P(Yes)^value.

    value ≥ 0: 0 is Eq. 6, 1 weights by P(Yes) itself; the larger it is, the less an unsure anchor
    rises.
    """
    anchor = find_anchors(sim, trace, K, xi)
    rows = np.flatnonzero(anchor >= 0)
    weight = _p_yes_of_first(trace, rows) ** value
    score = weight + (1 - weight) * sim_refined[rows, anchor[rows]]
    return rerank(sim, sim_refined, anchor, lam, score), anchor


def gate(sim, sim_refined, trace: Trace, K: int, xi: float, lam: float, value: float):
    """(c) An anchor with P(Yes) ≤ value is withdrawn. value in [0, 1]; 0 is Algorithm 1."""
    anchor = find_anchors(sim, trace, K, xi)
    rows = np.flatnonzero(anchor >= 0)
    anchor[rows[_p_yes_of_first(trace, rows) <= value]] = -1
    return rerank(sim, sim_refined, anchor, lam), anchor


def second_look(sim, sim_refined, trace: Trace, K: int, xi: float, lam: float, value: float):
    """(d) An anchor not among the first `value` images of its own refined query is withdrawn.

    Its rank is one more than the number of images with a larger S(q̂, v). value ≥ 1: 1 keeps only
    anchors that come first; ∞ is Algorithm 1.
    """
    anchor = find_anchors(sim, trace, K, xi)
    rows = np.flatnonzero(anchor >= 0)
    refined = sim_refined[rows]
    rank = 1 + (refined > sim_refined[rows, anchor[rows]][:, None]).sum(1)
    anchor[rows[rank > value]] = -1
    return rerank(sim, sim_refined, anchor, lam), anchor


def adding(
    sim, sim_refined, trace: Trace, K: int, xi: float, lam: float, value: float, contradictions
):
    """(e) An anchor whose answers contradict the query more than `value` times is withdrawn.

    contradictions [Q] counts those answers (`icl_lib.thi.contradictions.compare`). sim_refined
    comes from texts into which only answers that add to the query are merged. value ≥ 0; ∞ is
    Algorithm 1 with those texts.
    """
    anchor = find_anchors(sim, trace, K, xi)
    anchor[np.asarray(contradictions) > value] = -1
    return rerank(sim, sim_refined, anchor, lam), anchor


def _p_yes_of_first(trace: Trace, rows: np.ndarray) -> np.ndarray:
    return trace.p_yes[rows, trace.first_yes[rows]]


@dataclass(frozen=True)
class Variant:
    """A variant of Algorithm 1.

    Attributes:
        replay: its function.
        parameter: what `value` is called in figures.
        values: the values that are tried on val.
        neutral: the value at which it is Algorithm 1.
        needs: what it needs besides the trace: nothing, or "best" (`whole` and `sim_best`), or
            "adding" (`contradictions` and texts of their own).
    """

    replay: Callable
    parameter: str
    values: tuple[float, ...]
    neutral: float
    needs: str = ""


VARIANTS = {
    "argmax": Variant(confident, "margin of P(Yes)", (0.0, 0.02, 0.05, 0.1, 0.2, 1.0), 1.0, "best"),
    "soft": Variant(soft, "exponent of P(Yes)", (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0), 0.0),
    "gate": Variant(
        gate,
        "least P(Yes)",
        (0.0, 0.5, 0.6, 0.7, 0.75, 0.775, 0.8, 0.825, 0.85, 0.875, 0.9, 0.95),
        0.0,
    ),
    "second_look": Variant(
        second_look, "deepest rank in S(q̂, ·)", (1, 2, 3, 5, 10, 20, 50, np.inf), np.inf
    ),
    "adding": Variant(
        adding, "contradictions allowed", (0, 1, 2, 3, 4, 5, np.inf), np.inf, "adding"
    ),
}


def find(name: str) -> Variant:
    """The variant of that name; for an unknown name, a ValueError suggests the nearest one."""
    return VARIANTS[known("thi.variant", name, VARIANTS)]
