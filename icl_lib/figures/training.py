"""Trainings: their logs epoch by epoch, and their results side by side."""

from itertools import cycle

import numpy as np
import pandas as pd

from icl_lib.analysis.compare import MAIN, believed_by_truth
from icl_lib.figures.marks import whole_numbers
from icl_lib.figures.style import BLACK, CYCLE, GREY, panel_list, panels, styled
from icl_lib.retrieval.evaluate import epoch_score
from icl_lib.retrieval.metrics import LABELS

TRAINED = ("accuracy", "yes_no_accuracy")  # columns of a log, in [0, 1], on the training batches
HELD_OUT = {  # columns of a log, in percent: the mark and the name of a figure
    "held_out_accuracy": ("o", "accuracy or Rank-1 on held-out people, right axis"),
    "held_out_rank1": ("o", "accuracy or Rank-1 on held-out people, right axis"),
    "held_out_attributes": ("^", "attributes of held-out people, right axis"),
}


@styled
def training_curves(logs: dict[str, pd.DataFrame]):
    """Loss and val Rank-1 by epoch, with a star at the epoch that is kept.

    Args:
        logs: {label: log}, a line each; columns epoch, loss and, if there is a val split, rank1 and
            mAP.
    """
    figure, ((left, right),) = panels(1, 2)
    for label, log in logs.items():
        left.plot(log["epoch"], log["loss"], marker="o", label=label)
        if "rank1" in log:
            right.plot(log["epoch"], log["rank1"], marker="o", label=label)
            best = log.loc[epoch_score(log, "val").idxmax()]
            right.plot(best["epoch"], best["rank1"], "*", ms=13, color=BLACK, zorder=3)
    left.set(xlabel="epoch", ylabel="training loss (mean of a batch)")
    right.set(xlabel="epoch", ylabel="val Rank-1 (%)", ylim=(0, 100), title="★ the epoch kept")
    (right if right.lines else left).legend()
    whole_numbers(left)
    whole_numbers(right)
    return figure


@styled
def loss_curve(log: pd.DataFrame):
    """Training loss by step (columns step, epoch, loss), and its mean over a tenth of the log."""
    figure, ((ax,),) = panels()
    ax.plot(log["step"], log["loss"], color=GREY, lw=0.8, marker=".", ms=3, label="logged")
    window = max(1, len(log) // 10)
    mean = log["loss"].rolling(window, min_periods=1).mean()
    ax.plot(log["step"], mean, color=BLACK, label=f"mean of the last {window}")
    for epoch in range(1, int(np.ceil(log["epoch"].max()))):
        ax.axvline(np.interp(epoch, log["epoch"], log["step"]), color=GREY, ls=":", lw=1)
    ax.set(
        xlabel="optimiser step (dotted: end of an epoch)",
        ylabel="loss of an answer token (nats)",
        ylim=(0, None),
    )
    ax.legend()
    return figure


@styled
def pretraining_curves(log: pd.DataFrame):
    """Losses (nats, left axis) and accuracies (percent, right axis) by step, a panel per stage.

    A loss has the same colour in all panels, which a legend below them explains.

    Args:
        log: columns stage, step and one for each number, as `icl_lib.pretrain.loop.train` logs
            them; empty where a stage or a step does not have it.
    """
    stages = {stage: rows.dropna(axis=1, how="all") for stage, rows in log.groupby("stage")}
    stages = {stage: stages[stage] for stage in log["stage"].unique()}
    figure, axes = panel_list(len(stages), height=2.7)
    twins = [ax.twinx() for ax in axes]
    hidden = {"stage", "step", "seconds", "loss", *TRAINED, *HELD_OUT}
    names = [name for name in log if name not in hidden]
    colors, lines = dict(zip(["loss", *names], cycle(CYCLE), strict=False)), {}
    for ax, twin, (stage, rows) in zip(axes, twins, stages.items(), strict=True):
        for name in [name for name in names if name in rows] or ["loss"]:
            shown, style = rows.dropna(subset=name), "o:" if name.startswith("held_out") else "-"
            (line,) = ax.plot(shown["step"], shown[name], style, ms=4, color=colors[name])
            lines[name.replace("_", " ")] = line
        ax.set(title=stage, xlabel="step", ylabel="loss (nats)", ylim=(0, None))
        for name in [name for name in (*TRAINED, *HELD_OUT) if name in rows]:
            shown = rows.dropna(subset=name)
            if name in TRAINED:
                (line,) = twin.plot(shown["step"], 100 * shown[name], color=GREY, ls="--")
                lines["accuracy on the training batches, right axis"] = line
            else:
                mark, label = HELD_OUT[name]
                (lines[label],) = twin.plot(shown["step"], shown[name], mark, color=BLACK, ms=4)
        twin.set(ylim=(0, 100), ylabel="percent")
        twin.grid(False)
    figure.legend(lines.values(), lines, loc="outside lower center", ncols=3)
    return figure


@styled
def gain_by_start(table: pd.DataFrame):
    """Left: Rank-1 and mAP with and without RDA over CLIP's pre-training steps. Right: RDA's gain.

    Args:
        table: What `icl_lib.stages.ablations.rda_by_start` returns.
    """
    figure, ((left, right),) = panels(1, 2)
    for metric, color in zip(MAIN, CYCLE, strict=False):
        rows = table.xs(metric, level="metric")
        name = LABELS[metric].removesuffix(" (%)")
        left.plot(rows["after"], "o-", color=color, label=f"{name} with RDA")
        left.plot(rows["before"], "x--", color=color, label=f"{name} without")
        error = [rows["difference"] - rows["low"], rows["high"] - rows["difference"]]
        right.errorbar(rows.index, rows["difference"], error, fmt="o-", color=color, label=name)
    right.axhline(0, color=GREY, lw=1)
    left.set(ylabel="test (%)", ylim=(0, 100))
    right.set(ylabel="gain by RDA (points, 95% over people)", ylim=(-10, 10))
    for ax in (left, right):
        ax.set(xlabel="steps of CLIP's pre-training")
        ax.legend(fontsize=8)
    return figure


@styled
def training_dots(table: pd.DataFrame, xlim: tuple[float, float]):
    """Rank-1 and mAP of several trainings: a line each, a dot per seed, a bar at the mean.

    Args:
        table: What `icl_lib.analysis.compare.beside_first` returns; a dashed line marks the mean of
            its first training.
        xlim: Range in percent.
    """
    labels = list(table["training"].unique())
    figure, (axes,) = panels(1, len(MAIN), height=0.5 + 0.45 * len(labels), sharey=True)
    for ax, metric in zip(axes, MAIN, strict=True):
        for seed, rows in table.groupby(level=0):
            places = [labels.index(label) for label in rows["training"]]
            ax.plot(rows[metric], places, "o", label=f"seed {seed}")
        means = table.groupby("training", sort=False)[metric].mean()
        ax.plot(means, range(len(labels)), "|", color=BLACK, ms=16, mew=1.5)
        ax.axvline(means.iloc[0], color=GREY, ls="--", lw=1)
        ax.set_yticks(range(len(labels)), labels)
        ax.set(xlabel=LABELS[metric], xlim=xlim, ylim=(len(labels) - 0.5, -0.5))
    axes[-1].legend()
    return figure


@styled
def trade_curve(table: pd.DataFrame, chosen: float):
    """What a filter on the MLLM's own P(Yes) removes, true and false.

    Args:
        table: What `icl_lib.analysis.hallucination.trade` returns, in percent.
        chosen: The share (percent) to mark.
    """
    figure, ((ax,),) = panels()
    ax.plot(table["true kept"], "o-", label="true sub-sentences that are kept")
    ax.plot(table["contradicted"], "x--", label="contradicted by the picture, of what is kept")
    ax.axvline(chosen, color=BLACK, ls=":", lw=1.2)
    ax.set(
        xlabel="sub-sentences removed of those that the MLLM added, lowest P(Yes) first (%)",
        ylabel="sub-sentences (%)",
        ylim=(0, 102),
    )
    ax.legend(loc="center right")
    return figure


@styled
def believed_share(logs: dict[str, pd.DataFrame]):
    """Share of the training pairs that CCD believes, by epoch.

    Args:
        logs: {label: log} with the columns epoch and clean. Right and wrong pairs are drawn apart
            for a log that knows which are wrong (clean_precision, clean_recall).
    """
    figure, ((ax,),) = panels()
    for label, log in logs.items():
        shares = believed_by_truth(log) if "clean_recall" in log else {label: log["clean"]}
        for (name, share), style in zip(shares.items(), ("-", "--"), strict=False):
            ax.plot(log["epoch"], 100 * share, style, marker="o", label=name)
    whole_numbers(ax)
    ax.set(xlabel="epoch", ylabel="pairs believed (%)", ylim=(0, 100))
    ax.legend()
    return figure


@styled
def seed_lines(table: pd.DataFrame, ylim: tuple[float, float]):
    """Rank-1 and mAP of each seed as a line from the first method to the last.

    Args:
        table: What `icl_lib.analysis.compare.over_seeds` returns.
        ylim: Range in percent.
    """
    figure, (axes,) = panels(1, len(MAIN))
    for ax, metric in zip(axes, MAIN, strict=True):
        means = table.filter(regex=f"^{metric} ").drop(columns=f"{metric} gain")
        labels = means.columns.str.removeprefix(f"{metric} ")
        for seed, row in means.iterrows():
            ax.plot(labels, row, marker="o", label=f"seed {seed}")
        ax.set(ylabel=LABELS[metric], ylim=ylim, xlim=(-0.3, len(labels) - 0.7))
    axes[0].legend()
    return figure


@styled
def noise_lines(table: pd.DataFrame):
    """Rank-1 and mAP with 95% intervals over the share of wrong pairs, with CCD and without.

    Args:
        table: A row for each training: "wrong pairs (%)", CCD (bool), and `with_intervals`.
    """
    figure, (axes,) = panels(1, len(MAIN))
    for ax, metric in zip(axes, MAIN, strict=True):
        for ccd, rows in table.groupby("CCD"):
            ends = np.array([intervals[metric] for intervals in rows["ci95"]]).T  # [2, shares]
            error = np.abs(ends - rows[metric].to_numpy())
            style, label = ("o-", "with CCD") if ccd else ("o--", "without CCD")
            shares = rows["wrong pairs (%)"]
            ax.errorbar(shares, rows[metric], error, fmt=style, capsize=4, label=label)
        ax.set(xlabel="wrong training pairs (%)", ylabel=LABELS[metric], ylim=(0, 100))
    axes[0].legend()
    return figure
