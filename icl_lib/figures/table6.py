"""Table 6 over several trainings: its rows as bars, and what each step adds."""

import numpy as np
import pandas as pd

from icl_lib.analysis.intervals import spread
from icl_lib.analysis.table6 import METRICS, STEPS
from icl_lib.figures.marks import diamonds, interval_bars
from icl_lib.figures.style import BLACK, CYCLE, panels, styled, widened
from icl_lib.retrieval.metrics import LABELS


@styled
def bars(rows: pd.DataFrame, paper: pd.DataFrame, ylim: tuple[float, float]):
    """Every method's mean over seeds with Student's 95% interval, and a dot for each seed.

    Args:
        rows: What `icl_lib.analysis.table6.rows_of` returns.
        paper: What `icl_lib.analysis.table6.paper_rows` returns.
        ylim: Range in percent, widened where an interval, a dot or a diamond would leave it.
    """
    figure, (axes,) = panels(1, len(METRICS), height=3.8)
    methods = list(rows["method"].unique())
    names = [method.replace(" + ", "\n+ ") for method in methods]
    known = paper.loc[methods, list(METRICS)]
    ends = [ylim]
    for ax, metric in zip(axes, METRICS, strict=True):
        seeds = rows.pivot(index="seed", columns="method", values=metric)[methods]
        summary = spread(seeds)
        interval_bars(ax, summary["mean"], summary["low"], summary["high"], names, CYCLE[0], 0.55)
        shift = 0.09 * (np.arange(len(seeds)) - (len(seeds) - 1) / 2)
        for x, method in enumerate(methods):
            ax.plot(x + shift, seeds[method], ".", color=BLACK, ms=6)
            drawn = [summary["low"][method], summary["high"][method], known[metric][method]]
            ends.append((np.nanmin([*drawn, *seeds[method]]), np.nanmax([*drawn, *seeds[method]])))
            text, how = f"{summary['mean'][method]:.1f}", {"textcoords": "offset points"}
            ax.annotate(text, (x, ends[-1][1]), (0, 6), ha="center", fontsize=9, **how)
        diamonds(ax, range(len(methods)), known[metric])
        ax.set_ylabel(LABELS[metric])
    for ax in axes:
        ax.set_ylim(widened(ylim, ends))
    note = f"● one seed; bars: mean of {len(seeds)} seeds, Student's 95% interval"
    figure.supxlabel(f"{note}; ◇ the paper's value", fontsize=8)
    return figure


@styled
def forest(gains: pd.DataFrame, paper: pd.DataFrame, xlim: tuple[float, float]):
    """What each step adds: for each seed the gain with its 95% interval over people.

    Args:
        gains: What `icl_lib.analysis.table6.gains_of` returns.
        paper: What `icl_lib.analysis.table6.paper_rows` returns.
        xlim: Range in points, widened where an interval or a diamond would leave it.
    """
    figure, (axes,) = panels(1, len(METRICS), height=4.2, sharey=True)
    steps, count = pd.MultiIndex.from_tuples(STEPS), gains["seed"].nunique()
    known = paper[list(METRICS)]
    change = pd.DataFrame({step: known.loc[step[0]] - known.loc[step[1]] for step in STEPS}).T
    xlim = widened(xlim, gains[["low", "high"]], change)
    *shifts, own = np.linspace(-0.3, 0.3, count + 1)  # the paper's has a line of its own
    for ax, metric in zip(axes, METRICS, strict=True):
        some = gains[gains["metric"] == metric].set_index(["method", "against"])
        for shift, color, (seed, rows) in zip(shifts, CYCLE, some.groupby("seed"), strict=False):
            rows, y = rows.loc[steps], np.arange(len(STEPS)) + shift
            ax.hlines(y, rows["low"], rows["high"], color=color, lw=1.6)
            ax.plot(rows["difference"], y, "o", color=color, label=f"seed {seed}")
        diamonds(ax, change[metric], np.arange(len(STEPS)) + own)
        ax.axvline(0, color=BLACK, lw=1)
        ax.set(xlabel=LABELS[metric].replace(" (%)", ", change (points)"), xlim=xlim)
    axes[0].set_yticks(range(len(STEPS)), list(STEPS.values()))
    axes[0].invert_yaxis()
    axes[-1].legend(loc="lower right")
    note = "lines: 95% paired bootstrap over people, one per seed; ◇ the paper's change"
    figure.supxlabel(note, fontsize=8)
    return figure
