"""Figures of speed: what a query costs, what each saving brings, and galleries at scale."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from icl_lib.figures.style import BLACK, BLUE, CYCLE, GREY, panels, styled
from icl_lib.speed.deciding import GENERATED, PLAIN, SHARED
from icl_lib.speed.latency import PARTS

WORKSTATION = 64  # GB of memory


@styled
def stacked_parts(tables: dict[str, pd.DataFrame]) -> Figure:
    """Milliseconds per query, part by part: a panel per table, a stacked bar per (K, way).

    Args:
        tables: {title: table of `icl_lib.speed.latency.means`}. All panels have the same range.
    """
    bars = max(len(table) for table in tables.values())
    figure, axes = panels(len(tables), 1, height=0.9 + 0.35 * bars, sharex=True)
    for ax, (title, table) in zip(axes[:, 0], tables.items(), strict=True):
        names = [f"K = {K}, {way}" for K, way in table.index]
        rows = table[list(PARTS)].set_axis(names)
        rows.plot.barh(ax=ax, stacked=True, width=0.7, color=CYCLE[: len(PARTS)], legend=False)
        ax.bar_label(ax.containers[-1], [f"{total:,.0f}" for total in table["total"]], padding=3)
        ax.invert_yaxis()  # the first row on top
        ax.set_title(title)
        ax.grid(False, axis="y")
    widest = max(table["total"].max() for table in tables.values())
    axes[-1, 0].set(xlabel="milliseconds per query", xlim=(0, 1.15 * widest))
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=len(PARTS))
    return figure


@styled
def growth(table: pd.DataFrame, asking: float) -> Figure:
    """Milliseconds of search and of re-ranking over the gallery's size, both axes logarithmic.

    Args:
        table: of `icl_lib.speed.latency.by_gallery`.
        asking: milliseconds per query that the MLLM takes, drawn as a dashed line.
    """
    figure, axes = panels(1, 2, sharey=True)
    table = table.reset_index("index")
    for ax, part in zip(axes[0], ("search", "re-rank"), strict=True):
        ax.loglog(table.index, table[part], marker="o", label=f"{table['index'].iloc[0]} index")
        ax.axhline(asking, color=BLACK, linewidth=1, linestyle="--", label="the MLLM's parts")
        ax.set(title=part, xlabel="pictures in the gallery")
        _size_ticks(ax, table.index)
    axes[0, 0].set_ylabel("milliseconds per query")
    axes[0, 1].legend(loc="center right")
    return figure


@styled
def deciding(tables: dict[str, pd.DataFrame]) -> Figure:
    """Pairs decided per second, by texts per picture: a panel per table, a bar per way.

    Args:
        tables: {title: table of `icl_lib.speed.deciding.by_texts`}. The number over a bar is the
            ratio of the last way to the first.
    """
    figure, axes = panels(1, len(tables))
    for ax, (title, table) in zip(axes[0], tables.items(), strict=True):
        ways = table[[GENERATED, PLAIN, SHARED]]
        ways.plot.bar(ax=ax, width=0.8, rot=0, color=CYCLE[:3], legend=False)
        ax.bar_label(ax.containers[-1], [f"{ratio:.1f} x" for ratio in table["ratio"]], fontsize=8)
        ax.set(title=title, ylim=(0, 1.3 * ways.to_numpy().max()))
        ax.grid(False, axis="x")
    axes[0, 0].set_ylabel("pairs per second")
    axes[0, 0].legend(loc="upper left")
    return figure


@styled
def savings_bars(tables: dict[str, pd.DataFrame]) -> Figure:
    """Seconds way by way: a panel for each table, and at each bar its ratio to the released way.

    Args:
        tables: {title: table of `evaluating.savings` or `training.savings` in `icl_lib.speed`}.
    """
    figure, axes = panels(len(tables), 1, height=2.7)
    for ax, (title, table) in zip(axes[:, 0], tables.items(), strict=True):
        colours = [GREY] + [BLUE] * (len(table) - 1)
        bars = ax.barh(table.index, table["seconds"], color=colours, height=0.7)
        ax.bar_label(bars, [f"{ratio:.1f} x" for ratio in table["ratio"]], padding=3)
        ax.invert_yaxis()  # the first row on top
        limit = 1.12 * table["seconds"].max()
        ax.set(title=title, xlabel="seconds (less is better)", xlim=(0, limit))
        ax.grid(False, axis="y")
    return figure


@styled
def ratio_growth(evaluation: pd.DataFrame, metrics: pd.DataFrame) -> Figure:
    """Ratios to the released way over the gallery's size: whole evaluations, and the metrics alone.

    Args:
        evaluation: of `icl_lib.speed.evaluating.growth`.
        metrics: of `icl_lib.speed.metrics_memory.metrics_growth`.
    """
    figure, axes = panels(1, 2)
    for name in evaluation.filter(like="ratio, "):
        label = name.removeprefix("ratio, ")
        axes[0, 0].semilogx(evaluation["pictures"], evaluation[name], marker="o", label=label)
    label = "counted against sorted"
    axes[0, 1].semilogx(metrics["pictures"], metrics["ratio"], marker="o", label=label)
    titled = {"Evaluation": evaluation, "Metrics alone": metrics}
    for ax, (title, table) in zip(axes[0], titled.items(), strict=True):
        ax.axhline(1, color=BLACK, linewidth=1)
        ax.set(title=title, xlabel="pictures in the gallery", ylabel="times as fast")
        ax.set_ylim(0, None)
        ax.legend(loc="best")
        _size_ticks(ax, table["pictures"])
    return figure


@styled
def recall_against_time(study: pd.DataFrame) -> Figure:
    """Recall@10 (0 to 100) over milliseconds per query (logarithmic): a panel per gallery size.

    Args:
        study: of `icl_lib.speed.galleries.study`. A line joins the search options of one index.
    """
    sizes = sorted(study["items"].unique())
    figure, axes = panels(1, len(sizes), sharex=True, sharey=True)
    families = study["index"].str.replace(r"IVF\d+", "IVF", regex=True)
    colours = dict(zip(families.unique(), CYCLE * 3, strict=False))
    for ax, items in zip(axes[0], sizes, strict=True):
        for family, rows in study[study["items"] == items].groupby(families, sort=False):
            rows = rows.sort_values("ms")
            colour = colours[family]
            ax.semilogx(rows["ms"], rows["recall"], marker="o", color=colour, label=family)
        ax.set(title=f"{items:,} vectors", xlabel="ms per query", ylim=(0, 105))
    low, high = study["ms"].min() / 10, study["ms"].max() * 10
    ticks = [tick for tick in 10.0 ** np.arange(-4, 5) if low < tick < high]
    axes[0, 0].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[0, 0].xaxis.minorticks_off()
    axes[0, 0].set_ylabel("recall@10 against Flat (%)")
    axes[0, -1].legend(loc="lower right")
    return figure


@styled
def weight_on_paper(table: pd.DataFrame) -> Figure:
    """Gigabytes of each index over the number of vectors, both axes logarithmic.

    Args:
        table: of `icl_lib.speed.galleries.on_paper`.
    """
    figure, axes = panels()
    ax, weights = axes[0, 0], table.drop(columns="bytes per item").T
    weights.index = weights.index.astype(float)
    weights.columns = [
        f"{name}, {size:.0f} bytes per item" for name, size in table["bytes per item"].items()
    ]
    weights.plot(ax=ax, marker="o", loglog=True, xlabel="vectors", ylabel="GB")
    ax.axhline(WORKSTATION, color=BLACK, linewidth=1, linestyle="--")
    told = f"{WORKSTATION} GB, the memory of a workstation"
    ax.text(weights.index[0], 1.1 * WORKSTATION, told, va="bottom")
    ax.legend(loc="lower right")
    return figure


def _size_ticks(ax: Axes, sizes) -> None:
    ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
    ax.xaxis.minorticks_off()
