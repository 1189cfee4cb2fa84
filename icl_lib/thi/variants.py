"""Five answers to error accumulation, each Algorithm 1 and Eq. 6 with one change and one parameter of its own.

Each takes what `icl_lib.thi.algorithm1.replay` takes and `value`, returns (final similarities [Q, G], anchor [Q]) like it, and is
`replay` at its neutral value. They ask nothing; two need more than the trace up to the first Yes, as `needs` says.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from icl_lib.params.names import nearest
from icl_lib.thi.algorithm1 import anchor_columns, replay
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
    """(a) The candidate with the highest P(Yes) takes the first Yes's place where it is surer by more than `value`.

    anchor = argmax_k≤K P(Yes | q, v̂_k) if its P(Yes) > P(Yes) of the first Yes + value, else the first Yes; ties: the
    higher rank. Only where S(q, v̂_1) ≤ ξ (elsewhere one question was asked) and the first Yes is within K; v̂_1 is no
    anchor there, as in Algorithm 1, but a surer one behind it is. value in [0, 1]: 0 is argmax, 1 is Algorithm 1.
    whole: the trace asked on behind the first Yes (`ask="all"`), K columns or the whole gallery; sim_best [Q, G]:
    S(q̂, v) with q̂ merged with what the argmax of whole's columns shows; other rows are not read.
    """
    depth = min(K, np.shape(sim)[1])
    p, first = whole.p_yes[:, :depth], trace.first_yes
    if p.shape[1] < depth or np.isnan(p).any():
        raise ValueError(
            f"argmax over K={K} needs P(Yes) of every one of them: interact(…, k_max={K}, ask='all')"
        )
    final, anchor = replay(sim, sim_refined, trace, K, xi, lam)
    best = p.argmax(1) if depth else np.zeros(len(p), dtype=int)  # the first of equal ones
    held = (first >= 0) & (first < depth) & (np.max(sim, axis=1, initial=-np.inf) <= xi)
    moved = np.flatnonzero(held)
    moved = moved[p[moved, best[moved]] > p[moved, first[moved]] + value]
    anchor[moved] = anchor_columns(sim, whole, moved, best[moved])
    final[moved] = _eq6(
        np.asarray(sim)[moved], np.asarray(sim_best)[moved], anchor[moved], lam, 1.0
    )
    return final, anchor


def soft(sim, sim_refined, trace: Trace, K: int, xi: float, lam: float, value: float):
    """(b) The anchor's S̄ = w + (1 − w)·S(q̂, v), w = P(Yes)^value, instead of 1.

    value ≥ 0: 0 is Eq. 6, 1 weighs by P(Yes) itself; the larger, the less an unsure anchor is lifted.
    """
    _, anchor = replay(sim, sim_refined, trace, K, xi, lam)
    rows = np.flatnonzero(anchor >= 0)
    return _final(
        sim, sim_refined, anchor, lam, trace.p_yes[rows, trace.first_yes[rows]] ** value
    ), anchor


def gate(sim, sim_refined, trace: Trace, K: int, xi: float, lam: float, value: float):
    """(c) A first Yes with P(Yes) ≤ value is no anchor. value in [0, 1]; 0 is Algorithm 1."""
    _, anchor = replay(sim, sim_refined, trace, K, xi, lam)
    rows = np.flatnonzero(anchor >= 0)
    unsure = trace.p_yes[rows, trace.first_yes[rows]] <= value
    return _withdrawn(sim, sim_refined, anchor, lam, rows[unsure])


def second_look(sim, sim_refined, trace: Trace, K: int, xi: float, lam: float, value: float):
    """(d) An anchor that is not among the first `value` pictures of its own refined query is withdrawn.

    Its rank in S(q̂, v) counts the pictures that are more similar. value ≥ 1: 1 wants it first; ∞ is Algorithm 1.
    """
    _, anchor = replay(sim, sim_refined, trace, K, xi, lam)
    rows = np.flatnonzero(anchor >= 0)
    refined = np.asarray(sim_refined)[rows]
    rank = 1 + (refined > refined[np.arange(len(rows)), anchor[rows]][:, None]).sum(1)
    return _withdrawn(sim, sim_refined, anchor, lam, rows[rank > value])


def adding(
    sim, sim_refined, trace: Trace, K: int, xi: float, lam: float, value: float, contradictions=None
):
    """(e) An anchor whose answers contradict the query more than `value` times is withdrawn.

    sim_refined comes from texts that only the answers which add to the query were merged into, contradictions [Q]
    counts the answers that contradict it (`icl_lib.thi.contradictions.compare`). value ≥ 0; ∞ is Algorithm 1 on those texts.
    """
    _, anchor = replay(sim, sim_refined, trace, K, xi, lam)
    against = np.asarray(contradictions)
    return _withdrawn(
        sim, sim_refined, anchor, lam, np.flatnonzero((anchor >= 0) & (against > value))
    )


@dataclass(frozen=True)
class Variant:
    """One change of Algorithm 1: its function, what its parameter is called, the values tried on val, the neutral one.

    needs: "" (the trace to the first Yes is enough), "best" or "adding" (see `icl_lib.stages.variants.prepared`).
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
    """The variant of that name. Raises ValueError, with the nearest name, for an unknown one."""
    if name not in VARIANTS:
        close = nearest(name, VARIANTS)
        raise ValueError(
            f"unknown thi.variant {name!r}"
            + (f": did you mean {close!r}?" if close else ".")
            + f" Valid: {', '.join(VARIANTS)}, or null for Algorithm 1 as published."
        )
    return VARIANTS[name]


def _withdrawn(sim, sim_refined, anchor: np.ndarray, lam: float, rows: np.ndarray):
    anchor = anchor.copy()
    anchor[rows] = -1
    return _final(sim, sim_refined, anchor, lam, 1.0), anchor


def _final(sim, sim_refined, anchor: np.ndarray, lam: float, weight) -> np.ndarray:
    final, rows = np.array(sim, dtype=np.result_type(sim, np.float32)), np.flatnonzero(anchor >= 0)
    final[rows] = _eq6(final[rows], np.asarray(sim_refined)[rows], anchor[rows], lam, weight)
    return final


def _eq6(
    sim: np.ndarray, refined: np.ndarray, anchor: np.ndarray, lam: float, weight
) -> np.ndarray:
    """Eq. 6 for rows with an anchor [n, G], its S̄ = weight + (1 − weight)·S(q̂, v), weight [n] or 1."""
    refined, at = refined.copy(), (np.arange(len(anchor)), anchor)
    refined[at] = weight + (1 - weight) * refined[at]
    return lam * sim + (1 - lam) * refined
