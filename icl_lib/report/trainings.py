"""The same comparison over several trainings: other seeds, and other shares of wrong pairs."""

import numpy as np
import pandas as pd
from scipy import stats

from icl_lib.report.figures import LABELS
from icl_lib.report.style import CYCLE, panels, styled


def over_seeds(runs: dict[int, dict[str, dict]], metrics=("rank1", "mAP")) -> pd.DataFrame:
    """A row a seed: each method's mean in percent, and the last method's gain over the first in points.

    runs: {seed: {label: `per_query_metrics`}}, the same labels in the same order for every seed. Columns, for
    each metric: "<metric> <label>", then "<metric> gain".
    """
    rows = {}
    for seed, values in runs.items():
        row, (first, *_, last) = {}, values
        for name in metrics:
            row |= {f"{name} {label}": float(scores[name].mean()) for label, scores in values.items()}
            row[f"{name} gain"] = row[f"{name} {last}"] - row[f"{name} {first}"]
        rows[seed] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("seed")


def spread(table: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Mean over the seeds of every column of `over_seeds`, standard deviation, and Student's interval of the mean.

    The interval is mean ± t · sd / √n with n − 1 degrees of freedom; NaN for a single seed, which has no spread.
    """
    n = len(table)
    half = stats.t.ppf((1 + level) / 2, n - 1) * table.std() / np.sqrt(n) if n > 1 else np.nan
    told = {"mean": table.mean(), "sd": table.std(), "low": table.mean() - half, "high": table.mean() + half}
    return pd.DataFrame(told).rename_axis("quantity")


@styled
def seed_lines(table: pd.DataFrame, metrics=("rank1", "mAP"), ylim=(0, 100)):
    """Each seed's means as a line from the first method to the last; `table` of `over_seeds`, percent."""
    figure, (axes,) = panels(1, len(metrics))
    for ax, name in zip(axes, metrics):
        labels = [column[len(name) + 1:] for column in table if column.startswith(f"{name} ")]
        labels.remove("gain")
        for color, (seed, row) in zip(CYCLE * len(table), table.iterrows()):
            means = [row[f"{name} {label}"] for label in labels]
            ax.plot(range(len(means)), means, marker="o", color=color, label=f"seed {seed}")
        ax.set_xticks(range(len(labels)), labels)
        ax.set(ylabel=f"{LABELS.get(name, name)} (%)", ylim=ylim, xlim=(-0.3, len(labels) - 0.7))
    axes[0].legend()
    return figure


@styled
def noise_lines(table: pd.DataFrame, metrics=("rank1", "mAP"), ylim=(0, 100)):
    """Metrics (percent) over the share of wrong training pairs, with CCD and without, with 95% intervals.

    table: a row a training, columns "wrong pairs (%)", CCD (bool), the metrics and ci95 ({metric: [low, high]}).
    """
    figure, (axes,) = panels(1, len(metrics))
    for ax, name in zip(axes, metrics):
        for ccd, rows in table.groupby("CCD"):
            ends = np.array([row[name] for row in rows["ci95"]]).T  # [2, shares]
            error = np.abs(ends - rows[name].to_numpy())
            ax.errorbar(rows["wrong pairs (%)"], rows[name], error, marker="o", capsize=4, ls="-" if ccd else "--",
                        label="with CCD" if ccd else "without CCD")
        ax.set(xlabel="wrong training pairs (%)", ylabel=f"{LABELS.get(name, name)} (%)", ylim=ylim)
    axes[0].legend()
    return figure
