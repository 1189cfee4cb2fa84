"""How right the MLLM's answers are: Yes/No about pairs, and characteristics of a picture."""

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, precision_recall_curve

from icl_lib.figures.marks import whole_numbers
from icl_lib.figures.style import BLACK, CYCLE, GREY, panels, styled


@styled
def pr_curve(answers: dict):
    """Precision over recall of Yes.

    Args:
        answers: {label: (truth [N] bool, P(Yes) [N])}, a line each.
    """
    figure, ((ax,),) = panels(height=3.8)
    for label, (truth, p_yes) in answers.items():
        precision, recall, _ = precision_recall_curve(truth, p_yes)
        ap = 100 * average_precision_score(truth, p_yes)
        ax.step(100 * recall, 100 * precision, where="post", label=f"{label}: AP {ap:.1f}%")
    chance = 100 * np.mean(truth)
    ax.axhline(chance, color=GREY, ls=":", lw=1.2, label=f"always Yes: {chance:.1f}%")
    ax.set(xlabel="recall of Yes (%)", ylabel="precision of Yes (%)", xlim=(0, 101), ylim=(0, 101))
    ax.legend(loc="lower left")
    return figure


@styled
def over_rank(tables: dict[str, pd.DataFrame]):
    """Accuracy, and Yes to the right person and to strangers, over the candidate's rank.

    Args:
        tables: {label: `icl_lib.mllm.yes_no.by_rank`}, a colour each.
    """
    figure, ((left, right),) = panels(1, 2)
    for color, (label, table) in zip(CYCLE, tables.items(), strict=False):
        left.plot(table["accuracy"], "o-", color=color, label=label)
        right.plot(table["recall"], "o-", color=color, label=f"{label}: right person")
        right.plot(table["false"], "x--", color=color, label=f"{label}: stranger")
    for ax, ylabel in ((left, "right answers (%)"), (right, "answered Yes (%)")):
        ax.set(xlabel="rank of the candidate", ylabel=ylabel, ylim=(0, 101))
        whole_numbers(ax)
        ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8)
    return figure


@styled
def reliability_curve(tables: dict[str, tuple[pd.DataFrame, pd.DataFrame]]):
    """How often the candidate is the right person, over P(Yes); a dot's area grows with its pairs.

    Args:
        tables: {label: (before, after calibration)}, each an `icl_lib.mllm.yes_no.reliability`;
            hollow dots and a dashed line for before, full ones for after, in one colour.
    """
    figure, ((ax,),) = panels(height=3.8)
    for color, (label, pair) in zip(CYCLE, tables.items(), strict=False):
        for when, table, style, face in zip(
            ("before", "after"), pair, ("--", "-"), ("none", color), strict=True
        ):
            said, true = table["said"], table["true"]
            area = 8 + 300 * table["pairs"] / table["pairs"].sum()
            ax.plot(said, true, style, color=color, lw=1.2, label=f"{label}, {when} calibration")
            ax.scatter(said, true, area, facecolor=face, edgecolor=color, alpha=0.75, zorder=3)
    ax.axline((0, 0), (100, 100), color=GREY, ls=":", lw=1.2, label="perfectly calibrated")
    ax.set(
        xlabel="mean P(Yes) of a bin (%)",
        ylabel="share of the right person (%)",
        xlim=(-3, 103),
        ylim=(-3, 103),
    )
    ax.legend(loc="upper left")
    return figure


@styled
def accuracy_bars(results: dict[str, pd.Series], baseline: pd.Series):
    """How often an answer agrees with what was drawn, by characteristic.

    Args:
        results: {label: percent by characteristic}, a bar each.
        baseline: Percent by characteristic of always giving the most frequent answer.
    """
    figure, ((ax,),) = panels(height=3.6)
    table = pd.DataFrame(results)
    table.plot.bar(ax=ax, width=0.8, alpha=0.85, rot=40)
    x, often = np.arange(len(table)), baseline[table.index]
    ax.hlines(often, x - 0.4, x + 0.4, color=BLACK, lw=1.6, label="always the most frequent answer")
    ax.set_xticks(x, table.index, ha="right")
    ax.set(xlabel="", ylabel="answered as drawn (%)", ylim=(0, 100))
    ax.grid(axis="x", visible=False)
    ax.legend(ncols=len(results) + 1, loc="lower left", bbox_to_anchor=(0, 1))
    return figure
