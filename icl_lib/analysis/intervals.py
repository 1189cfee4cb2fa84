"""95% intervals: bootstrap over people, and Student's over seeds.

The queries of one person depend on each other: a person who is hard to find is hard to find by each
of their captions. So a bootstrap draws people, and each drawn person brings all their queries.
"""

import numpy as np
import pandas as pd
from scipy import stats

from icl_lib.retrieval.metrics import LABELS

_LEVEL = 0.95
_DRAWN = 4_000_000  # people of a bootstrap held in memory at once


def bootstrap_ci(values, pids=None, seed: int = 0, draws: int = 2000) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values` [Q], in their unit.

    Args:
        values: One value per query [Q].
        pids: The person of each query [Q]; None draws single queries, as if they were independent.
        seed: Seed of the random draws.
        draws: Number of resamples.
    """
    return _percentiles(_bootstrap_means(values, pids, seed, draws))


def paired_bootstrap(a, b, pids=None, seed: int = 0, draws: int = 2000) -> dict[str, float]:
    """Is method a better than b on the same queries? A bootstrap of the mean of a - b.

    Args:
        a: Values of one method [Q].
        b: Values of the other [Q], of the same queries in the same order.
        pids: The person of each query [Q]; None draws single queries.
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
    means = _bootstrap_means(a - b, pids, seed, draws)
    low, high = _percentiles(means)
    p = 2 * min((means <= 0).mean(), (means >= 0).mean())
    return {
        "difference": float((a - b).mean()),
        "low": low,
        "high": high,
        "p": float(np.clip(p, 1 / draws, 1.0)),
    }


def holm(p) -> np.ndarray:
    """Holm's p-values [n] of n tests that are made together, from their single p-values [n].

    The k-th smallest is multiplied by n - k + 1, and none is smaller than the one before it (Holm
    1979). Where such a value is below 0.05, the chance of any false finding among all n is too.
    """
    p = np.asarray(p, dtype=float)
    order = np.argsort(p, kind="stable")
    grown = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    out = np.empty_like(p)
    out[order] = np.minimum(grown, 1.0)
    return out


def with_intervals(values: dict[str, np.ndarray], seed: int = 0) -> dict:
    """Means of `per_query_metrics` in percent, and their intervals over people.

    Returns:
        {metric: mean, "ci95": {"rank1": [low, high], "mAP": [low, high]}}.
    """
    means = {name: float(values[name].mean()) for name in LABELS}
    intervals = {
        name: list(bootstrap_ci(values[name], values["pid"], seed)) for name in ("rank1", "mAP")
    }
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


def _bootstrap_means(values, pids, seed: int, draws: int) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ValueError(
            f"a bootstrap needs one value per query, at least one query, got shape {values.shape}"
        )
    pids = np.arange(len(values)) if pids is None else np.asarray(pids)
    if pids.shape != values.shape:
        raise ValueError(f"one person per query is needed, got {pids.shape} for {values.shape}")
    _, who = np.unique(pids, return_inverse=True)
    total, count = np.bincount(who, weights=values), np.bincount(who)  # [people]
    rng = np.random.default_rng(seed)
    # In blocks, so that 2,000 draws of 20,000 people never lie in memory at once.
    block = max(1, _DRAWN // len(count))
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    drawn = (rng.integers(0, len(count), (size, len(count))) for size in sizes)
    return np.concatenate([total[rows].sum(1) / count[rows].sum(1) for rows in drawn])
