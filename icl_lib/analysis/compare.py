"""Differences between runs, variants and seeds, side by side."""

import numpy as np
import pandas as pd

from icl_lib.analysis.intervals import bootstrap_ci, paired_bootstrap, people_ci
from icl_lib.retrieval.metrics import LABELS

METRICS = ("rank1", "rank5", "rank10", "mAP")


def side_by_side(rows: dict[str, dict], seed: int = 0) -> pd.DataFrame:
    """Each of `rows` {label: per-query metrics} against the FIRST: a row a label and metric.

    Columns: percent (its mean), gain (points over the first row), low, high (95% paired bootstrap), excludes_0.
    """
    first, table = next(iter(rows.values())), []
    for label, values in rows.items():
        told = differences(values, first, METRICS, seed)
        for metric, row in told.iterrows():
            table.append(
                {
                    "method": label,
                    "metric": metric,
                    "percent": row["after"],
                    "gain": row["difference"],
                    **row[["low", "high", "excludes_0"]].to_dict(),
                }
            )
    return pd.DataFrame(table).set_index(["method", "metric"])


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """`side_by_side` to read: a row a method, each metric as "percent (gain, low to high)"."""
    told = table.apply(
        lambda row: (
            f"{row['percent']:.2f} ({row['gain']:+.2f}, {row['low']:+.2f} to {row['high']:+.2f})"
        ),
        axis=1,
    )
    return told.unstack("metric")[list(METRICS)].reindex(table.index.unique("method"))


def beside_first(runs: dict[int, dict[str, dict]], metrics=("rank1", "mAP")) -> pd.DataFrame:
    """A row a seed and training: its means in percent and its gain in points over the seed's FIRST training.

    runs: {seed: {label: `per_query_metrics`}}, every training measured on the same queries in one order. Columns, for each
    metric: its mean, "<metric> gain", "<metric> gain 95%" (paired bootstrap over queries).
    """
    rows = []
    for seed, values in runs.items():
        first = next(iter(values.values()))
        for label, scores in values.items():
            row: dict = {"seed": seed, "training": label}
            for name in metrics:
                test = paired_bootstrap(scores[name], first[name], seed)
                row |= {name: float(scores[name].mean()), f"{name} gain": test["difference"]}
                row[f"{name} gain 95%"] = (
                    f"{test['low']:+.2f} – {test['high']:+.2f}" if scores is not first else "–"
                )
            rows.append(row)
    return pd.DataFrame(rows).set_index("seed")


def over_trainings(table: pd.DataFrame, metrics=("rank1", "mAP")) -> pd.DataFrame:
    """`beside_first` averaged over its seeds, a row a training in its order: means, gains, and how many seeds gain."""
    groups = table.groupby("training", sort=False)
    told = groups[[column for name in metrics for column in (name, f"{name} gain")]].mean()
    for name in metrics:
        told[f"seeds with more {name}"] = groups[f"{name} gain"].agg(
            lambda gains: f"{(gains > 0).sum()} of {len(gains)}"
        )
    return told


def compared(rows: dict[str, dict], metrics=("rank1", "mAP"), seed: int = 0) -> pd.DataFrame:
    """Methods in order, each against the row above it on the same queries; means, gains and 95% intervals.

    rows: {label: `per_query_metrics`}, all of the same queries in one order. Columns a metric: its mean in
    percent, "95%", "gain" in points over the row above, "gain 95%" by a paired bootstrap, and "excludes
    0".
    """
    table, above = [], None
    for label, values in rows.items():
        row: dict = {"method": label}
        for name in metrics:
            low, high = bootstrap_ci(values[name], seed)
            row |= {name: float(values[name].mean()), f"{name} 95%": f"{low:.1f} – {high:.1f}"}
            if above is not None:
                test = paired_bootstrap(values[name], above[name], seed)
                row |= {
                    f"{name} gain": test["difference"],
                    f"{name} gain 95%": f"{test['low']:+.2f} – {test['high']:+.2f}",
                    f"{name} excludes 0": _excludes_zero(test),
                }
        table.append(row)
        above = values
    return pd.DataFrame(table).set_index("method")


def differences(
    after: dict, before: dict, metrics=tuple(LABELS), seed: int = 0, pids=None
) -> pd.DataFrame:
    """Paired bootstrap of every metric, a row each: before, after (percent), difference, low, high
    (points), p, excludes_0.

    pids [Q]: also "people low" and "people high", from drawing whole people anew, with all their queries.
    """
    rows = {}
    for name in metrics:
        test = paired_bootstrap(after[name], before[name], seed)
        rows[name] = {
            "before": float(before[name].mean()),
            "after": float(after[name].mean()),
            **test,
            "excludes_0": _excludes_zero(test),
        }
        if pids is not None:
            low, high = people_ci(after[name] - before[name], pids, seed)
            rows[name] |= {"people low": low, "people high": high}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


def recommended_K(line: pd.DataFrame, share: float = 0.9) -> int:
    """The smallest K that reaches `share` of the largest gain in Rank-1 over K = 0; 0 where no K gains.

    line: rows of `icl_lib.thi.algorithm1.grid` at one (xi, lambda), one a K, K = 0 among them.
    """
    line = line.sort_values("K")
    if line["K"].duplicated().any() or line["K"].iloc[0] != 0:
        raise ValueError(
            "recommended_K wants one row a K, K = 0 among them: fix xi and lam with figures.at"
        )
    gain = (line["rank1"] - line["rank1"].iloc[0]).to_numpy()
    return int(line["K"].to_numpy()[np.argmax(gain >= share * gain.max())]) if gain.max() > 0 else 0


def believed_by_truth(log: pd.DataFrame) -> dict[str, pd.Series]:
    """Shares in [0, 1] of the right and of the wrong pairs that CCD believes, an epoch, from a log's clean (the
    share of all pairs), clean_precision and clean_recall.
    """
    believed_right = log["clean"] * log["clean_precision"]  # of all pairs
    right = (
        believed_right / log["clean_recall"]
    ).median()  # the same in every epoch, up to the log's digits
    return {
        "right pairs": log["clean_recall"],
        "wrong pairs": (log["clean"] - believed_right) / (1 - right),
    }


def _excludes_zero(test: dict) -> bool:
    return bool(test["low"] > 0 or test["high"] < 0)


def over_seeds(runs: dict[int, dict[str, dict]], metrics=("rank1", "mAP")) -> pd.DataFrame:
    """A row a seed: each method's mean in percent, and the last method's gain over the first in points.

    runs: {seed: {label: `per_query_metrics`}}, the same labels in the same order for every seed. Columns, for
    each metric: "<metric> <label>", then "<metric> gain".
    """
    rows = {}
    for seed, values in runs.items():
        row, (first, *_, last) = {}, values
        for name in metrics:
            row |= {
                f"{name} {label}": float(scores[name].mean()) for label, scores in values.items()
            }
            row[f"{name} gain"] = row[f"{name} {last}"] - row[f"{name} {first}"]
        rows[seed] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("seed")
