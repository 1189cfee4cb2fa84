"""How good Yes/No answers are: accuracy, AP, AUC, threshold, reliability."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score


def judge_metrics(labels, p, threshold: float = 0.5) -> dict[str, float]:
    """accuracy, precision, recall (Yes if p > threshold), AP and AUC of P(Yes), all in percent.

    `labels` [N] in {0, 1}, `p` [N]. Precision is NaN where nothing was judged Yes, recall and AP where there
    is no true pair, AUC where only one label occurs.
    """
    labels, p = _checked(labels, p)
    yes = p > threshold
    hits, both = int((yes & labels).sum()), bool(labels.any() and not labels.all())
    return {
        "accuracy": 100 * float((yes == labels).mean()),
        "precision": 100 * hits / int(yes.sum()) if yes.any() else float("nan"),
        "recall": 100 * hits / int(labels.sum()) if labels.any() else float("nan"),
        "AP": 100 * float(average_precision_score(labels, p)) if labels.any() else float("nan"),
        "AUC": 100 * float(roc_auc_score(labels, p)) if both else float("nan"),
    }


def choose_threshold(labels, p, beta: float = 0.5) -> float:
    """The threshold on P(Yes) with the highest F_beta = (1+b²)·P·R / (b²·P + R) on val pairs.

    beta 0.5 weighs precision over recall, because a wrong anchor pushes the right person down, while a missed
    one merely leaves the ranking as it was. Thresholds lie midway between neighbouring values of p; of equal
    ones the highest is taken. Raises ValueError without a true pair.
    """
    labels, p = _checked(labels, p)
    if not labels.any():
        raise ValueError("A threshold needs at least one true pair among the val pairs.")
    order = np.argsort(-p, kind="stable")
    ranked, hits = p[order], np.cumsum(labels[order])
    last_of_its_value = np.append(ranked[1:] < ranked[:-1], True)
    precision, recall = hits / np.arange(1, len(p) + 1), hits / labels.sum()
    weight = beta**2
    score = (1 + weight) * precision * recall / np.maximum(weight * precision + recall, 1e-12)
    best = int(np.argmax(np.where(last_of_its_value, score, -1)))
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2)


def _checked(labels, p) -> tuple[np.ndarray, np.ndarray]:
    labels, p = np.asarray(labels), np.asarray(p, dtype=np.float64)
    if labels.shape != p.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"labels {labels.shape} and p {p.shape} should be two equally long, non-empty lists."
        )
    if not np.isin(labels, (0, 1)).all() or not np.isfinite(p).all():
        raise ValueError("labels should be 0 or 1, and p finite.")
    return labels.astype(bool), p


# P(Yes) as a probability ----------------------------------------


def reliability(labels, p, bins: int = 10) -> pd.DataFrame:
    """A row for each of `bins` equal ranges of P(Yes) that holds any pair.

    Columns: pairs; said (mean P(Yes), percent); true (share of label 1, percent).
    """
    labels, p = np.asarray(labels, dtype=float), np.asarray(p, dtype=float)
    if labels.shape != p.shape or not len(p) or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("labels and p should be two equally long, non-empty lists, p in [0, 1].")
    place = np.minimum((p * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": place, "said": 100 * p, "true": 100 * labels}).groupby("bin")
    return table.agg(
        pairs=("said", "size"), said=("said", "mean"), true=("true", "mean")
    ).reset_index(drop=True)


def calibration_error(labels, p, bins: int = 10) -> float:
    """Expected calibration error in percent: Σ over bins of (its pairs / all pairs) · |said − true|."""
    table = reliability(labels, p, bins)
    return float(
        (table["pairs"] * (table["said"] - table["true"]).abs()).sum() / table["pairs"].sum()
    )


def by_rank(judged: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """How good Yes (p > `threshold`) is at each rank of the candidate; `judged` has rank, label and p.

    Columns: pairs; in percent true (share of the right person), accuracy, recall (share of the right persons
    that got a Yes) and false (share of strangers that got one).
    """
    rows = []
    for rank, part in judged.groupby("rank"):
        yes, right = part["p"] > threshold, part["label"] == 1
        rows.append(
            {
                "rank": rank,
                "pairs": len(part),
                "true": _percent(right),
                "accuracy": _percent(yes == right),
                "recall": _percent(yes[right]),
                "false": _percent(yes[~right]),
            }
        )
    return pd.DataFrame(rows).set_index("rank")


def _percent(flags) -> float:
    return 100 * float(np.mean(flags)) if len(flags) else float("nan")
