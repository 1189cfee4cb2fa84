"""Figures about M itself: pictures with their texts, its training, how right its answers are."""

import textwrap

import numpy as np
import pandas as pd

from icl_lib.report.pictures import CELL, fitted
from icl_lib.report.style import BLACK, CYCLE, GREEN, GREY, RED, WIDTH, panels, styled


@styled
def pair_sheet(table: pd.DataFrame, columns: int = 4, lines: int = 9):
    """A picture with its text below, a cell a row of `table` (path, caption; optional: label, p, rank).

    With `label`, the frame is green and solid for a text of this very person, red and dashed for another's.
    """
    columns = min(columns, max(1, len(table)))
    across = int(15 * WIDTH / columns)  # characters of the small print in one cell
    rows, wide = max(1, -(-len(table) // columns)), WIDTH / columns
    figure, axes = panels(
        rows, columns, height=min(0.5 * wide, 0.9) * CELL[1] / CELL[0] + 0.125 * lines + 0.35
    )
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.spines[:].set_visible(False)
    for ax, (_, row) in zip(axes.flat, table.iterrows()):
        ax.imshow(np.asarray(fitted(row["path"])))
        ax.set_title(_heading(row), fontsize=8.5)
        text = textwrap.wrap(" ".join(str(row["caption"]).split()), across, max_lines=lines, placeholder=" …")
        ax.set_xlabel("\n".join(text), fontsize=7.5, parse_math=False)
        if "label" in row:
            ax.spines[:].set(
                visible=True,
                color=GREEN if row["label"] else RED,
                lw=2.5,
                linestyle="-" if row["label"] else (0, (3, 2)),
            )
    return figure


@styled
def loss_curve(log: pd.DataFrame, ylim=None):
    """Training loss over steps, and its running mean over a tenth of the log; log: step, epoch, loss."""
    figure, ((ax,),) = panels()
    ax.plot(log["step"], log["loss"], color=GREY, lw=0.8, marker=".", ms=3, label="logged")
    window = max(1, len(log) // 10)
    mean = log["loss"].rolling(window, min_periods=1).mean()
    ax.plot(log["step"], mean, color=BLACK, label=f"mean of the last {window}")
    for epoch in range(1, int(np.ceil(log["epoch"].max()))):
        ax.axvline(np.interp(epoch, log["epoch"], log["step"]), color=GREY, ls=":", lw=1)
    ax.set(
        xlabel="optimiser step (dotted: end of an epoch)",
        ylabel="loss an answer token (nats)",
        ylim=ylim or (0, None),
    )
    ax.legend()
    return figure


@styled
def shares(groups: dict, xlabel: str, limit: float | None = None, limit_label: str = "", whole: bool = False):
    """Histograms as lines, in percent of each group. groups: {label: values}; limit: a value to mark.

    whole: one step a whole number, for counts; else 40 equal steps.
    """
    figure, ((ax,),) = panels()
    top = max(max(map(float, values), default=0) for values in groups.values())
    top = max(top, limit or 0)
    bins = np.arange(-0.5, top + 1.5) if whole else np.linspace(0, top * 1.02 or 1, 41)
    for color, (label, values) in zip(CYCLE, groups.items()):
        share = 100 * np.histogram(list(values), bins)[0] / max(1, len(values))
        ax.stairs(share, bins, color=color, lw=1.8, label=f"{label}: median {np.median(list(values)):g}")
    if limit is not None:
        ax.axvline(limit, color=BLACK, ls="--", lw=1.2)
        ax.annotate(
            limit_label + " ",
            (limit, 1),
            xycoords=("data", "axes fraction"),
            ha="right",
            va="top",
            fontsize=8,
        )
    ax.set(xlabel=xlabel, ylabel="share (%)")
    ax.legend()
    return figure


@styled
def accuracy_bars(results: dict, baseline: pd.Series | None = None, ylabel: str = "answered as drawn (%)"):
    """A group of bars for each characteristic, and a short line at its baseline.

    results: {label: Series characteristic → percent}.
    """
    figure, ((ax,),) = panels(height=3.6)
    names = list(next(iter(results.values())).index)
    wide = 0.8 / len(results)
    for number, (label, values) in enumerate(results.items()):
        middle = np.arange(len(names)) + (number - (len(results) - 1) / 2) * wide
        ax.bar(middle, values.reindex(names), wide * 0.94, color=CYCLE[number], alpha=0.85, label=label)
    if baseline is not None:
        ax.hlines(
            baseline.reindex(names),
            np.arange(len(names)) - 0.4,
            np.arange(len(names)) + 0.4,
            color=BLACK,
            lw=1.6,
            label="always the commonest answer",
        )
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right")
    ax.set(ylabel=ylabel, ylim=(0, 100))
    ax.grid(axis="x", visible=False)
    ax.legend(ncols=len(results) + 1, loc="lower left", bbox_to_anchor=(0, 1))
    return figure


@styled
def over_rank(tables: dict):
    """Accuracy, and how often Yes is said of the right person and of a stranger, over the candidate's rank.

    tables: {label: `icl_lib.study.by_rank`}, a colour each.
    """
    figure, ((left, right),) = panels(1, 2)
    for color, (label, table) in zip(CYCLE, tables.items()):
        left.plot(table.index, table["accuracy"], marker="o", color=color, label=label)
        right.plot(table.index, table["recall"], marker="o", color=color, label=f"{label}: right person")
        right.plot(table.index, table["false"], marker="x", ls="--", color=color, label=f"{label}: stranger")
    for ax, what in ((left, "answers that are right (%)"), (right, "answered Yes (%)")):
        ax.set(xlabel="rank of the candidate", ylabel=what, ylim=(0, 101))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8)
    return figure


@styled
def reliability_curve(tables: dict):
    """How often P(Yes) comes true; a dot's area grows with its pairs.

    tables: {label: `icl_lib.study.reliability`}.
    """
    figure, ((ax,),) = panels(height=3.8)
    for color, (label, table) in zip(CYCLE, tables.items()):
        ax.plot(table["said"], table["true"], color=color, lw=1.2)
        ax.scatter(
            table["said"],
            table["true"],
            8 + 300 * table["pairs"] / table["pairs"].sum(),
            color=color,
            alpha=0.75,
            label=label,
            zorder=3,
        )
    ax.plot([0, 100], [0, 100], color=GREY, ls=":", lw=1.2, label="said = true")
    ax.set(
        xlabel="mean P(Yes) in a range (%)",
        ylabel="share of the right person (%)",
        xlim=(-3, 103),
        ylim=(-3, 103),
    )
    ax.legend(loc="upper left")
    return figure


def _heading(row: pd.Series) -> str:
    told = []
    if "label" in row:
        told.append("✓ same person" if row["label"] else "✗ another")
    if "rank" in row:
        told.append(f"rank {row['rank']}")
    if "p" in row:
        told.append(f"P(Yes) {row['p']:.2f}")
    return ", ".join(told)
