"""The trace: every answer of the MLLM, by query and rank."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.results import atomic_path, read_json, write_json


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
        arrays = {
            "candidates": np.array(self.candidates),
            "p_yes": np.array(self.p_yes, dtype=float),
        }
        times = (
            np.where(np.isnan(arrays["p_yes"]), np.nan, 0.0)
            if self.seconds is None
            else self.seconds
        )
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
            raise ValueError(
                "from_answers wants True and False (or 1 and 0); for probabilities use Trace(…)"
            )
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
            np.savez_compressed(
                path, candidates=self.candidates, p_yes=self.p_yes, seconds=self.seconds
            )
        told = {"threshold": self.threshold, "queries": len(self.p_yes), "k_max": self.k_max}
        told |= {"questions": int(self.asked.sum()), "behind the first Yes": int(self.extra.sum())}
        told |= {"seconds": round(float(np.nansum(self.seconds)), 2)}
        write_json(Path(folder) / "trace.json", told)

    @classmethod
    def load(cls, folder) -> "Trace":
        """The trace that `save` wrote into `folder`."""
        path = Path(folder) / "trace.npz"
        if not path.is_file():
            raise FileNotFoundError(
                f"No finished trace in {folder}: run interact(…, folder) to the end."
            )
        with np.load(path, allow_pickle=False) as arrays:
            return cls(threshold=read_json(Path(folder) / "trace.json")["threshold"], **arrays)
