"""Figures of the speed study: what each saving brings, how ratios grow, what an approximate index trades."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from icl_lib.report.style import BLACK, BLUE, CYCLE, GREY, panels, styled


@styled
def savings_bars(tables: dict[str, pd.DataFrame]) -> Figure:
    """One panel a piece of work: seconds way by way, with the ratio to the first, the released code's.

    Tables as of `icl_lib.speed.ways.savings` and `icl_lib.speed.epochs.savings`.
    """
    figure, axes = panels(len(tables), 1, height=2.7)
    for ax, (title, table) in zip(axes[:, 0], tables.items()):
        places = np.arange(len(table))[::-1]
        ax.barh(places, table["seconds"], color=[GREY] + [BLUE] * (len(table) - 1), height=0.7)
        for place, (seconds, ratio) in zip(places, table[["seconds", "ratio"]].to_numpy()):
            ax.text(seconds, place, f" {ratio:.1f} x", va="center")
        ax.set(title=title, xlabel="seconds, less is better", xlim=(0, 1.12 * table["seconds"].max()))
        ax.set_yticks(places, table.index)
        ax.grid(False, axis="y")
    return figure


@styled
def ratio_growth(evaluation: pd.DataFrame, metrics: pd.DataFrame) -> Figure:
    """Ratios to the released way over the gallery's size: whole evaluations, and the metrics alone.

    Tables as of `icl_lib.speed.ways.growth` and `icl_lib.speed.cost.metrics_growth`.
    """
    figure, axes = panels(1, 2)
    for name in [name for name in evaluation if name.startswith("ratio, ")]:
        label = name.removeprefix("ratio, ")
        axes[0, 0].plot(evaluation["pictures"], evaluation[name], marker="o", label=label)
    axes[0, 1].plot(metrics["pictures"], metrics["ratio"], marker="o", label="counted against sorted")
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

    study: as of `icl_lib.speed.scale.study`. A line joins the options of one index.
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
        ax.plot([float(size) for size in sizes], row[sizes], marker="o",
                label=f"{name}, {row['bytes an item']:.0f} bytes an item")
    ax.axhline(64, color=BLACK, linewidth=1, linestyle="--")
    ax.text(float(sizes[0]), 70, "64 GB, a workstation's memory", va="bottom")
    ax.set(xlabel="vectors", ylabel="GB", xscale="log", yscale="log")
    ax.legend(loc="lower right")
    return figure
