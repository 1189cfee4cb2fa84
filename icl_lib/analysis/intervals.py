"""95% intervals: bootstrap over queries and over people, and Student's over seeds."""

import numpy as np
import pandas as pd
from scipy import stats

from icl_lib.retrieval.metrics import LABELS

_LEVEL = 0.95
_DRAWN = 4_000_000  # values of a bootstrap held in memory at once


def bootstrap_ci(values, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values` [Q] over queries, in their unit."""
    return _percentiles(_bootstrap_means(values, seed, draws))


def paired_bootstrap(a, b, seed: int = 0, draws: int = 2000) -> dict[str, float]:
    """Is method a better than b on the same queries? A bootstrap of the mean of a - b.

    Args:
        a: Values of one method [Q].
        b: Values of the other [Q], of the same queries in the same order.
        seed: Seed of the random draws.
        draws: Number of resamples.

    Returns:
        The mean "difference", the ends "low" and "high" of its interval, and the two-sided "p":
        twice the smaller share of resampled means on either side of 0, from 1 / draws to 1.

    Raises:
        ValueError: If a and b differ in shape.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise ValueError(
            f"a paired test needs both methods on the same queries, got {a.shape} and {b.shape}"
        )
    means = _bootstrap_means(a - b, seed, draws)
    low, high = _percentiles(means)
    p = 2 * min((means <= 0).mean(), (means >= 0).mean())
    return {
        "difference": float((a - b).mean()),
        "low": low,
        "high": high,
        "p": float(np.clip(p, 1 / draws, 1.0)),
    }


def people_ci(values, pids, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values` [Q] over the people of `pids` [Q].

    Each drawn person brings all their queries, since the queries of one person depend on each
    other.
    """
    people, who = np.unique(pids, return_inverse=True)
    total, count = np.bincount(who, weights=values), np.bincount(who)
    drawn = np.random.default_rng(seed).integers(0, len(people), (draws, len(people)))
    return _percentiles(total[drawn].sum(1) / count[drawn].sum(1))


def with_intervals(values: dict[str, np.ndarray], seed: int = 0) -> dict:
    """Means of `per_query_metrics` in percent, and their intervals over queries.

    Returns:
        {metric: mean, "ci95": {"rank1": [low, high], "mAP": [low, high]}}.
    """
    means = {name: float(values[name].mean()) for name in LABELS}
    intervals = {name: list(bootstrap_ci(values[name], seed)) for name in ("rank1", "mAP")}
    return means | {"ci95": intervals}


def spread(table: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard deviation and Student's interval of every column over its rows, the seeds.

    The interval is mean ± t · sd / √n with n - 1 degrees of freedom. A single seed has no spread:
    NaN.
    """
    n, mean, sd = len(table), table.mean(), table.std()
    half = stats.t.ppf((1 + _LEVEL) / 2, n - 1) * sd / np.sqrt(n) if n > 1 else np.nan
    columns = {"mean": mean, "sd": sd, "low": mean - half, "high": mean + half}
    return pd.DataFrame(columns).rename_axis("quantity")


def interval_text(low: float, high: float, form: str = ".1f") -> str:
    """An interval as text, e.g. "35.5 – 39.8"; empty for NaN."""
    return "" if np.isnan(low) else f"{low:{form}} – {high:{form}}"


def _percentiles(means: np.ndarray) -> tuple[float, float]:
    low, high = np.quantile(means, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)


def _bootstrap_means(values, seed: int, draws: int) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ValueError(
            f"a bootstrap needs one value per query, at least one query, got shape {values.shape}"
        )
    rng = np.random.default_rng(seed)
    # In blocks, so that 2,000 draws of 20,000 queries never lie in memory at once.
    block = max(1, _DRAWN // len(values))
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    drawn = (rng.integers(0, len(values), (size, len(values))) for size in sizes)
    return np.concatenate([values[rows].mean(1) for rows in drawn])
