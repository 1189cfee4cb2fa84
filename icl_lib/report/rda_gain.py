"""One change of the training against a first, unchanged one, over one or several seeds: table and figure."""

import numpy as np
import pandas as pd

from icl_lib.report.figures import LABELS
from icl_lib.report.style import BLACK, CYCLE, GREY, panels, styled
from icl_lib.retrieval.metrics import paired_bootstrap


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
                row[f"{name} gain 95%"] = f"{test['low']:+.2f} – {test['high']:+.2f}" if scores is not first else "–"
            rows.append(row)
    return pd.DataFrame(rows).set_index("seed")


def over_trainings(table: pd.DataFrame, metrics=("rank1", "mAP")) -> pd.DataFrame:
    """`beside_first` averaged over its seeds, a row a training in its order: means, gains, and how many seeds gain."""
    groups = table.groupby("training", sort=False)
    told = groups[[column for name in metrics for column in (name, f"{name} gain")]].mean()
    for name in metrics:
        told[f"seeds with more {name}"] = groups[f"{name} gain"].agg(lambda gains: f"{(gains > 0).sum()} of {len(gains)}")
    return told


@styled
def training_dots(table: pd.DataFrame, metrics=("rank1", "mAP"), xlim=(0, 100)):
    """A line a training, a dot a seed, a bar at their mean; dashed: the first training's. `table` of `beside_first`."""
    figure, (axes,) = panels(1, len(metrics), height=0.5 + 0.45 * table["training"].nunique(), sharey=True)
    labels = list(dict.fromkeys(table["training"]))
    for ax, name in zip(axes, metrics):
        for color, (seed, rows) in zip(CYCLE * len(table), table.groupby(level=0)):
            ax.plot(rows[name], [labels.index(label) for label in rows["training"]], "o", color=color, label=f"seed {seed}")
        means = table.groupby("training")[name].mean().reindex(labels)
        ax.plot(means, np.arange(len(labels)), "|", color=BLACK, ms=16, mew=1.5)
        ax.axvline(means.iloc[0], color=GREY, ls="--", lw=1)
        ax.set_yticks(range(len(labels)), labels)
        ax.set(xlabel=LABELS.get(name, name), xlim=xlim, ylim=(len(labels) - 0.5, -0.5))
    axes[-1].legend()
    return figure


@styled
def trade_curve(table: pd.DataFrame, chosen: float | None = None):
    """What leaving out M's least believed additions does; `table` of `icl_lib.hallucination.trade`, percent.

    chosen: the share (percent) to mark.
    """
    figure, ((ax,),) = panels()
    ax.plot(table.index, table["true kept"], marker="o", label="true sub-sentences kept")
    ax.plot(table.index, table["contradicted"], marker="x", ls="--", label="contradicted, of what is left")
    if chosen is not None:
        ax.axvline(chosen, color=BLACK, ls=":", lw=1.2)
    ax.set(xlabel="M's additions left out, least believed first (%)", ylabel="sub-sentences (%)", ylim=(0, 102))
    ax.legend(loc="center right")
    return figure
