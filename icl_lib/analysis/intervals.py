"""Bootstrap intervals over queries and over people, and spread over seeds."""

import numpy as np
import pandas as pd
from scipy import stats

from icl_lib.retrieval.metrics import NAMES


def people_ci(
    values, pids, seed: int = 0, draws: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values` [Q], resampling the people of `pids` [Q], not single
    queries: queries of one person are not independent of each other.
    """
    people, who = np.unique(pids, return_inverse=True)
    total, count = np.bincount(who, weights=values), np.bincount(who)
    drawn = np.random.default_rng(seed).integers(0, len(people), (draws, len(people)))
    means = total[drawn].sum(1) / count[drawn].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def spread(table: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Mean over the seeds of every column of `over_seeds`, standard deviation, and Student's interval of the mean.

    The interval is mean ± t · sd / √n with n − 1 degrees of freedom; NaN for a single seed, which has no spread.
    """
    n = len(table)
    half = stats.t.ppf((1 + level) / 2, n - 1) * table.std() / np.sqrt(n) if n > 1 else np.nan
    told = {
        "mean": table.mean(),
        "sd": table.std(),
        "low": table.mean() - half,
        "high": table.mean() + half,
    }
    return pd.DataFrame(told).rename_axis("quantity")


_DRAWN = 4_000_000  # values of a bootstrap held at once


def bootstrap_ci(
    values, seed: int = 0, draws: int = 2000, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values` [Q], resampling queries with replacement; values'
    units.
    """
    low, high = np.quantile(
        _bootstrap_means(values, seed, draws), [(1 - level) / 2, (1 + level) / 2]
    )
    return float(low), float(high)


def paired_bootstrap(
    a, b, seed: int = 0, draws: int = 2000, level: float = 0.95
) -> dict[str, float]:
    """Is method a better than b on the same queries? Mean of a − b, its interval `low`, `high`, and two-sided
    `p`.

    `p` is twice the smaller share of resampled means on either side of 0, at least 1 / draws, at most 1.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.shape != b.shape:
        raise ValueError(f"a paired test wants the same queries twice, got {a.shape} and {b.shape}")
    means = _bootstrap_means(a - b, seed, draws)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    p = 2 * min((means <= 0).mean(), (means >= 0).mean())
    return {
        "difference": float((a - b).mean()),
        "low": float(low),
        "high": float(high),
        "p": float(np.clip(p, 1 / draws, 1.0)),
    }


def with_intervals(values: dict[str, np.ndarray], seed: int = 0) -> dict:
    """Means of `per_query_metrics` in percent, and `ci95` {"rank1": [low, high], "mAP": [low, high]}."""
    means = {name: float(values[name].mean()) for name in NAMES}
    return means | {
        "ci95": {name: list(bootstrap_ci(values[name], seed)) for name in ("rank1", "mAP")}
    }


def _bootstrap_means(values, seed: int, draws: int) -> np.ndarray:
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not len(values):
        raise ValueError(
            f"a bootstrap wants one value a query, at least one; got shape {values.shape}"
        )
    rng = np.random.default_rng(seed)
    # In blocks, so that 2,000 draws of 20,000 queries never lie in memory at once.
    block = max(1, _DRAWN // len(values))
    sizes = [min(block, draws - start) for start in range(0, draws, block)]
    draws_of = [rng.integers(0, len(values), (size, len(values))) for size in sizes]
    return np.concatenate([values[chosen].mean(1) for chosen in draws_of])
