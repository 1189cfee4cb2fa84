"""An interactive search round by round: curves, gains, and how honest a witness must be."""

import numpy as np
import pandas as pd

from icl_lib.figures.marks import whole_numbers
from icl_lib.figures.style import (
    BLACK,
    BLUE,
    CYCLE,
    GREEN,
    GREY,
    ORANGE,
    RED,
    panels,
    styled,
)

METRICS = {"rank1": "Rank-1 (%)", "found so far": "best rank so far is 1 (%)"}
# Colour: who answers. Line: how the question is chosen. Flat lines are dotted.
LOOKS = {
    "no question": (GREY, ":"),
    "MLLM, Algorithm 1": (RED, "-"),
    "MLLM, evidence": (ORANGE, "-"),
    "MLLM, evidence, all asked": (ORANGE, ":"),
    "person, random": (BLUE, "--"),
    "person, most telling": (BLUE, "-"),
    "MLLM + person, random": (GREEN, "--"),
    "MLLM + person, most telling": (GREEN, "-"),
}


@styled
def over_rounds(tables: dict[str, pd.DataFrame], ylim: tuple[float, float]):
    """Two metrics over the rounds with 95% intervals, a column of panels for each data set.

    Args:
        tables: {title: what `icl_lib.analysis.rounds.by_round` returns}.
        ylim: Range in percent.
    """
    figure, axes = panels(len(METRICS), len(tables), height=3.0, sharex=True, sharey=True)
    for column, (title, table) in enumerate(tables.items()):
        for ax, metric in zip(axes[:, column], METRICS, strict=True):
            for place, (method, (color, line)) in enumerate(LOOKS.items()):
                rows = table.loc[method].loc[metric]
                x = rows.index + 0.03 * (place - len(LOOKS) / 2)  # side by side, to be told apart
                look = {"color": color, "ls": line, "label": method}
                if line == ":":
                    ax.plot(rows.index, rows["value"], **look)
                    continue
                error = np.abs([rows["value"] - rows["low"], rows["high"] - rows["value"]])
                ax.errorbar(x, rows["value"], error, capsize=2, elinewidth=1, **look)
            ax.set_ylim(ylim)
            whole_numbers(ax)
        axes[0, column].set_title(title)
        axes[-1, column].set_xlabel("round")
    for ax, label in zip(axes[:, 0], METRICS.values(), strict=True):
        ax.set_ylabel(label)
    handles = axes[0, 0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=4, fontsize=8)
    return figure


@styled
def gains_by_round(table: pd.DataFrame, pairs, ylim: tuple[float, float]):
    """Gain in Rank-1 over the rounds with 95% intervals, a panel for each comparison.

    Args:
        table: Indexed by group, method, over and round; the columns gain, low and high (points).
        pairs: (method, the method that it is compared with), one for each panel.
        ylim: Range in points.
    """
    figure, axes = panels(-(-len(pairs) // 2), 2, height=2.7, sharex=True, sharey=True)
    groups = table.index.unique(0)
    for ax, (method, over) in zip(axes.flat, pairs, strict=True):
        for place, (group, color) in enumerate(zip(groups, CYCLE, strict=False)):
            rows = table.loc[group].loc[method].loc[over]
            x = rows.index + 0.14 * (place - (len(groups) - 1) / 2)
            error = np.abs([rows["gain"] - rows["low"], rows["high"] - rows["gain"]])
            ax.errorbar(x, rows["gain"], error, fmt="o", color=color, capsize=2, label=group)
        ax.axhline(0, color=BLACK, lw=1)
        ax.set(ylim=ylim, xlabel="round", ylabel="points of Rank-1")
        ax.set_title(f"{method}\nover {over}", fontsize=9)
        whole_numbers(ax)
        ax.label_outer()
    handles = axes.flat[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside upper center", ncols=len(groups))
    return figure


@styled
def honesty(table: pd.DataFrame, ylim: tuple[float, float]):
    """What questions to witnesses gain over their rate of errors, with 95% intervals.

    Args:
        table: What `icl_lib.stages.witness.honesty` returns.
        ylim: Range in points.
    """
    titles = {"as on val": "believed as on val", "known": "rate of errors known"}
    figure, (axes,) = panels(1, len(titles), sharey=True)
    for ax, (belief, title) in zip(axes, titles.items(), strict=True):
        for (forget, rows), color in zip(
            table.loc[belief].groupby(level="forget"), CYCLE, strict=False
        ):
            x = 100 * rows.index.get_level_values("err")
            ax.plot(x, rows["gain"], "o-", color=color, label=f"{100 * forget:.0f}% not sure")
            ax.fill_between(x, rows["low"], rows["high"], color=color, alpha=0.2, lw=0)
        ax.axhline(0, color=BLACK, lw=1)
        ax.set(title=title, xlabel="wrong answers (%)", ylim=ylim)
    axes[0].set_ylabel("points of Rank-1 gained")
    axes[0].legend(loc="lower left")
    return figure
