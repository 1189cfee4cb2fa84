"""Distributions of the lengths of texts, of similarities, answers and words."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from icl_lib.figures.style import BLACK, BLUE, GREEN, GREY, RED, panels, styled

# Words that say nothing about a person; they are left out of the bars, not of the curve.
PLAIN = (
    "a an and the of is are in on with to it its this that he she his her him has have who "
    "which at by for from as there also or be been was were while"
)


@styled
def shares(groups: Mapping, xlabel: str, limit: float | None = None, whole: bool = False):
    """Histograms as lines, in percent of each group.

    Args:
        groups: {label: values}, a line each.
        xlabel: What the values are.
        limit: A value to mark; the legend gives the share beyond it.
        whole: Whether the values are counts, which get a step each; otherwise there are 40 steps.
    """
    figure, ((ax,),) = panels()
    groups = {label: pd.Series(values, dtype=float) for label, values in groups.items()}
    top = max([limit or 0, *(values.max() for values in groups.values() if len(values))])
    bins = np.arange(-0.5, top + 1.5) if whole else np.linspace(0, top * 1.02 or 1, 41)
    for label, values in groups.items():
        share = 100 * np.histogram(values, bins)[0] / max(1, len(values))
        told = f"{label}: {len(values):,}, median {values.median():g}"
        if limit is not None:
            told += f", {100 * (values > limit).mean():.1f}% beyond {limit:g}"
        ax.stairs(share, bins, lw=1.8, label=told)
    if limit is not None:
        ax.axvline(limit + 0.5 * whole, color=BLACK, ls="--", lw=1.2)
    ax.set(xlabel=xlabel, ylabel="share of the group (%)")
    ax.legend()
    return figure


@styled
def words(counts: pd.Series, captions: int, most: int = 24):
    """The most frequent words, and how often the n-th most frequent word is used.

    Args:
        counts: Uses of each word, falling (`icl_lib.data.checks.word_counts`).
        captions: Number of captions that they are counted in.
        most: Words to show as bars.
    """
    figure, ((left, right),) = panels(1, 2, height=4.6)
    shown = counts[~counts.index.isin(PLAIN.split())][:most]
    left.barh(shown.index, 100 * shown / captions, color=BLUE)
    left.set(xlabel="uses in 100 captions", title=f"the {len(shown)} most frequent words")
    left.invert_yaxis()
    left.tick_params(axis="y", labelsize=8)
    left.grid(False, axis="y")
    right.loglog(np.arange(1, len(counts) + 1), counts, color=BLUE)
    right.set(
        title=f"{len(counts):,} different words, {counts.sum():,} in all",
        xlabel="rank of the word",
        ylabel="uses",
    )
    return figure


@styled
def top1_similarity(top1, right, xi: float, published: float):
    """The similarity of the first picture, S(q, v̂₁), by whether it is right (the paper's Fig. 3).

    Args:
        top1: Similarities [Q]; those outside 0 to 1 are counted at the edge.
        right: Whether the first picture is right, bool [Q].
        xi: Our threshold. The title says how many first pictures are right on either side of it.
        published: The paper's threshold, for its own backbone's similarities.
    """
    top1, right = np.clip(top1, 0, 1), np.asarray(right, dtype=bool)
    figure, ((ax,),) = panels()
    medians = pd.Series(top1).groupby(right).median()
    labels = [
        f"first picture {name}: {(right == is_right).sum():,} queries, "
        f"median {medians.get(is_right, np.nan):.3f}"
        for name, is_right in (("right", True), ("wrong", False))
    ]
    _right_and_wrong(ax, top1, right, np.linspace(0, 1, 51), labels)
    ax.axvline(xi, color=BLACK, ls="--", lw=1.2)
    ax.axvline(published, color=GREY, ls=":", lw=1.6, label=f"the paper's ξ = {published:g}")
    told = [
        f"{100 * right[group].mean():.0f}% right {side}" if group.any() else f"no query {side}"
        for side, group in (("above", top1 > xi), ("below", top1 <= xi))
    ]
    ax.set_title(f"-- ξ = {xi:.3g}: {', '.join(told)}")
    ax.set(
        xlabel="similarity of the first picture, S(q, v̂₁)",
        ylabel="share of the group (%)",
        xlim=(0, 1),
    )
    ax.legend(loc="upper left")
    return figure


@styled
def p_yes_histogram(answers: dict, threshold: float):
    """P(Yes) of true and of false pairs.

    Args:
        answers: {label: (truth [N] bool, P(Yes) [N])}, a panel each.
        threshold: A Yes is a P(Yes) above it.
    """
    figure, (axes,) = panels(1, len(answers), sharey=True)
    for ax, (label, (truth, p_yes)) in zip(axes, answers.items(), strict=True):
        names = ("same person", "another person")
        truth = np.asarray(truth, dtype=bool)
        _right_and_wrong(ax, np.asarray(p_yes), truth, np.linspace(0, 1, 26), names)
        ax.axvline(threshold, color=BLACK, ls="--", lw=1.2)
        ax.set(xlabel="P(Yes)", title=label, xlim=(0, 1))
    axes[0].set_ylabel("share of pairs (%)")
    axes[0].legend()
    return figure


def _right_and_wrong(ax, values: np.ndarray, right: np.ndarray, bins, labels) -> None:
    """Histograms of `values` [N] in green where `right` [N] holds and in red elsewhere."""
    for group, label, color, hatch in zip(
        (right, ~right), labels, (GREEN, RED), ("", "//"), strict=True
    ):
        weights = np.full(group.sum(), 100 / max(1, group.sum()))
        ax.hist(
            values[group],
            bins,
            weights=weights,
            color=color,
            hatch=hatch,
            alpha=0.55,
            label=label,
        )
