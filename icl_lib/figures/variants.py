"""Notebook 06: variants beside Algorithm 1, and what the MLLM's answers must be for THI to gain."""

import numpy as np
import pandas as pd

from icl_lib.analysis.compare import METRICS
from icl_lib.figures.style import BLACK, CYCLE, GREEN, RED, panels, styled
from icl_lib.retrieval.metrics import LABELS


@styled
def gains(table: pd.DataFrame, xlim=(-5, 5)):
    """Points of each variant over the table's first method, a panel a metric, 95% intervals; from `side_by_side`."""
    figure, (axes,) = panels(1, len(METRICS), height=3.0, sharey=True)
    names = table.index.unique("method")[1:]
    for ax, metric in zip(axes, METRICS):
        for y, name in enumerate(names):
            row = table.loc[(name, metric)]
            color = BLACK if not row["excludes_0"] else GREEN if row["gain"] > 0 else RED
            ax.errorbar(
                row["gain"],
                y,
                xerr=[[row["gain"] - row["low"]], [row["high"] - row["gain"]]],
                fmt="o",
                capsize=3,
                color=color,
            )
        ax.axvline(0, color=BLACK, lw=1)
        ax.set(xlim=xlim, title=LABELS[metric].removesuffix(" (%)"), xlabel="points")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    figure.supxlabel(
        f"gain over {table.index[0][0]}; bars: 95% paired bootstrap over queries; coloured: 0 lies outside",
        fontsize=8,
        x=0.01,
        ha="left",
    )
    return figure


@styled
def over_values(tables: dict[str, tuple], metrics=("rank1", "rank10", "mAP"), ylim=(-5, 5)):
    """Change of metrics on val against the neutral value, over each variant's own parameter; ○ the chosen value.

    tables: {name: (table of `icl_lib.stages.variants.on_val`, the parameter's name, neutral value, chosen value)}. Values stand at
    equal distances.
    """
    figure, axes = panels(-(-len(tables) // 3), 3, height=2.8, sharey=True)
    for ax, (name, (table, parameter, neutral, chosen)) in zip(axes.flat, tables.items()):
        base = table[table["value"] == neutral].iloc[0]
        at = np.arange(len(table))
        for color, metric in zip(CYCLE, metrics):
            ax.plot(
                at,
                table[metric] - base[metric],
                marker=".",
                color=color,
                label=LABELS[metric].removesuffix(" (%)"),
            )
        place = int(np.flatnonzero(table["value"] == chosen)[0])
        ax.axvline(place, color=BLACK, ls=":", lw=1.2)
        shown = at[:: -(-len(at) // 8)]
        ax.set_xticks(
            shown, [("∞" if np.isinf(v) else f"{v:g}") for v in table["value"].iloc[shown]]
        )
        ax.set(
            title=f"{name}: {'neutral' if chosen == neutral else f'{chosen:g}'} chosen",
            xlabel=parameter,
            ylim=ylim,
        )
    for ax in axes.flat[len(tables) :]:
        ax.set_visible(False)
    axes[0, 0].legend(fontsize=8)
    for ax in axes[:, 0]:
        ax.set_ylabel("points on val")
    return figure


@styled
def saved_and_lost(table: pd.DataFrame, limit: int = 100):
    """Queries a variant wins (up) and loses (down) against Algorithm 1 at the first place; table: from `verdicts`."""
    figure, ((ax,),) = panels(height=3.2)
    at, wide_ = np.arange(len(table)), 0.36
    bars = (
        ("saved", "lost", "harmed ones saved", "repaired ones lost", -0.5, ""),
        ("newly repaired", "newly harmed", "newly repaired", "newly harmed", 0.5, "//"),
    )
    for up, down, told_up, told_down, side, hatch in bars:
        ax.bar(
            at + side * wide_, table[up], wide_, color=GREEN, alpha=0.8, hatch=hatch, label=told_up
        )
        ax.bar(
            at + side * wide_,
            -table[down],
            wide_,
            color=RED,
            alpha=0.8,
            hatch=hatch,
            label=told_down,
        )
        for x, high, low in zip(at + side * wide_, table[up], table[down]):
            ax.text(x, min(high, limit), f"{high}", ha="center", va="bottom", fontsize=8)
            ax.text(x, max(-low, -limit), f"{low}", ha="center", va="top", fontsize=8)
    ax.axhline(0, color=BLACK, lw=1)
    ax.set_xticks(at, table.index)
    ax.set(ylabel="queries, against Algorithm 1", ylim=(-1.15 * limit, 1.15 * limit))
    ax.legend(ncols=4, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8)
    ax.grid(axis="x", visible=False)
    return figure


@styled
def rate_heatmap(table: pd.DataFrame, points: dict[str, tuple[dict, float]], limit: float = 40):
    """Rank-1 gain over FPR × TPR, colours fixed at ±`limit` points, the break-even line drawn; table: from `rate_map`.

    points: {label: (`rates`, the gain that was measured)}.
    """
    grid = table.pivot(index="TPR", columns="FPR", values="gain")
    figure, ((ax,),) = panels(height=4.6)
    half = (grid.columns[1] - grid.columns[0]) / 2
    extent = (
        grid.columns[0] - half,
        grid.columns[-1] + half,
        grid.index[0] - half,
        grid.index[-1] + half,
    )
    image = ax.imshow(
        grid, origin="lower", extent=extent, vmin=-limit, vmax=limit, cmap="PuOr_r", aspect="auto"
    )
    for tpr, row in grid.iterrows():
        for fpr, value in row.items():
            ax.text(
                fpr,
                tpr,
                f"{value:+.0f}",
                ha="center",
                va="center",
                fontsize=7,
                color="white" if abs(value) > 0.7 * limit else BLACK,
            )
    if grid.to_numpy().min() < 0 < grid.to_numpy().max():
        ax.contour(grid.columns, grid.index, grid, levels=[0], colors=BLACK, linewidths=2)
    for marker, (label, (rate, gain)) in zip("os^D", points.items()):
        ax.plot(
            rate["FPR"],
            rate["TPR"],
            marker,
            ms=11,
            color=GREEN,
            mec=BLACK,
            mew=1.5,
            ls="",
            label=f"{label}: TPR {rate['TPR']:.0f}%, FPR {rate['FPR']:.0f}%; measured gain {gain:+.1f}",
        )
    ax.set(
        xlabel="false-positive rate: Yes to other people (%)",
        ylabel="true-positive rate: Yes to the right person (%)",
    )
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1))
    ax.grid(False)
    figure.colorbar(image, ax=ax, label="Rank-1 gain of a simulated answerer (points)")
    return figure
