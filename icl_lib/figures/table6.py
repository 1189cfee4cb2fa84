"""Table 6 (ablation) as bars and as a forest plot."""

import numpy as np
import pandas as pd

from icl_lib.analysis.intervals import spread
from icl_lib.analysis.table6 import METRICS, STEPS
from icl_lib.figures.style import BLACK, CYCLE, panels, styled
from icl_lib.retrieval.metrics import LABELS


@styled
def bars(rows: pd.DataFrame, paper: pd.DataFrame, ylim=(0, 100)):
    """Mean over seeds of every method with Student's 95% interval, a dot a seed, the paper's values as diamonds."""
    figure, (axes,) = panels(1, len(METRICS), height=3.8)
    methods = list(dict.fromkeys(rows["method"]))
    for ax, metric in zip(axes, METRICS):
        told = spread(rows.pivot(index="seed", columns="method", values=metric)).loc[methods]
        error = np.nan_to_num(np.abs(told[["low", "high"]].to_numpy().T - told["mean"].to_numpy()))
        ax.bar(
            range(len(methods)),
            told["mean"],
            0.62,
            yerr=error,
            capsize=4,
            color=CYCLE[0],
            alpha=0.55,
        )
        for x, method in enumerate(methods):
            seeds = rows.loc[rows["method"] == method, metric]
            ax.plot(
                x + 0.09 * (np.arange(len(seeds)) - (len(seeds) - 1) / 2),
                seeds,
                ".",
                color=BLACK,
                ms=6,
            )
            ax.plot(x, paper.loc[method, metric], "D", color=BLACK, mfc="white", ms=7, zorder=3)
            ax.text(
                x,
                ylim[0] + 0.02 * (ylim[1] - ylim[0]),
                f"{told['mean'][method]:.1f}",
                ha="center",
                fontsize=9,
            )
        ax.set_xticks(range(len(methods)), [method.replace(" + ", "\n+ ") for method in methods])
        ax.set(ylabel=LABELS[metric], ylim=ylim)
        ax.grid(axis="x", visible=False)
    count = rows["seed"].nunique()
    figure.supxlabel(
        f"● one seed; bars: mean of {count} seeds, Student's 95% interval; ◇ the paper's value",
        fontsize=8,
    )
    return figure


@styled
def forest(gains: pd.DataFrame, paper: pd.DataFrame, xlim=(-5, 15)):
    """What each step adds, in points: a dot and a 95% interval over queries a seed, the paper's change as a diamond."""
    figure, (axes,) = panels(1, len(METRICS), height=4.2, sharey=True)
    seeds = list(dict.fromkeys(gains["seed"]))
    for ax, metric in zip(axes, METRICS):
        for at, (method, against) in enumerate(STEPS):
            some = gains[
                (gains["metric"] == metric)
                & (gains["method"] == method)
                & (gains["against"] == against)
            ]
            for number, (color, (_, row)) in enumerate(zip(CYCLE * len(some), some.iterrows())):
                y = at + 0.5 * ((number + 0.5) / len(seeds) - 0.5)
                ax.plot([row["low"], row["high"]], [y, y], color=color, lw=1.6)
                ax.plot(
                    row["difference"],
                    y,
                    "o",
                    color=color,
                    label=f"seed {row['seed']}" if not at else None,
                )
            change = paper.loc[method, metric] - paper.loc[against, metric]
            ax.plot(change, at, "D", color=BLACK, mfc="white", ms=7, zorder=3)
        ax.axvline(0, color=BLACK, lw=1)
        ax.set(xlabel=LABELS[metric].replace(" (%)", ", change (points)"), xlim=xlim)
    axes[0].set_yticks(range(len(STEPS)), list(STEPS.values()))
    axes[0].invert_yaxis()
    axes[-1].legend(loc="lower right")
    figure.supxlabel(
        "lines: 95% paired bootstrap over queries, one a seed; ◇ the paper's change", fontsize=8
    )
    return figure
