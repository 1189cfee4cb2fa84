"""Metrics over THI's parameters, and the results of whole runs; all metrics are in percent.

`paper` holds the paper's values, {metric: {label: value}}. Ranges are arguments, so that figures of
two runs can be laid side by side; `icl_lib.figures.style.widened` widens them where a curve would
leave its frame.
"""

import numpy as np
import pandas as pd

from icl_lib.analysis.compare import MAIN, grid_at
from icl_lib.figures.marks import at_the_edge, diamonds, interval_bars, whole_numbers, write_values
from icl_lib.figures.style import (
    BLACK,
    CYCLE,
    GREY,
    ORANGE,
    RED,
    panel_list,
    panels,
    styled,
    widened,
)
from icl_lib.retrieval.metrics import LABELS

AXES = {
    "K": "rounds K",
    "xi": "threshold ξ on S(q, v̂₁)",
    "lam": "weight λ of S(q, v)",
}
SYMBOLS = {"K": "K", "xi": "ξ", "lam": "λ"}


@styled
def metric_over(
    grids: dict, axis: str, point: dict, ranges: dict, paper: dict, published: float, change=False
):
    """Metrics over one of THI's parameters (the paper's Figs. 5 and 6), a panel for each metric.

    Args:
        grids: {label: `icl_lib.thi.sweep.grid`}, a line each.
        axis: The parameter: "K", "xi" or "lam".
        point: The chosen {"K", "xi", "lam"}. Its value of `axis` is ringed; the other two are held
            at their nearest values in the grid.
        ranges: {metric: (low, high)} of the panels, widened where a curve would leave them.
        paper: The paper's values, drawn as dashed lines and written at the right edge.
        published: The paper's own value of `axis`, drawn as a dotted line.
        change: Whether to draw points gained over K = 0 instead of percent.
    """
    fixed = {name: value for name, value in point.items() if name != axis}
    figure, axes = panel_list(len(ranges), 2.7 if len(ranges) > 2 else 3.4)
    for ax, (metric, limits) in zip(axes, ranges.items(), strict=True):
        lines = []
        for label, grid in grids.items():
            line = grid_at(grid, **fixed).set_index(axis)[metric].sort_index()
            line -= grid.loc[grid["K"] == 0, metric].iloc[0] if change else 0
            lines.append(line)
            ax.plot(line.index, line, marker="o", label=label)
            chosen = line.index[np.abs(line.index - point[axis]).argmin()]
            ax.plot(chosen, line[chosen], "o", ms=11, mfc="none", mec=BLACK, mew=1.5, zorder=3)
        name = LABELS[metric].replace(" (%)", ": change (points)") if change else LABELS[metric]
        ylim = widened(limits, *lines, step=1 if change else 5)
        ax.set(xlabel=AXES[axis], ylabel=name, ylim=ylim)
        at_the_edge(ax, paper[metric])
        left, right = ax.get_xlim()
        if left <= published <= right:
            ax.axvline(published, color=GREY, ls=":", lw=1.4)
        if axis == "K":
            whole_numbers(ax)
    symbol, held = SYMBOLS[axis], ", ".join(f"{SYMBOLS[n]} = {v:g}" for n, v in fixed.items())
    figure.suptitle(
        f"{held}; ○ {symbol} = {point[axis]:g}, ours; ⋮ the paper's {symbol} = {published:g}; "
        "- - its metrics, at the right edge",
        fontsize=11,
    )
    if len(grids) > 1:
        handles = axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower left", ncols=len(grids))
    return figure


@styled
def heatmap(grid: pd.DataFrame, point: dict, vmin: float, vmax: float):
    """Rank-1 over K (rows) × ξ (columns) at the chosen λ; a square marks the best cell.

    Args:
        grid: `icl_lib.thi.sweep.grid`.
        point: The chosen {"K", "xi", "lam"}; a circle marks the nearest cell.
        vmin: Lower end of the colours' range, which is widened where a value lies outside it.
        vmax: Its upper end.
    """
    table = grid_at(grid, lam=point["lam"]).pivot(index="K", columns="xi", values="rank1")
    vmin, vmax = widened((vmin, vmax), table)
    figure, ((ax,),) = panels(height=0.9 + 0.34 * len(table))
    image = ax.imshow(table, vmin=vmin, vmax=vmax, cmap="cividis", aspect="auto")
    dark = write_values(ax, image, range(table.shape[1]), range(len(table)), ".1f")
    row, column = np.unravel_index(table.to_numpy().argmax(), table.shape)
    ax.plot(column, row, "s", ms=24, mfc="none", mec=RED, mew=2)
    row = np.abs(table.index - point["K"]).argmin()
    column = np.abs(table.columns - point["xi"]).argmin()
    ring = "white" if dark[row, column] else BLACK
    ax.plot(column, row, "o", ms=26, mfc="none", mec=ring, mew=1.8)
    ax.set_xticks(range(table.shape[1]), [f"{xi:.3g}" for xi in table.columns])
    ax.set_yticks(range(len(table)), table.index)
    title = f"λ = {point['lam']:g}; □ best cell, {table.to_numpy().max():.1f}; ○ ours"
    ax.set(xlabel=AXES["xi"], ylabel=AXES["K"], title=title)
    ax.grid(False)
    figure.colorbar(image, ax=ax, label=f"{LABELS['rank1']}, fixed range")
    return figure


@styled
def result_bars(results: dict, paper: dict, ceiling: float | None = None):
    """Rank-1 and mAP of several runs with their 95% intervals.

    Args:
        results: {label: `icl_lib.analysis.intervals.with_intervals`}, a bar each.
        paper: The paper's values by the same labels, drawn as diamonds.
        ceiling: Rank-1 of a perfect reader of the captions, drawn as a dashed line.
    """
    figure, (axes,) = panels(1, len(MAIN))
    for ax, metric in zip(axes, MAIN, strict=True):
        values = [result[metric] for result in results.values()]
        low, high = np.transpose([result["ci95"][metric] for result in results.values()])
        bars = interval_bars(ax, values, low, high, list(results), CYCLE[: len(values)])
        ax.bar_label(bars, fmt="%.1f", padding=2, fontsize=9)
        diamonds(ax, range(len(values)), [paper[metric].get(label, np.nan) for label in results])
        ax.set(ylabel=LABELS[metric], ylim=(0, 100))
    if ceiling is not None:
        axes[0].axhline(ceiling, color=ORANGE, ls="--", lw=1.4)
        note, spot = f"a perfect reader of the captions: {ceiling:.1f}", (0.01, ceiling)
        where = ("axes fraction", "data")
        axes[0].annotate(note, spot, (0, 2), where, "offset points", fontsize=8)
    figure.supxlabel("bars: 95% bootstrap over people; ◇ the paper's value", fontsize=8)
    return figure
