"""What a search gives: the ranked pictures; and how answers about some of them reach the others."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from icl_lib.thi.evidence import SAME, Evidence, pooled, support


@dataclass(frozen=True, eq=False)
class Ranking:
    """The hypotheses of a dialogue, best first.

    Attributes:
        columns: gallery columns [N].
        scores: Ŝ [N], on the scale of S.
        similarity: S [N].
        posterior: P(v | all) [N]; several pictures of one person share its probability.
        p_yes: the MLLM's P(Yes) [N], NaN where it was not asked.
        person: the person's answer [N]: 1 Yes, 0 No, NaN none.
    """

    columns: np.ndarray
    scores: np.ndarray
    similarity: np.ndarray
    posterior: np.ndarray
    p_yes: np.ndarray
    person: np.ndarray


def log_odds(person: float) -> float:
    """Log h/(1 − h)."""
    if not 0.5 < person < 1:
        raise ValueError(f"person={person} must lie between 0.5, a guess, and 1")
    return float(np.log(person / (1 - person)))


def passed_on(
    ratios: dict[int, float], columns: np.ndarray, vectors: np.ndarray, evidence: Evidence
) -> np.ndarray:
    """E(v) [N] of the hypotheses, by log ratios about some of them; see `icl_lib.thi.evidence`."""
    about = np.flatnonzero(np.isin(columns, list(ratios)))
    if not len(about):
        return np.zeros(len(columns))
    same = evidence.same(vectors[about] @ vectors.T)  # [asked, N]
    same[np.arange(len(about)), about] = SAME
    ratio = np.array([[ratios[column]] for column in columns[about].tolist()])
    return pooled(support(same, ratio).sum(0), expit(same).sum(0), evidence.repetition)
