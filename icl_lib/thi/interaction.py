"""One split's THI before (K, xi, lambda) are fixed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.thi import algorithm1
from icl_lib.thi import trace as trace_thi


@dataclass(frozen=True, eq=False)
class Interaction:
    """One split's THI before (K, xi, lambda) are fixed: rankings, answers, refined texts.

    queries: table of Q captions; gallery: table of G images; sim, sim_refined [Q, G]; texts [Q] refined queries (Eq. 5);
    answers [Q]: what was said of the anchor-to-be, or None. folder: where trace and answers lie. seconds_refining: what
    describing and merging took, None where it was not measured. vectors [G, D] of the gallery; change: a variant's `replay`
    in Algorithm 1's place (see `icl_lib.stages.variants.changed`).
    """

    queries: pd.DataFrame
    gallery: pd.DataFrame
    sim: np.ndarray
    sim_refined: np.ndarray
    trace: trace_thi.Trace
    texts: list[str]
    answers: list
    folder: Path | None = None
    seconds_refining: float | None = None
    vectors: np.ndarray | None = None
    change: Callable | None = None

    @property
    def pids(self) -> tuple[np.ndarray, np.ndarray]:
        """query_pids [Q], gallery_pids [G]."""
        return self.queries["pid"].to_numpy(), self.gallery["pid"].to_numpy()

    def grid(self, Ks, xis, lams) -> pd.DataFrame:
        """Every (K, xi, lambda) replayed: see `icl_lib.thi.algorithm1.grid`."""
        return algorithm1.grid(self.sim, self.sim_refined, self.trace, *self.pids, Ks, xis, lams)

    def replay(self, K: int, xi: float, lam: float) -> tuple[np.ndarray, np.ndarray]:
        """(final [Q, G], anchor [Q]) by Algorithm 1, or by `change`."""
        return (self.change or algorithm1.replay)(
            self.sim, self.sim_refined, self.trace, K, xi, lam
        )

    def per_query(self, K: int, xi: float, lam: float) -> dict[str, np.ndarray]:
        """Metrics query by query after THI, and `anchor` [Q]."""
        final, anchor = self.replay(K, xi, lam)
        return {**per_query_metrics(final, *self.pids), "anchor": anchor}
