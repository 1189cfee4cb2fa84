"""Metrics over the rounds of an interactive search, and what one method gains over another.

A method is given by `first` [R + 1, Q], the rank of each query's first right picture after each
round, from round 0 on; 0 if the gallery has none. Several trainings are given by their seeds; their
values are averaged for each query, and intervals are over people.
"""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from icl_lib.analysis.intervals import bootstrap_ci, holm, paired_bootstrap

Runs = Mapping[int, Mapping[str, np.ndarray]]  # {seed: {method: first}}


def rank1(first: np.ndarray) -> np.ndarray:
    """Rank-1 [R + 1, Q], 0 or 100."""
    return 100.0 * (first == 1)


def best_so_far(first: np.ndarray) -> np.ndarray:
    """The best rank of a right picture in this round or before [R + 1, Q]; inf if there is none."""
    return np.minimum.accumulate(np.where(first > 0, first, np.inf), axis=0)


def found_so_far(first: np.ndarray) -> np.ndarray:
    """100 where the best rank so far is 1, else 0 [R + 1, Q]."""
    return 100.0 * (best_so_far(first) == 1)


def log_rank_integral(first: np.ndarray) -> np.ndarray:
    """The best log rank integral of each query (PlugIR, ACL 2024), as [1, Q]; 0 is perfect.

    The logarithm of the best rank so far, integrated over the rounds by trapezoids and divided by
    the number of rounds.
    """
    return np.trapezoid(np.log(best_so_far(first)), axis=0)[None] / max(1, len(first) - 1)


METRICS: dict[str, Callable] = {
    "rank1": rank1,
    "found so far": found_so_far,
    "log rank integral": log_rank_integral,
}


def by_round(runs: Runs, pids) -> pd.DataFrame:
    """Every metric of every method after each round.

    Args:
        runs: {seed: {method: first}}, with the same methods and queries for every seed.
        pids: the person of each query [Q].

    Returns:
        A row for each "method", "metric" and "round" (the last one for the integral over all):
        value, its interval low and high, sd over seeds (NaN for one seed), seeds (their number).
    """
    rows = {}
    for method in next(iter(runs.values())):
        for metric, measure in METRICS.items():
            values = np.stack([measure(run[method]) for run in runs.values()])  # [seeds, rounds, Q]
            last = len(runs[next(iter(runs))][method]) - 1
            for place, each in enumerate(values.transpose(1, 0, 2)):
                low, high = bootstrap_ci(each.mean(0), pids)
                number = place if values.shape[1] > 1 else last
                rows[method, metric, number] = {
                    "value": float(each.mean()),
                    "low": low,
                    "high": high,
                    "sd over seeds": float(each.mean(1).std(ddof=1)) if len(each) > 1 else np.nan,
                    "seeds": len(each),
                }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.rename_axis(["method", "metric", "round"])


def gained(runs: Runs, pids, pairs: list[tuple[str, str]]) -> pd.DataFrame:
    """What some methods gain in Rank-1 over others after each round, by a paired bootstrap.

    Args:
        runs: {seed: {method: first}}.
        pids: the person of each query [Q].
        pairs: (method, the method that it is compared with).

    Returns:
        A row for each "method", "over" and "round" from 1 on: before and after (percent), gain
        (points), its interval low and high, seeds above 0, and "p, Holm": corrected for all rows of
        the table. The intervals are not corrected.
    """
    rows = {}
    for method, over in pairs:
        after, before = (
            np.stack([rank1(run[name]) for run in runs.values()]) for name in (method, over)
        )
        for number in range(1, after.shape[1]):
            new, old = after[:, number], before[:, number]
            test = paired_bootstrap(new.mean(0), old.mean(0), pids)
            rows[method, over, number] = {
                "before": float(old.mean()),
                "after": float(new.mean()),
                "gain": test["difference"],
                "low": test["low"],
                "high": test["high"],
                "seeds above 0": int(((new - old).mean(1) > 0).sum()),
                "seeds": len(new),
                "p": test["p"],
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    table = table.rename_axis(["method", "over", "round"])
    table["p, Holm"] = holm(table.pop("p"))
    return table


def verdict(row: pd.Series) -> str:
    """A row of `gained` in words: better, worse, or no different (p >= 0.05 after Holm)."""
    if row["p, Holm"] >= 0.05:
        return "no different"
    return "better" if row["gain"] > 0 else "worse"
