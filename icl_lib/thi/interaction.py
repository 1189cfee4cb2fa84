"""The interaction: all that THI knows of a split before K, ξ and λ are chosen."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.thi.algorithm1 import replay
from icl_lib.thi.evidence import Evidence, rank_by_evidence
from icl_lib.thi.sweep import grid
from icl_lib.thi.trace import Trace


@dataclass(frozen=True, eq=False)
class Interaction:
    """A split's rankings, answers and refined texts, from which every (K, ξ, λ) is replayed.

    Attributes:
        queries: a table of the Q captions.
        gallery: a table of the G images.
        sim: S(q, v) [Q, G].
        sim_refined: S(q̂, v) [Q, G].
        trace: the MLLM's answers about the candidates.
        texts: the refined texts q̂ [Q].
        answers: what the MLLM says about the image of each query's first Yes [Q], or None.
        folder: where the trace lies.
        seconds_refining: the time of describing and merging; None if it was not measured.
        vectors: the gallery's vectors [G, D].
        change: takes the place of `replay`, for a variant of Algorithm 1.
        evidence: if given, the gallery is ranked by `icl_lib.thi.evidence` instead, whatever K, ξ
            and λ are; the trace then holds the questions of its policy, and needs `vectors`.
    """

    queries: pd.DataFrame
    gallery: pd.DataFrame
    sim: np.ndarray
    sim_refined: np.ndarray
    trace: Trace
    texts: list[str]
    answers: list
    folder: Path | None = None
    seconds_refining: float | None = None
    vectors: np.ndarray | None = None
    change: Callable | None = None
    evidence: Evidence | None = None

    @property
    def pids(self) -> tuple[np.ndarray, np.ndarray]:
        """The identities of the queries [Q] and of the gallery [G]."""
        return self.queries["pid"].to_numpy(), self.gallery["pid"].to_numpy()

    def grid(self, Ks, xis, lams) -> pd.DataFrame:
        """Replays every (K, ξ, λ) by Algorithm 1; see `icl_lib.thi.sweep.grid`."""
        return grid(self.sim, self.sim_refined, self.trace, *self.pids, Ks, xis, lams)

    def replay(self, K: int, xi: float, lam: float) -> tuple[np.ndarray, np.ndarray]:
        """The final similarities [Q, G] and the anchors [Q], by this interaction's rule.

        The rule is Algorithm 1, `change` or `evidence`; the anchor of evidence is the image in
        front, where the MLLM said Yes to it.
        """
        if self.evidence is None:
            return (self.change or replay)(self.sim, self.sim_refined, self.trace, K, xi, lam)
        if self.vectors is None:
            raise ValueError("to rank by evidence, an interaction needs the gallery's vectors")
        final = rank_by_evidence(self.sim, self.trace, self.vectors, self.evidence)
        first = final.argmax(1)
        yes = self.trace.p_yes > self.trace.threshold
        confirmed = ((self.trace.candidates == first[:, None]) & yes).any(1)
        return final, np.where(confirmed, first, -1)

    def per_query(self, K: int, xi: float, lam: float) -> dict[str, np.ndarray]:
        """The metrics of every query after THI, and `anchor` [Q]."""
        final, anchor = self.replay(K, xi, lam)
        return {**per_query_metrics(final, *self.pids), "anchor": anchor}

    def by_evidence(self, trace: Trace, evidence: Evidence) -> dict[str, np.ndarray]:
        """`per_query` with the answers of `trace` used as evidence; K, ξ and λ play no part."""
        return replace(self, trace=trace, evidence=evidence).per_query(trace.k_max, 1.0, 1.0)
