"""Figures about M itself: pictures with their texts, its training, how right its answers are."""

import numpy as np
import pandas as pd

from icl_lib.figures.style import BLACK, CYCLE, GREEN, GREY, RED, panels, styled


@styled
def pr_curve(answers: dict, chance: float | None = None):
    """Precision over recall of Yes. answers: {"raw": (truth [N] bool, p_yes [N]), "adapted": …}."""
    from sklearn.metrics import average_precision_score, precision_recall_curve

    figure, ((ax,),) = panels(height=3.8)
    for label, (truth, p_yes) in answers.items():
        precision, recall, _ = precision_recall_curve(truth, p_yes)
        ap = 100 * average_precision_score(truth, p_yes)
        ax.step(100 * recall, 100 * precision, where="post", label=f"{label}: AP {ap:.1f}%")
    base = 100 * (np.mean(next(iter(answers.values()))[0]) if chance is None else chance)
    ax.axhline(base, color=GREY, ls=":", lw=1.2, label=f"always Yes: {base:.1f}%")
    ax.set(xlabel="recall of Yes (%)", ylabel="precision of Yes (%)", xlim=(0, 101), ylim=(0, 101))
    ax.legend(loc="lower left")
    return figure


@styled
def roc(answers: dict, threshold: float | None = None):
    """True- over false-positive rate of Yes, with the point at `threshold`; answers as in `pr_curve`."""
    from sklearn.metrics import roc_auc_score, roc_curve

    figure, ((ax,),) = panels(height=3.8)
    for color, (label, (truth, p_yes)) in zip(CYCLE, answers.items()):
        truth, p_yes = np.asarray(truth, dtype=bool), np.asarray(p_yes)
        fpr, tpr, _ = roc_curve(truth, p_yes)
        ax.plot(
            100 * fpr,
            100 * tpr,
            color=color,
            label=f"{label}: AUC {100 * roc_auc_score(truth, p_yes):.1f}%",
        )
        if threshold is not None:
            yes = p_yes > threshold
            ax.plot(
                100 * yes[~truth].mean(), 100 * yes[truth].mean(), "o", ms=8, color=color, mec=BLACK
            )
    ax.plot([0, 100], [0, 100], color=GREY, ls=":", lw=1.2, label="chance: AUC 50%")
    ax.set(
        xlabel="false-positive rate (%)",
        ylabel="true-positive rate (%)",
        xlim=(-1, 101),
        ylim=(-1, 101),
    )
    if threshold is not None:
        ax.set_title(f"● Yes if P(Yes) > {threshold:.3g}")
    ax.legend(loc="lower right")
    return figure


@styled
def p_yes_histogram(answers: dict, threshold: float | None = None):
    """P(Yes) of true and of false pairs, a panel an answerer; answers as in `pr_curve`."""
    figure, (axes,) = panels(1, len(answers), sharey=True)
    for ax, (label, (truth, p_yes)) in zip(axes, answers.items()):
        truth, p_yes = np.asarray(truth, dtype=bool), np.asarray(p_yes)
        for chosen, name, color in ((truth, "same person", GREEN), (~truth, "another person", RED)):
            weights = np.full(chosen.sum(), 100 / max(1, chosen.sum()))
            hatch = "" if name == "same person" else "//"
            ax.hist(
                p_yes[chosen],
                np.linspace(0, 1, 26),
                weights=weights,
                color=color,
                alpha=0.55,
                hatch=hatch,
                label=name,
            )
        if threshold is not None:
            ax.axvline(threshold, color=BLACK, ls="--", lw=1.2)
        ax.set(xlabel="P(Yes)", title=label, xlim=(0, 1))
    axes[0].set_ylabel("share of pairs (%)")
    axes[0].legend()
    return figure


@styled
def shares(
    groups: dict,
    xlabel: str,
    limit: float | None = None,
    limit_label: str = "",
    whole: bool = False,
):
    """Histograms as lines, in percent of each group. groups: {label: values}; limit: a value to mark.

    whole: one step a whole number, for counts; else 40 equal steps.
    """
    figure, ((ax,),) = panels()
    top = max(max(map(float, values), default=0) for values in groups.values())
    top = max(top, limit or 0)
    bins = np.arange(-0.5, top + 1.5) if whole else np.linspace(0, top * 1.02 or 1, 41)
    for color, (label, values) in zip(CYCLE, groups.items()):
        share = 100 * np.histogram(list(values), bins)[0] / max(1, len(values))
        ax.stairs(
            share, bins, color=color, lw=1.8, label=f"{label}: median {np.median(list(values)):g}"
        )
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
def accuracy_bars(
    results: dict, baseline: pd.Series | None = None, ylabel: str = "answered as drawn (%)"
):
    """A group of bars for each characteristic, and a short line at its baseline.

    results: {label: Series characteristic → percent}.
    """
    figure, ((ax,),) = panels(height=3.6)
    names = list(next(iter(results.values())).index)
    wide = 0.8 / len(results)
    for number, (label, values) in enumerate(results.items()):
        middle = np.arange(len(names)) + (number - (len(results) - 1) / 2) * wide
        ax.bar(
            middle, values.reindex(names), wide * 0.94, color=CYCLE[number], alpha=0.85, label=label
        )
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

    tables: {label: `icl_lib.mllm.yes_no.by_rank`}, a colour each.
    """
    figure, ((left, right),) = panels(1, 2)
    for color, (label, table) in zip(CYCLE, tables.items()):
        left.plot(table.index, table["accuracy"], marker="o", color=color, label=label)
        right.plot(
            table.index, table["recall"], marker="o", color=color, label=f"{label}: right person"
        )
        right.plot(
            table.index,
            table["false"],
            marker="x",
            ls="--",
            color=color,
            label=f"{label}: stranger",
        )
    for ax, what in ((left, "answers that are right (%)"), (right, "answered Yes (%)")):
        ax.set(xlabel="rank of the candidate", ylabel=what, ylim=(0, 101))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(ncols=2, loc="lower left", bbox_to_anchor=(0, 1), fontsize=8)
    return figure


@styled
def reliability_curve(tables: dict):
    """How often P(Yes) comes true; a dot's area grows with its pairs.

    tables: {label: `icl_lib.mllm.yes_no.reliability`}.
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
