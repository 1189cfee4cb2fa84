"""Differences between runs, variants and seeds, side by side.

A run is given by its `per_query_metrics`; runs that are compared are of the same queries in the
same order. All intervals are over people.
"""

import numpy as np
import pandas as pd

from icl_lib.analysis.intervals import bootstrap_ci, holm, interval_text, paired_bootstrap
from icl_lib.retrieval.metrics import NAMES

MAIN = ("rank1", "mAP")


def differences(after: dict, before: dict, metrics=NAMES) -> pd.DataFrame:
    """Paired bootstrap of every metric between two runs.

    Args:
        after: The run in question.
        before: The run that it is compared with.
        metrics: Their names.

    Returns:
        A row for each metric: before and after (percent), difference, low and high (points), p,
        excludes_0.
    """
    rows = {}
    for name in metrics:
        test = paired_bootstrap(after[name], before[name], before["pid"])
        rows[name] = {
            "before": float(before[name].mean()),
            "after": float(after[name].mean()),
            **test,
            "excludes_0": _excludes_zero(test),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


def side_by_side(runs: dict[str, dict]) -> pd.DataFrame:
    """Compares each run with the first.

    Returns:
        A row for each run ("method") and metric: percent, gain over the first run in points, its
        interval low and high, excludes_0, and "p, Holm": corrected for all the runs and metrics of
        the table. The intervals are not corrected.
    """
    first = next(iter(runs.values()))
    tables = {label: differences(run, first) for label, run in runs.items()}
    table = pd.concat(tables, names=["method", "metric"])
    table = table.rename(columns={"after": "percent", "difference": "gain"})
    others = table.index.get_level_values("method") != next(iter(runs))
    table.loc[others, "p, Holm"] = holm(table.loc[others, "p"])
    return table[["percent", "gain", "low", "high", "excludes_0", "p, Holm"]]


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """`side_by_side` for reading: a row per method, cells "percent (gain, low to high)"."""
    cells = [
        f"{row.percent:.2f} ({row.gain:+.2f}, {row.low:+.2f} to {row.high:+.2f})"
        for row in table.itertuples()
    ]
    cells = pd.Series(cells, table.index).unstack("metric")
    return cells[list(NAMES)].reindex(table.index.unique("method"))


def compared(runs: dict[str, dict]) -> pd.DataFrame:
    """Compares each run with the one above it.

    Returns:
        A row for each run ("method") and for each of Rank-1 and mAP the columns: mean in percent,
        "95%", "gain" over the row above in points, "gain 95%" by a paired bootstrap, "excludes 0".
    """
    rows, above = [], None
    for label, run in runs.items():
        row = {"method": label}
        for name in MAIN:
            interval = interval_text(*bootstrap_ci(run[name], run["pid"]))
            row |= {name: float(run[name].mean()), f"{name} 95%": interval}
            if above is not None:
                row |= _gain(name, run, above)
        rows.append(row)
        above = run
    return pd.DataFrame(rows).set_index("method")


def beside_first(runs: dict[int, dict[str, dict]]) -> pd.DataFrame:
    """Compares every training of a seed with that seed's first training.

    Args:
        runs: {seed: {label: run}}.

    Returns:
        A row for each seed (index) and "training", and for each of Rank-1 and mAP the columns: mean
        in percent, "gain" in points, "gain 95%" (paired bootstrap).
    """
    rows = []
    for seed, trainings in runs.items():
        first = next(iter(trainings.values()))
        for label, run in trainings.items():
            row = {"seed": seed, "training": label}
            for name in MAIN:
                row |= {name: float(run[name].mean())} | _gain(name, run, first, seed)
                if run is first:
                    row[f"{name} gain 95%"] = "–"
            rows.append(row)
    table = pd.DataFrame(rows).set_index("seed")
    return table.drop(columns=[f"{name} excludes 0" for name in MAIN])


def over_trainings(table: pd.DataFrame) -> pd.DataFrame:
    """`beside_first` averaged over its seeds: means, gains, and how many seeds gain."""
    trainings = table.groupby("training", sort=False)
    means = trainings[["rank1", "rank1 gain", "mAP", "mAP gain"]].mean()
    for name in MAIN:
        means[f"seeds with more {name}"] = trainings[f"{name} gain"].agg(
            lambda gains: f"{(gains > 0).sum()} of {len(gains)}"
        )
    return means


def over_seeds(runs: dict[int, dict[str, dict]]) -> pd.DataFrame:
    """Each method's mean by seed, and the gain of the last method over the first.

    Args:
        runs: {seed: {label: run}}, with the same labels in the same order for every seed.

    Returns:
        A row for each seed and for each of Rank-1 and mAP the columns "<metric> <label>" (percent)
        and "<metric> gain" (points).
    """
    rows = {}
    for seed, methods in runs.items():
        rows[seed] = row = {}
        for name in MAIN:
            means = {label: float(run[name].mean()) for label, run in methods.items()}
            first, *_, last = means.values()
            row |= {f"{name} {label}": mean for label, mean in means.items()}
            row[f"{name} gain"] = last - first
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("seed")


def averaged(runs: dict[int, dict[str, dict]]) -> pd.DataFrame:
    """Each method's metrics on average over seeds, with intervals over people.

    Args:
        runs: {seed: {method: run}}, with the same methods for every seed.

    Returns:
        A row for each "method" and "metric": percent, its interval low and high, sd over seeds (NaN
        for one seed), seeds (their number).
    """
    rows = {}
    for method, first in next(iter(runs.values())).items():
        for name in NAMES:
            values = np.stack([methods[method][name] for methods in runs.values()])
            low, high = bootstrap_ci(values.mean(0), first["pid"])
            rows[method, name] = {
                "percent": float(values.mean()),
                "low": low,
                "high": high,
                "sd over seeds": float(values.mean(1).std(ddof=1)) if len(values) > 1 else np.nan,
                "seeds": len(values),
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["method", "metric"])


def grid_at(grid: pd.DataFrame, **fixed: float) -> pd.DataFrame:
    """The grid's rows at the nearest K, xi or lam that it holds, e.g. `grid_at(grid, xi=0.5)`."""
    for name, value in fixed.items():
        held = grid[name].unique()
        grid = grid[grid[name] == held[np.abs(held - value).argmin()]]
    return grid


def recommended_K(line: pd.DataFrame, share: float = 0.9) -> int:
    """The smallest K that reaches `share` of the largest gain in Rank-1; 0 if no K gains.

    Args:
        line: Rows of `icl_lib.thi.sweep.grid` at one (xi, lambda): one for each K, with K = 0.
        share: In [0, 1].

    Raises:
        ValueError: If a K has several rows, or K = 0 is missing.
    """
    line = line.sort_values("K")
    if line["K"].duplicated().any() or line["K"].iloc[0] != 0:
        raise ValueError(
            "recommended_K needs one row per K, with K = 0 among them: "
            "choose one xi and one lam with grid_at"
        )
    gain = line["rank1"] - line["rank1"].iloc[0]
    return int(line["K"][gain >= share * gain.max()].iloc[0]) if gain.max() > 0 else 0


def believed_by_truth(log: pd.DataFrame) -> dict[str, pd.Series]:
    """Shares in [0, 1] of the right and of the wrong pairs that CCD believes, by epoch.

    Args:
        log: A training's log with the columns clean (share of all pairs believed), clean_precision
            and clean_recall.
    """
    believed_right = log["clean"] * log["clean_precision"]  # share of all pairs
    # The share of right pairs is the same in every epoch, up to the log's digits.
    right = (believed_right / log["clean_recall"]).median()
    return {
        "right pairs": log["clean_recall"],
        "wrong pairs": (log["clean"] - believed_right) / (1 - right),
    }


def _gain(name: str, run: dict, against: dict, seed: int = 0) -> dict:
    test = paired_bootstrap(run[name], against[name], against["pid"], seed)
    return {
        f"{name} gain": test["difference"],
        f"{name} gain 95%": interval_text(test["low"], test["high"], "+.2f"),
        f"{name} excludes 0": _excludes_zero(test),
    }


def _excludes_zero(test: dict) -> bool:
    return test["low"] > 0 or test["high"] < 0
