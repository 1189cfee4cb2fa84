"""Figures of what a query costs in time: stacked parts, and what deciding by one forward pass saves."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from icl_lib.figures.style import BLACK, BLUE, CYCLE, GREY, panels, styled
from icl_lib.speed.deciding import GENERATED, PLAIN, SHARED
from icl_lib.speed.latency import PARTS


@styled
def stacked_parts(tables: dict[str, pd.DataFrame], limit: float | None = None) -> Figure:
    """One panel a table of `icl_lib.speed.latency.means`: a bar a K and way, its parts one on the other.

    Milliseconds a query, with the total at the bar's end. All panels have one range, `limit` ms if given.
    """
    bars = max(len(table) for table in tables.values())
    figure, axes = panels(len(tables), 1, height=0.9 + 0.35 * bars, sharex=True)
    limit = limit or 1.15 * max(table["total"].max() for table in tables.values())
    for ax, (title, table) in zip(axes[:, 0], tables.items()):
        places, left = np.arange(len(table))[::-1], np.zeros(len(table))
        for colour, part in zip(CYCLE, PARTS):
            ax.barh(places, table[part], left=left, color=colour, height=0.7, label=part)
            left += table[part].to_numpy()
        for place, total in zip(places, left):
            ax.text(total, place, f" {total:,.0f}", va="center")
        ax.set_yticks(places, [f"K = {K}, {way}" for K, way in table.index])
        ax.set(title=title, xlim=(0, limit))
        ax.grid(False, axis="y")
    axes[-1, 0].set_xlabel("milliseconds a query")
    figure.legend(
        *axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(PARTS)
    )
    return figure


@styled
def growth(table: pd.DataFrame, asking: float) -> Figure:
    """Milliseconds of search and re-ranking over the gallery's size, a line an index, both axes logarithmic.

    table: of `icl_lib.speed.latency.by_gallery`. asking: milliseconds that M takes a query, drawn to
    compare with.
    """
    figure, axes = panels(1, 2, sharey=True)
    for ax, part in zip(axes[0], ("search", "re-rank")):
        for index, rows in table.reset_index().groupby("index", sort=False):
            ax.plot(rows["pictures"], rows[part], marker="o", label=index)
        ax.axhline(asking, color=BLACK, linewidth=1, linestyle="--", label="M's parts")
        ax.set(title=part, xlabel="pictures in the gallery", xscale="log", yscale="log")
        sizes = table.index.get_level_values("pictures").unique()
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
        ax.xaxis.minorticks_off()
    axes[0, 0].set_ylabel("milliseconds a query")
    axes[0, 1].legend(loc="center right")
    return figure


@styled
def deciding(tables: dict[str, pd.DataFrame]) -> Figure:
    """Pairs a second by texts a picture, a bar a way; one panel a table of `asking.by_texts`."""
    figure, axes = panels(1, len(tables))
    for ax, (title, table) in zip(axes[0], tables.items()):
        places = np.arange(len(table))
        for shift, (colour, way) in enumerate(zip(CYCLE, (GENERATED, PLAIN, SHARED))):
            ax.bar(places + 0.27 * (shift - 1), table[way], width=0.25, color=colour, label=way)
        for place, (most, ratio) in enumerate(table[[SHARED, "ratio"]].to_numpy()):
            ax.text(place + 0.27, most, f"{ratio:.1f} x", ha="center", va="bottom", fontsize=8)
        ax.set_xticks(places, [f"{count}" for count in table.index])
        most = table[[GENERATED, PLAIN, SHARED]].to_numpy().max()
        ax.set(title=title, xlabel="texts a picture", ylim=(0, 1.3 * most))
        ax.grid(False, axis="x")
    axes[0, 0].set_ylabel("pairs a second")
    axes[0, 0].legend(loc="upper left")
    return figure


@styled
def savings_bars(tables: dict[str, pd.DataFrame]) -> Figure:
    """One panel a piece of work: seconds way by way, with the ratio to the first, the released code's.

    Tables as of `icl_lib.speed.evaluation.savings` and `icl_lib.speed.epochs.savings`.
    """
    figure, axes = panels(len(tables), 1, height=2.7)
    for ax, (title, table) in zip(axes[:, 0], tables.items()):
        places = np.arange(len(table))[::-1]
        ax.barh(places, table["seconds"], color=[GREY] + [BLUE] * (len(table) - 1), height=0.7)
        for place, (seconds, ratio) in zip(places, table[["seconds", "ratio"]].to_numpy()):
            ax.text(seconds, place, f" {ratio:.1f} x", va="center")
        ax.set(
            title=title, xlabel="seconds, less is better", xlim=(0, 1.12 * table["seconds"].max())
        )
        ax.set_yticks(places, table.index)
        ax.grid(False, axis="y")
    return figure


@styled
def ratio_growth(evaluation: pd.DataFrame, metrics: pd.DataFrame) -> Figure:
    """Ratios to the released way over the gallery's size: whole evaluations, and the metrics alone.

    Tables as of `icl_lib.speed.evaluation.growth` and `icl_lib.speed.metrics_memory.metrics_growth`.
    """
    figure, axes = panels(1, 2)
    for name in [name for name in evaluation if name.startswith("ratio, ")]:
        label = name.removeprefix("ratio, ")
        axes[0, 0].plot(evaluation["pictures"], evaluation[name], marker="o", label=label)
    axes[0, 1].plot(
        metrics["pictures"], metrics["ratio"], marker="o", label="counted against sorted"
    )
    for ax, title in zip(axes[0], ("Evaluation", "Metrics alone")):
        ax.axhline(1, color=BLACK, linewidth=1)
        ax.set(title=title, xlabel="pictures in the gallery", ylabel="times as fast", xscale="log")
        ax.set_ylim(0, None)
        ax.legend(loc="best")
    for ax, table in zip(axes[0], (evaluation, metrics)):
        ax.set_xticks(table["pictures"], [f"{count:,}" for count in table["pictures"]])
        ax.xaxis.minorticks_off()
    return figure


@styled
def recall_against_time(study: pd.DataFrame) -> Figure:
    """One panel a size: recall@10 (fixed range, 0–100) over ms a query (logarithmic), a line an index.

    study: as of `icl_lib.speed.galleries.study`. A line joins the options of one index.
    """
    sizes = sorted(study["items"].unique())
    figure, axes = panels(1, len(sizes), sharex=True, sharey=True)
    families = study["index"].str.replace(r"IVF\d+", "IVF", regex=True)
    colours = dict(zip(families.unique(), CYCLE * 3))
    for ax, items in zip(axes[0], sizes):
        here = study[study["items"] == items]
        for family, rows in here.groupby(families, sort=False):
            rows = rows.sort_values("ms")
            ax.plot(rows["ms"], rows["recall"], marker="o", color=colours[family], label=family)
        ax.set(title=f"{items:,} vectors", xlabel="ms a query", xscale="log", ylim=(0, 105))
    low, high = study["ms"].min() / 10, study["ms"].max() * 10
    ticks = [tick for tick in 10.0 ** np.arange(-4, 5) if low < tick < high]
    axes[0, 0].set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes[0, 0].xaxis.minorticks_off()
    axes[0, 0].set_ylabel("recall@10 of Flat's (%)")
    axes[0, -1].legend(loc="lower right")
    return figure


@styled
def weight_on_paper(table: pd.DataFrame) -> Figure:
    """Gigabytes of each index over the number of vectors, both logarithmic; `table` of `scale.on_paper`."""
    figure, axes = panels()
    ax, sizes = axes[0, 0], [name for name in table if name != "bytes an item"]
    for name, row in table.iterrows():
        ax.plot(
            [float(size) for size in sizes],
            row[sizes],
            marker="o",
            label=f"{name}, {row['bytes an item']:.0f} bytes an item",
        )
    ax.axhline(64, color=BLACK, linewidth=1, linestyle="--")
    ax.text(float(sizes[0]), 70, "64 GB, a workstation's memory", va="bottom")
    ax.set(xlabel="vectors", ylabel="GB", xscale="log", yscale="log")
    ax.legend(loc="lower right")
    return figure
