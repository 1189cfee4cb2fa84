"""The paper's Tables 1 to 5 as figures: methods on several data sets, and one domain to another."""

import numpy as np
import pandas as pd

from icl_lib.analysis.compare import MAIN
from icl_lib.figures.marks import diamonds, write_values
from icl_lib.figures.style import BLACK, CYCLE, GREEN, RED, panels, styled
from icl_lib.retrieval.metrics import LABELS, NAMES


@styled
def grouped_bars(table: pd.DataFrame, paper: pd.Series, ylim: tuple[float, float] = (0, 100)):
    """Rank-1 and mAP as groups of bars, with 95% intervals and the paper's values as diamonds.

    Args:
        table: Indexed by group, bar and metric; the columns percent, low and high.
        paper: The paper's values with the same index; rows may be missing.
        ylim: Range in percent.
    """
    figure, axes = panels(len(MAIN), 1, height=2.8)
    groups, names = (table.index.unique(level) for level in (0, 1))
    width = 0.84 / len(names)
    for (ax,), metric in zip(axes, MAIN, strict=True):
        for place, (name, color) in enumerate(zip(names, CYCLE, strict=False)):
            index = [(group, name, metric) for group in groups]
            rows = table.reindex(index)
            x = np.arange(len(groups)) + (place - (len(names) - 1) / 2) * width
            error = np.nan_to_num([rows["percent"] - rows["low"], rows["high"] - rows["percent"]])
            look = {"color": color, "alpha": 0.85, "label": name, "capsize": 2}
            ax.bar(x, rows["percent"], width, yerr=error, **look)
            drawn = rows["percent"].notna().to_numpy()
            for middle, value in zip(x[drawn], rows["percent"][drawn], strict=True):
                foot, how = (middle, ylim[0]), {"textcoords": "offset points", "ha": "center"}
                ax.annotate(f"{value:.1f}", foot, (0, 4), fontsize=8, color="white", **how)
            diamonds(ax, x, paper.reindex(index))
        ax.set_xticks(range(len(groups)), groups)
        ax.set(ylabel=LABELS[metric], ylim=ylim)
        ax.grid(axis="x", visible=False)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=len(names))
    figure.supxlabel("bars: 95% bootstrap over people; ◇ the paper's value", fontsize=8)
    return figure


@styled
def step_gains(table: pd.DataFrame, steps: dict[str, str], xlim: tuple[float, float]):
    """What each step gains on each data set: a row of panels per step, a column per metric.

    Args:
        table: Indexed by group, method and metric; the columns gain, low and high (points).
        steps: {method: what the step is called}.
        xlim: Range in points; what lies outside is drawn at its edge, as an arrow.
    """
    figure, axes = panels(len(steps), len(NAMES), height=1.5, sharex=True, sharey=True)
    groups = table.index.unique(0)
    for line, (method, step) in zip(axes, steps.items(), strict=True):
        for ax, metric in zip(line, NAMES, strict=True):
            rows = table.xs((method, metric), level=("method", "metric")).reindex(groups)
            for y, row in enumerate(rows.itertuples()):
                color = GREEN if row.low > 0 else RED if row.high < 0 else BLACK
                ax.plot(np.clip([row.low, row.high], *xlim), [y, y], "|-", color=color)
                inside = xlim[0] <= row.gain <= xlim[1]
                mark = "o" if inside else ">" if row.gain > xlim[1] else "<"
                ax.plot(np.clip(row.gain, *xlim), y, mark, color=color)
            ax.axvline(0, color=BLACK, lw=1)
            ax.set_xlim(xlim)
            if ax in axes[0]:
                ax.set_title(LABELS[metric].removesuffix(" (%)"))
            if ax in axes[-1]:
                ax.set_xlabel("points")
        line[0].set_yticks(range(len(groups)), groups, fontsize=8)
        line[0].set_ylim(len(groups) - 0.5, -0.5)
        line[0].set_ylabel(step, fontsize=8)
    note = "lines: 95% paired bootstrap over people; in colour where they leave out 0"
    figure.supxlabel(note, fontsize=8, x=0.01, ha="left")
    return figure


@styled
def domain_maps(
    maps: dict[str, pd.DataFrame], names: list[str], vmin: float = 0, vmax: float = 100
):
    """Heat maps of one metric, source (rows) by target (columns), two in a row.

    Args:
        maps: {title: values in percent}; what is missing is left white.
        names: The data sets, in the order in which rows and columns show them.
        vmin: Lower end of the colours' range.
        vmax: Its upper end.
    """
    rows = -(-len(maps) // 2)
    figure, axes = panels(rows, 2, height=3.0)
    for ax, (title, table) in zip(axes.flat, maps.items(), strict=False):
        table = table.reindex(names, columns=names)
        shown = np.ma.masked_invalid(table.to_numpy(float))
        image = ax.imshow(shown, vmin=vmin, vmax=vmax, cmap="cividis", aspect="auto")
        write_values(ax, image, range(table.shape[1]), range(len(table)), ".1f")
        ax.set_xticks(range(table.shape[1]), table.columns, fontsize=7)
        ax.set_yticks(range(len(table)), table.index, fontsize=8)
        ax.set_title(title)
        ax.grid(False)
    for ax in axes.flat[len(maps) :]:
        ax.set_axis_off()
    axes[0, 0].set(ylabel="trained on", xlabel="searched in")
    figure.colorbar(image, ax=axes, label="percent, fixed range", shrink=0.8)
    return figure
