"""The kit's plots: each takes plain arrays or tables and returns a Figure for `icl_lib.figures.show`.

Metrics are in percent. `paper` is {label: value} and drawn as dashed lines (or named at the edge where
the fixed range leaves them out); ranges are arguments, so that two runs can be laid side by side.
"""

import numpy as np
import pandas as pd

from icl_lib.figures.style import BLACK, CYCLE, GREEN, GREY, ORANGE, RED, panels, styled
from icl_lib.retrieval.metrics import LABELS

AXES = {
    "K": "rounds K",
    "xi": "threshold ξ on S(q, v̂₁)",
    "lam": "weight λ of S(q, v)",
}


@styled
def metric_over(
    grids, axis: str, fixed: dict, metrics=tuple(LABELS), ylim=None, paper=None, chosen=None, published=None,
    change=False,
):  # fmt: skip
    """Metrics of `icl_lib.thi.algorithm1.grid` along one of K, xi, lam; a panel a metric, three in a row at most.

    grids: a grid, or {label: grid} to compare. fixed: the other two, e.g. {"xi": .5, "lam": .8}, each
    taken at its nearest value in the grid. ylim and paper: one for all panels, or {metric: …}. chosen:
    value to mark; published: the paper's own, a dotted line. change: points gained over the grid's K = 0.
    """
    grids = grids if isinstance(grids, dict) else {"": grids}
    figure, panes = _panes(len(metrics))
    for ax, metric in zip(panes, metrics):
        for label, table in grids.items():
            line = at(table, **fixed).sort_values(axis)
            value = line[metric] - (table.loc[table["K"] == 0, metric].iloc[0] if change else 0)
            ax.plot(line[axis], value, marker="o", label=label)
            if chosen is not None:
                spot = (line[axis] - chosen).abs().to_numpy().argmin()
                x, y = line[axis].iloc[[spot]], value.iloc[[spot]]
                ax.plot(x, y, "o", ms=11, mfc="none", mec=BLACK, mew=1.5, zorder=3)
        name = LABELS[metric].replace(" (%)", ": change (points)") if change else LABELS[metric]
        ax.set(xlabel=AXES[axis], ylabel=name)
        _range(ax, _of(ylim, metric, metrics))
        _paper_lines(ax, _of(paper, metric, metrics))
        low, high = ax.get_xlim()
        if published is not None and low <= published <= high:
            ax.axvline(published, color=GREY, ls=":", lw=1.4)
        if axis == "K":
            _whole_numbers(ax)
    told = [", ".join(f"{_symbol(name)} = {value:g}" for name, value in fixed.items())]
    told += [f"○ {_symbol(axis)} = {chosen:g}, ours"] if chosen is not None else []
    told += [f"⋮ the paper's {_symbol(axis)} = {published:g}"] if published is not None else []
    figure.suptitle("; ".join(told), fontsize=11)
    if len(grids) > 1:
        _legend(panes, len(metrics))
    return figure


def metric_over_K(grids, xi: float, lam: float, **kwargs):
    """The paper's Fig. 6: metrics over rounds K = 0, 1, …; see `metric_over`."""
    return metric_over(grids, "K", {"xi": xi, "lam": lam}, **kwargs)


def metric_over_xi(grids, K: int, lam: float, **kwargs):
    """The paper's Fig. 5: metrics over ξ; see `metric_over`."""
    return metric_over(grids, "xi", {"K": K, "lam": lam}, **kwargs)


def metric_over_lambda(grids, K: int, xi: float, **kwargs):
    """The paper's Fig. 5: metrics over λ; see `metric_over`."""
    return metric_over(grids, "lam", {"K": K, "xi": xi}, **kwargs)


@styled
def heatmap(
    grid: pd.DataFrame, lam: float, vmin: float, vmax: float, metric: str = "rank1", chosen=None
):
    """One metric over K (rows) × ξ (columns) at one λ, range [vmin, vmax]; the best cell is framed.

    chosen: (K, ξ) to ring, at the nearest cell.
    """
    table = at(grid, lam=lam).pivot(index="K", columns="xi", values=metric)
    figure, ((ax,),) = panels(height=0.9 + 0.34 * len(table))
    image = ax.imshow(table, vmin=vmin, vmax=vmax, cmap="cividis", aspect="auto")
    for (row, column), value in np.ndenumerate(table.to_numpy()):
        dark = value < (vmin + vmax) / 2
        ax.text(
            column,
            row,
            f"{value:.1f}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if dark else "black",
        )
    row, column = np.unravel_index(table.to_numpy().argmax(), table.shape)
    ax.plot(column, row, "s", ms=24, mfc="none", mec=RED, mew=2)
    if chosen is not None:
        near = [
            np.abs(np.array(held) - at).argmin()
            for held, at in zip((table.columns, table.index), chosen[::-1])
        ]
        dark = table.to_numpy()[near[1], near[0]] < (vmin + vmax) / 2
        ax.plot(*near, "o", ms=26, mfc="none", mec="white" if dark else BLACK, mew=1.8)
    ax.set_xticks(range(table.shape[1]), [f"{xi:.3g}" for xi in table.columns])
    ax.set_yticks(range(len(table)), table.index)
    title = f"λ = {lam:g}; □ the best cell, {table.to_numpy().max():.1f}"
    ax.set(xlabel=AXES["xi"], ylabel=AXES["K"], title=title + ("; ○ ours" if chosen else ""))
    ax.grid(False)
    figure.colorbar(image, ax=ax, label=f"{LABELS[metric]}, range fixed")
    return figure


@styled
def top1_similarity(
    sim_top1, right, xi: float | None = None, xlim=(0, 1), published: float | None = None
):
    """The paper's Fig. 3: S(q, v̂_1) where the first image is right, and where it is not; each group's share.

    right [Q] bool. Every query is counted, at the edge where it lies beyond xlim. xi: our threshold, and the
    share of right first images on either side; published: the paper's, on its own backbone's scale.
    """
    sim_top1, right = np.asarray(sim_top1), np.asarray(right, dtype=bool)
    figure, ((ax,),) = panels()
    bins = np.linspace(*xlim, 51)
    for chosen, label, color in ((right, "right", GREEN), (~right, "wrong", RED)):
        told = f", median {np.median(sim_top1[chosen]):.3f}" if chosen.any() else ""
        ax.hist(
            np.clip(sim_top1[chosen], *xlim),
            bins,
            weights=np.full(chosen.sum(), 100 / max(1, chosen.sum())),
            color=color,
            alpha=0.55,
            hatch="" if label == "right" else "//",
            label=f"first image {label}: {chosen.sum():,} queries{told}",
        )
    if xi is not None:
        above = sim_top1 > xi
        ax.axvline(xi, color=BLACK, ls="--", lw=1.2)
        share = f"{100 * right[above].mean():.0f}% right above" if above.any() else "no query above"
        below = (
            f"{100 * right[~above].mean():.0f}% right below" if (~above).any() else "no query below"
        )
        ax.set_title(f"-- ξ = {xi:.3g}: {share}, {below}")
    if published is not None:
        ax.axvline(published, color=GREY, ls=":", lw=1.6, label=f"the paper's ξ = {published:g}")
    ax.set(
        xlabel="similarity of the first image, S(q, v̂₁)", ylabel="share of the group (%)", xlim=xlim
    )
    ax.legend(loc="upper left")
    return figure


@styled
def result_bars(results: dict, metrics=("rank1", "mAP"), ceiling=None, paper=None, ylim=(0, 100)):
    """Bars with 95% intervals. results: {label: {"rank1": …, "mAP": …, "ci95": {"rank1": [low, high], …}}}.

    ceiling: the oracle's value, one or {metric: …}. paper: {label of results: value}, one or {metric: {…}}.
    """
    figure, (axes,) = panels(1, len(metrics))
    for ax, metric in zip(axes, metrics):
        values = [results[label][metric] for label in results]
        spread = [
            results[label].get("ci95", {}).get(metric, (v, v)) for label, v in zip(results, values)
        ]
        error = np.abs(np.array(spread).T - np.array(values))
        colors = [CYCLE[i % len(CYCLE)] for i in range(len(values))]
        ax.bar(range(len(values)), values, 0.62, yerr=error, capsize=4, color=colors, alpha=0.85)
        for position, (value, (_, high)) in enumerate(zip(values, spread)):
            ax.text(
                position,
                high + 0.01 * (ylim[1] - ylim[0]),
                f"{value:.1f}",
                ha="center",
                va="bottom",
                fontsize=9,
            )
        for label, value in (_of(paper, metric, metrics) or {}).items():
            ax.plot(
                list(results).index(label), value, "D", color=BLACK, mfc="white", ms=7, zorder=3
            )
        top = _of(ceiling, metric, metrics)
        if top is not None:
            ax.axhline(top, color=ORANGE, ls="--", lw=1.4)
            told = f"a perfect reader of the captions: {top:.1f}"
            ax.annotate(
                told, (0.01, top), (0, 2), ("axes fraction", "data"), "offset points", fontsize=8
            )
        ax.set_xticks(range(len(values)), list(results))
        ax.set(ylabel=LABELS[metric], ylim=ylim)
        ax.grid(axis="x", visible=False)
    figure.supxlabel(
        "bars: 95% bootstrap over queries" + ("; ◇ the paper's value" if paper else ""), fontsize=8
    )
    return figure


def at(grid: pd.DataFrame, **fixed) -> pd.DataFrame:
    """The grid's rows at the nearest K, xi or lam that it holds, e.g. at(grid, xi=.5, lam=.8)."""
    for name, value in fixed.items():
        held = grid[name].unique()
        grid = grid[grid[name] == held[np.abs(held - value).argmin()]]
    return grid


def _symbol(name: str) -> str:
    return {"xi": "ξ", "lam": "λ"}.get(name, name)


def _of(value, metric: str, metrics):
    """`value` itself, or its entry for this metric where it is a dict by metric."""
    by_metric = isinstance(value, dict) and set(value) & set(metrics)
    return value.get(metric) if by_metric else value


def _whole_numbers(ax) -> None:
    ax.xaxis.get_major_locator().set_params(integer=True)


def _range(ax, ylim) -> None:
    if ylim is not None:
        ax.set_ylim(*ylim)
    else:  # a hundredth of a percent is no mountain
        low, high = ax.get_ylim()
        middle, half = (low + high) / 2, max((high - low) / 2, 1)
        ax.set_ylim(middle - half, middle + half)


def _panes(count: int):
    """A figure with `count` panels, up to three in a row, and its axes [panels, then those left over]."""
    columns = count if count < 3 else 3
    figure, axes = panels(-(-count // columns), columns, height=3.4 if columns < 3 else 2.7)
    for ax in axes.ravel()[count:]:
        ax.axis("off")
    return figure, list(axes.ravel())


def _legend(panes: list, count: int) -> None:
    """The first panel's legend, in the first place that no panel takes."""
    where = panes[count] if len(panes) > count else panes[0]
    where.legend(
        *panes[0].get_legend_handles_labels(), loc="center" if where is not panes[0] else "best"
    )


def _paper_lines(ax, paper) -> None:
    low, high = ax.get_ylim()
    beyond: dict[str, list[str]] = {"above": [], "below": []}
    for number, (label, value) in enumerate(
        sorted((paper or {}).items(), key=lambda item: item[1])
    ):
        if low <= value <= high:
            # The paper's values lie close together: the lowest is named below its line, the others above.
            side, up = ("left", "right")[number % 2], number > 0
            ax.axhline(value, color=GREY, ls="--", lw=1.2)
            spot, shift = (0.01 if side == "left" else 0.99, value), (0, 2 if up else -3)
            how = {
                "xycoords": ("axes fraction", "data"),
                "textcoords": "offset points",
                "fontsize": 8,
            }
            told = f"paper, {label}: {value:.2f}"
            ax.annotate(told, spot, shift, ha=side, va="bottom" if up else "top", **how)
        else:
            beyond["above" if value > high else "below"].append(f"{label} {value:.2f}")
    for side, told in beyond.items():
        if told:
            ax.set_xlabel(
                f"{ax.get_xlabel()}\npaper, {side} this range: {', '.join(told)}", fontsize=8
            )
