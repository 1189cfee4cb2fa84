"""Variants beside Algorithm 1, and how right the MLLM's answers must be for THI to gain."""

import numpy as np
import pandas as pd

from icl_lib.figures.marks import write_values
from icl_lib.figures.style import BLACK, GREEN, RED, panel_list, panels, styled, widened
from icl_lib.retrieval.metrics import LABELS, NAMES


@styled
def gains(table: pd.DataFrame, xlim: tuple[float, float]):
    """Points of each method over the first one, with 95% intervals, a panel for each metric.

    Args:
        table: What `icl_lib.analysis.compare.side_by_side` returns.
        xlim: Range in points, widened where an interval would leave it.
    """
    figure, (axes,) = panels(1, len(NAMES), height=3.0, sharey=True)
    first, *names = table.index.unique("method")
    xlim = widened(xlim, table[["low", "high"]])
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

    The values stand at equal distances. The range is -5 to 5 points, widened where a curve would
    leave it.

    Args:
        tables: {variant: (what `icl_lib.stages.variants.on_val` returns, the parameter's name, its
            neutral value, its chosen value)}.
    """
    figure, axes = panel_list(len(tables), sharey=True)
    ylim = (-5.0, 5.0)
    for ax, (name, (table, parameter, neutral, chosen)) in zip(axes, tables.items(), strict=True):
        values = table["value"].to_numpy()
        for metric in ("rank1", "rank10", "mAP"):
            change = table[metric].to_numpy() - table[metric][values == neutral].iloc[0]
            ax.plot(change, marker=".", label=LABELS[metric].removesuffix(" (%)"))
            ylim = widened(ylim, change)
        ax.axvline(np.flatnonzero(values == chosen)[0], color=BLACK, ls=":", lw=1.2)
        ticks = range(0, len(values), -(-len(values) // 8))
        ax.set_xticks(ticks, [f"{values[i]:g}".replace("inf", "∞") for i in ticks])
        choice = "neutral value" if chosen == neutral else f"{chosen:g}"
        ax.set(title=f"{name}: {choice} chosen", xlabel=parameter)
    axes[0].set_ylim(ylim)  # the panels share it
    for ax in axes[::3]:
        ax.set_ylabel("points on val")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    return figure


@styled
def saved_and_lost(table: pd.DataFrame, limit: float = 20):
    """First pictures that a rule wins (right) and loses (left) against Algorithm 1.

    The left panel holds the queries that Algorithm 1 harmed or repaired, the right one those whose
    first picture it left as right or wrong as it was.

    Args:
        table: What `icl_lib.analysis.variants.verdicts` returns.
        limit: Queries that the axes reach to on both sides, more where a bar would leave them.
    """
    sides = (
        ("repaired or harmed by Algorithm 1", "lost", "saved"),
        ("neither repaired nor harmed by it", "newly harmed", "newly repaired"),
    )
    figure, (axes,) = panels(1, 2, height=0.9 + 0.36 * len(table), sharey=True)
    y, how = np.arange(len(table)), {"textcoords": "offset points", "va": "center", "fontsize": 8}
    for ax, (title, lost, won) in zip(axes, sides, strict=True):
        ax.barh(y, table[won], 0.6, color=GREEN, alpha=0.8)
        ax.barh(y, -table[lost], 0.6, color=RED, alpha=0.8, hatch="//")
        for place, high, low in zip(y, table[won], table[lost], strict=True):
            ax.annotate(f"{high}", (high, place), (3, 0), ha="left", **how)
            ax.annotate(f"{low}", (-low, place), (-3, 0), ha="right", **how)
        _, most = widened((0, limit), table[[won, lost]], step=20)
        ax.axvline(0, color=BLACK, lw=1)
        ax.set(title=title, xlabel=f"← {lost}   (queries)   {won} →")
        ax.set_xlim(-1.15 * most, 1.15 * most)  # room for the numbers
        ax.xaxis.set_major_formatter(lambda count, _: f"{abs(count):g}")
        ax.grid(axis="y", visible=False)
    axes[0].set_yticks(y, table.index)
    axes[0].invert_yaxis()
    return figure


@styled
def rate_heatmap(table: pd.DataFrame, points: dict[str, tuple[dict, float]], limit: float = 40):
    """Rank-1 gain over the error rates of a simulated answerer, with the break-even line.

    Args:
        table: What `icl_lib.analysis.answerer.rate_map` returns.
        points: {label: (what `rates` returns for a real answerer, its measured gain)}.
        limit: The colours reach from -limit to limit points, further where a value lies outside.
    """
    grid = table.pivot(index="TPR", columns="FPR", values="gain")
    figure, ((ax,),) = panels(height=4.6)
    half = (grid.columns[1] - grid.columns[0]) / 2
    extent = [
        end + side * half
        for axis in (grid.columns, grid.index)
        for side, end in ((-1, axis[0]), (1, axis[-1]))
    ]
    _, limit = widened((0, limit), grid.abs(), step=10)
    colors = {"vmin": -limit, "vmax": limit, "cmap": "PuOr_r"}
    image = ax.imshow(grid, origin="lower", extent=extent, aspect="auto", **colors)
    write_values(ax, image, grid.columns, grid.index, "+z.0f", 7)
    if grid.min(axis=None) < 0 < grid.max(axis=None):
        ax.contour(grid.columns, grid.index, grid, levels=[0], colors=BLACK, linewidths=2)
    for marker, (label, (rate, gain)) in zip("os^D", points.items(), strict=False):
        name = f"{label}: TPR {rate['TPR']:.0f}%, FPR {rate['FPR']:.0f}%; measured gain {gain:+.1f}"
        look = {"ms": 11, "color": GREEN, "mec": BLACK, "mew": 1.5, "label": name}
        ax.plot(rate["FPR"], rate["TPR"], marker, **look)
        for text in list(ax.texts):  # the mark takes the place of its cell's number
            if np.abs(np.subtract(text.get_position(), (rate["FPR"], rate["TPR"]))).max() < half:
                text.remove()
    ax.set(
        xlabel="false-positive rate: Yes to other people (%)",
        ylabel="true-positive rate: Yes to the right person (%)",
    )
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1))
    ax.grid(False)
    figure.colorbar(image, ax=ax, label="Rank-1 gain with a simulated answerer (points)")
    return figure
