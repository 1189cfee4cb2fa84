"""Variants beside Algorithm 1, and how right the MLLM's answers must be for THI to gain."""

import numpy as np
import pandas as pd

from icl_lib.figures.marks import write_values
from icl_lib.figures.style import BLACK, GREEN, RED, panel_list, panels, styled
from icl_lib.retrieval.metrics import LABELS, NAMES


@styled
def gains(table: pd.DataFrame, xlim: tuple[float, float]):
    """Points of each method over the first one, with 95% intervals, a panel for each metric.

    Args:
        table: What `icl_lib.analysis.compare.side_by_side` returns.
        xlim: Range in points.
    """
    figure, (axes,) = panels(1, len(NAMES), height=3.0, sharey=True)
    first, *names = table.index.unique("method")
    for ax, metric in zip(axes, NAMES, strict=True):
        for y, name in enumerate(names):
            row = table.loc[name, metric]
            color = BLACK if not row["excludes_0"] else GREEN if row["gain"] > 0 else RED
            ax.plot([row["low"], row["high"]], [y, y], "|-", color=color)
            ax.plot(row["gain"], y, "o", color=color)
        ax.axvline(0, color=BLACK, lw=1)
        ax.set(xlim=xlim, title=LABELS[metric].removesuffix(" (%)"), xlabel="points")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    note = "bars: 95% paired bootstrap over people; in colour where they leave out 0"
    figure.supxlabel(f"gain over {first}; {note}", fontsize=8, x=0.01, ha="left")
    return figure


@styled
def over_values(tables: dict[str, tuple]):
    """Change on val over each variant's own parameter; a dotted line marks the chosen value.

    The values stand at equal distances.

    Args:
        tables: {variant: (what `icl_lib.stages.variants.on_val` returns, the parameter's name, its
            neutral value, its chosen value)}.
    """
    figure, axes = panel_list(len(tables), sharey=True)
    for ax, (name, (table, parameter, neutral, chosen)) in zip(axes, tables.items(), strict=True):
        values = table["value"].to_numpy()
        for metric in ("rank1", "rank10", "mAP"):
            change = table[metric].to_numpy() - table[metric][values == neutral].iloc[0]
            ax.plot(change, marker=".", label=LABELS[metric].removesuffix(" (%)"))
        ax.axvline(np.flatnonzero(values == chosen)[0], color=BLACK, ls=":", lw=1.2)
        ticks = range(0, len(values), -(-len(values) // 8))
        ax.set_xticks(ticks, [f"{values[i]:g}".replace("inf", "∞") for i in ticks])
        choice = "neutral value" if chosen == neutral else f"{chosen:g}"
        ax.set(title=f"{name}: {choice} chosen", xlabel=parameter, ylim=(-5, 5))
    for ax in axes[::3]:
        ax.set_ylabel("points on val")
    axes[0].legend(fontsize=8)
    return figure


@styled
def saved_and_lost(table: pd.DataFrame, limit: int = 100):
    """First pictures that a variant wins (up) and loses (down) against Algorithm 1.

    Args:
        table: What `icl_lib.analysis.variants.verdicts` returns.
        limit: Queries that the axis reaches up and down to.
    """
    figure, ((ax,),) = panels(height=3.2)
    for shift, hatch, up, down, labels in (
        (-0.18, "", "saved", "lost", ("harmed queries saved", "repaired queries lost")),
        (0.18, "//", "newly repaired", "newly harmed", ("newly repaired", "newly harmed")),
    ):
        x = np.arange(len(table)) + shift
        ax.bar(x, table[up], 0.36, color=GREEN, alpha=0.8, hatch=hatch, label=labels[0])
        ax.bar(x, -table[down], 0.36, color=RED, alpha=0.8, hatch=hatch, label=labels[1])
        for place, high, low in zip(x, table[up], table[down], strict=True):
            ax.text(place, min(high, limit), f"{high}", ha="center", va="bottom", fontsize=8)
            ax.text(place, max(-low, -limit), f"{low}", ha="center", va="top", fontsize=8)
    ax.axhline(0, color=BLACK, lw=1)
    ax.set_xticks(range(len(table)), table.index)
    ax.set(ylabel="queries, against Algorithm 1", ylim=(-1.15 * limit, 1.15 * limit))
    ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8)
    ax.grid(axis="x", visible=False)
    return figure


@styled
def rate_heatmap(table: pd.DataFrame, points: dict[str, tuple[dict, float]], limit: float = 40):
    """Rank-1 gain over the error rates of a simulated answerer, with the break-even line.

    Args:
        table: What `icl_lib.analysis.answerer.rate_map` returns.
        points: {label: (what `rates` returns for a real answerer, its measured gain)}.
        limit: The colours reach from -limit to limit points.
    """
    grid = table.pivot(index="TPR", columns="FPR", values="gain")
    figure, ((ax,),) = panels(height=4.6)
    half = (grid.columns[1] - grid.columns[0]) / 2
    extent = [
        end + side * half
        for axis in (grid.columns, grid.index)
        for side, end in ((-1, axis[0]), (1, axis[-1]))
    ]
    colors = {"vmin": -limit, "vmax": limit, "cmap": "PuOr_r"}
    image = ax.imshow(grid, origin="lower", extent=extent, aspect="auto", **colors)
    write_values(ax, image, grid.columns, grid.index, "+.0f", 7)
    if grid.min(axis=None) < 0 < grid.max(axis=None):
        ax.contour(grid.columns, grid.index, grid, levels=[0], colors=BLACK, linewidths=2)
    for marker, (label, (rate, gain)) in zip("os^D", points.items(), strict=False):
        name = f"{label}: TPR {rate['TPR']:.0f}%, FPR {rate['FPR']:.0f}%; measured gain {gain:+.1f}"
        look = {"ms": 11, "color": GREEN, "mec": BLACK, "mew": 1.5, "label": name}
        ax.plot(rate["FPR"], rate["TPR"], marker, **look)
    ax.set(
        xlabel="false-positive rate: Yes to other people (%)",
        ylabel="true-positive rate: Yes to the right person (%)",
    )
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1))
    ax.grid(False)
    figure.colorbar(image, ax=ax, label="Rank-1 gain with a simulated answerer (points)")
    return figure
