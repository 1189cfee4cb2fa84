"""Figures of what a query costs in time: stacked parts, and what deciding by one forward pass saves."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from icl_lib.report.style import BLACK, CYCLE, panels, styled
from icl_lib.speed.asking import GENERATED, PLAIN, SHARED
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
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(PARTS))
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
