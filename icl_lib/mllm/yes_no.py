"""How good Yes/No answers are: accuracy, AP, AUC, threshold, and the calibration of P(Yes)."""

import numpy as np
import pandas as pd
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    precision_recall_curve,
    roc_auc_score,
)


def judge_metrics(labels, p, threshold: float = 0.5) -> dict[str, float]:
    """Accuracy, precision and recall of Yes (p > threshold), AP and AUC of P(Yes), all in percent.

    Precision is NaN where no answer is Yes, recall and AP where no pair is true, AUC where only one
    label occurs.

    Args:
        labels: [N] in {0, 1}.
        p: [N], P(Yes).
        threshold: the P(Yes) above which an answer counts as Yes.
    """
    labels, p = _checked(labels, p)
    yes = p > threshold
    hits = int((yes & labels).sum())
    both = bool(labels.any() and not labels.all())
    return {
        "accuracy": _percent(yes == labels),
        "precision": 100 * hits / int(yes.sum()) if yes.any() else float("nan"),
        "recall": 100 * hits / int(labels.sum()) if labels.any() else float("nan"),
        "AP": 100 * float(average_precision_score(labels, p)) if labels.any() else float("nan"),
        "AUC": 100 * float(roc_auc_score(labels, p)) if both else float("nan"),
    }


def choose_threshold(labels, p, beta: float = 0.5) -> float:
    """The threshold on P(Yes) with the highest F_beta = (1+β²)·P·R / (β²·P + R).

    β = 0.5 weighs precision above recall: a wrong anchor pushes the right person down, while a
    missed one leaves the ranking as it was. Thresholds lie midway between neighbouring values of p;
    of equally good ones the highest is taken.

    Raises:
        ValueError: there is no true pair.
    """
    labels, p = _checked(labels, p)
    if not labels.any():
        raise ValueError("A threshold needs at least one true pair among the val pairs.")
    precision, recall, values = precision_recall_curve(labels, p)  # values rise
    weight = beta**2
    score = (1 + weight) * precision * recall / np.maximum(weight * precision + recall, 1e-12)
    best = len(values) - 1 - int(np.argmax(score[-2::-1]))  # the last score belongs to no value
    below = values[best - 1] if best else 0.0
    return float((values[best] + below) / 2)


def reliability(labels, p, bins: int = 10) -> pd.DataFrame:
    """Calibration of P(Yes): a row for each of `bins` equal ranges that holds a pair.

    Columns: pairs; said (mean P(Yes), percent); true (share of label 1, percent).
    """
    labels, p = _checked(labels, p)
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("Not probabilities: each p in [0, 1] is needed.")
    place = np.minimum((p * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": place, "said": 100 * p, "true": 100.0 * labels}).groupby("bin")
    return table.agg(
        pairs=("said", "size"), said=("said", "mean"), true=("true", "mean")
    ).reset_index(drop=True)


def calibration_error(labels, p, bins: int = 10) -> float:
    """Expected calibration error in percent: the mean |said − true| over all pairs' ranges."""
    table = reliability(labels, p, bins)
    distance = (table["said"] - table["true"]).abs()
    return float((table["pairs"] * distance).sum() / table["pairs"].sum())


def brier_score(labels, p) -> float:
    """Mean squared distance of P(Yes) and the truth, in [0, 1]; 0 is perfect (Brier 1950)."""
    labels, p = _checked(labels, p)
    return float(brier_score_loss(labels, p))


def by_rank(judged: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """How good Yes (p > `threshold`) is at each rank of the candidate.

    Args:
        judged: a table of pairs with the columns rank, label and p.
        threshold: the P(Yes) above which an answer counts as Yes.

    Returns:
        A row per rank: pairs; and in percent: true (share of the right person), accuracy, recall
        (share of the right persons that got a Yes) and false (share of strangers that got one).
    """
    rows = {}
    for rank, part in judged.groupby("rank"):
        yes = part["p"] > threshold
        right = part["label"] == 1
        rows[rank] = {
            "pairs": len(part),
            "true": _percent(right),
            "accuracy": _percent(yes == right),
            "recall": _percent(yes[right]),
            "false": _percent(yes[~right]),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("rank")


def _percent(flags) -> float:
    """The share of true flags in percent; NaN where there is none."""
    return 100 * float(np.mean(flags)) if len(flags) else float("nan")


def _checked(labels, p) -> tuple[np.ndarray, np.ndarray]:
    labels = np.asarray(labels)
    p = np.asarray(p, dtype=np.float64)
    if labels.shape != p.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"labels {labels.shape} and p {p.shape} should be two non-empty lists of one length."
        )
    if not np.isin(labels, (0, 1)).all() or not np.isfinite(p).all():
        raise ValueError("labels should be 0 or 1, and p finite.")
    return labels.astype(bool), p
