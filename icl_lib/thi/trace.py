"""The trace: what the MLLM answered about each query's candidates, by rank."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.results import atomic_path, read_json, write_json


@dataclass(eq=False)
class Trace:
    """The MLLM's answers about each query's candidates, in rank order.

    `dataclasses.replace(trace, threshold=…)` reads the same answers with another threshold. If that
    needs an answer that was never asked for, `replay` says so.

    Attributes:
        candidates: gallery columns [Q, K_max], or the images' paths where no columns were known.
        p_yes: P(Yes) [Q, K_max] in [0, 1]; NaN where the MLLM was not asked.
        threshold: an answer is Yes if p_yes > threshold.
        seconds: the time of each question [Q, K_max], an equal share of its batch's time; NaN where
            the MLLM was not asked. By default 0.

    Raises:
        ValueError: the arrays do not have one shape, or p_yes lies outside [0, 1].
    """

    candidates: np.ndarray
    p_yes: np.ndarray
    threshold: float = 0.5
    seconds: np.ndarray = field(default_factory=lambda: np.zeros(()))

    def __post_init__(self):
        self.candidates = np.array(self.candidates)
        self.p_yes = np.array(self.p_yes, dtype=float)
        if self.p_yes.ndim != 2 or self.candidates.shape != self.p_yes.shape:
            raise ValueError(
                "a trace needs candidates and p_yes of one shape [Q, K_max], got "
                f"{self.candidates.shape} and {self.p_yes.shape}"
            )
        if ((self.p_yes < 0) | (self.p_yes > 1)).any():
            raise ValueError("p_yes must lie in [0, 1], or be NaN where nothing was asked")
        self.seconds = np.where(np.isnan(self.p_yes), np.nan, self.seconds)

    @classmethod
    def from_answers(cls, yes, candidates) -> "Trace":
        """Builds a trace from recorded answers: yes [Q, K] bool, candidates [Q, K] columns."""
        yes = np.asarray(yes)
        if yes.dtype != bool and not np.isin(yes, (0, 1)).all():
            raise ValueError(
                "from_answers needs True and False (or 1 and 0); for probabilities use Trace(…)"
            )
        return cls(candidates, yes.astype(float))

    @property
    def k_max(self) -> int:
        """The trace's depth: the most questions that a query was asked."""
        return self.p_yes.shape[1]

    @property
    def first_yes(self) -> np.ndarray:
        """The rank [Q], from 0, of each query's first Yes; −1 if there is none."""
        yes = self.p_yes > self.threshold  # NaN does not count as a Yes
        return np.where(yes.any(1), yes.argmax(1) if self.k_max else 0, -1)

    @property
    def asked(self) -> np.ndarray:
        """The number of questions [Q] that the MLLM was asked about each query."""
        return (~np.isnan(self.p_yes)).sum(1)

    def first(self, K: int) -> "Trace":
        """The same answers about the first K candidates only."""
        parts = (self.candidates[:, :K], self.p_yes[:, :K])
        return Trace(*parts, self.threshold, self.seconds[:, :K])

    def rows(self) -> pd.DataFrame:
        """A table with one row per question: query, rank (from 0), image, p_yes, seconds."""
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
        """Writes trace.npz and trace.json, a summary to read by eye, into `folder`."""
        with atomic_path(Path(folder) / "trace.npz") as path:
            np.savez_compressed(
                path, candidates=self.candidates, p_yes=self.p_yes, seconds=self.seconds
            )
        summary = {
            "threshold": self.threshold,
            "queries": len(self.p_yes),
            "k_max": self.k_max,
            "questions": self.asked.sum(),
            "seconds": round(float(np.nansum(self.seconds)), 2),
        }
        write_json(Path(folder) / "trace.json", summary)

    @classmethod
    def load(cls, folder) -> "Trace":
        """Reads the trace that `save` wrote into `folder`."""
        path = Path(folder) / "trace.npz"
        if not path.is_file():
            raise FileNotFoundError(
                f"No finished trace in {folder}: run interact(…, folder) to the end."
            )
        with np.load(path, allow_pickle=False) as arrays:
            return cls(threshold=read_json(path.with_suffix(".json"))["threshold"], **arrays)
