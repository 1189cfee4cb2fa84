"""Platt's calibration of P(Yes): two numbers that turn what an MLLM says into what comes true.

An adapter is trained on as many Yes as No, but asked about lists in which few candidates are right,
so its Yes is overconfident there. Calibration keeps the order of the answers, hence their AUC.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

_EDGE = 1e-6  # P(Yes) is kept this far from 0 and 1, where its logit is infinite


@dataclass(frozen=True)
class Calibration:
    """P'(Yes) = σ(slope · logit P(Yes) + offset), Platt (1999); as it is by default."""

    slope: float = 1.0
    offset: float = 0.0

    def __call__(self, p) -> np.ndarray:
        """Calibrated probabilities of `p` [N] in [0, 1]."""
        p = np.asarray(p)
        if self == Calibration():
            return p
        return expit(self.slope * _logit(p) + self.offset).astype(p.dtype)

    def said(self, p: float) -> float:
        """The P(Yes) that is `p` once it is calibrated, as a threshold on what the MLLM says."""
        return float(expit((_logit(np.asarray(p)) - self.offset) / self.slope))


def fit(labels, p) -> Calibration:
    """The calibration of highest likelihood on pairs with a known answer.

    Where P(Yes) does not rise with the truth, or all pairs have one label, there is nothing to
    fit, and P(Yes) stays as it is.

    Args:
        labels: [N] in {0, 1}.
        p: [N] in [0, 1], P(Yes).
    """
    labels = np.asarray(labels).astype(int)
    if labels.min() == labels.max():
        return Calibration()
    x = _logit(np.asarray(p, np.float64))[:, None]
    found = LogisticRegression(C=np.inf).fit(x, labels)
    slope, offset = float(found.coef_[0, 0]), float(found.intercept_[0])
    return Calibration(slope, offset) if slope > 0 else Calibration()


def _logit(p: np.ndarray) -> np.ndarray:
    return logit(np.clip(p.astype(np.float64), _EDGE, 1 - _EDGE))
