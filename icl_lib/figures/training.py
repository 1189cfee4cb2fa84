"""The logs of pre-training, stage by stage."""

from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib import rcParams
from matplotlib.figure import Figure

from icl_lib.analysis.compare import believed_by_truth
from icl_lib.figures.metrics import _whole_numbers
from icl_lib.figures.style import BLACK, CYCLE, GREY, panels, styled
from icl_lib.retrieval.evaluate import epoch_score
from icl_lib.retrieval.metrics import LABELS


@styled
def training_curves(logs: dict[str, pd.DataFrame], ylim=(0, 100)):
    """Loss and val Rank-1 an epoch. logs: {label: table with the columns epoch, loss and, where there is a val
    split, rank1 and mAP}.
    """
    figure, ((left, right),) = panels(1, 2)
    for label, log in logs.items():
        left.plot(log["epoch"], log["loss"], marker="o", label=label)
        if "rank1" not in log:
            continue
        right.plot(log["epoch"], log["rank1"], marker="o", label=label)
        best = epoch_score(log, "val").idxmax()
        right.plot(
            log["epoch"][best], log["rank1"][best], marker="*", ms=13, color=BLACK, ls="", zorder=3
        )
    left.set(xlabel="epoch", ylabel="training loss (mean a batch)")
    right.set(xlabel="epoch", ylabel="val Rank-1 (%)", ylim=ylim, title="★ the epoch that is kept")
    (right if right.lines else left).legend()
    _whole_numbers(left)
    _whole_numbers(right)
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


SHARES = ("accuracy", "yes_no_accuracy")  # 0-1, shown in percent
SHOWN = "accuracy (of the tower's attributes, of Yes/No), right axis"
HIDDEN = {"step", "seconds", "loss"}


@styled
def pretraining_curves(logs: dict[str, pd.DataFrame]) -> Figure:
    """One panel a stage: its losses (nats, left axis) and, where it has one, its accuracy (percent, right axis, 0-100).

    A loss has one colour in all panels, and is explained below them.
    """
    columns = min(3, len(logs))
    figure, axes = panels(-(-len(logs) // columns), columns, height=2.7)
    for ax in axes.flat[len(logs) :]:
        ax.set_axis_off()
    names = list(
        dict.fromkeys(
            c for log in logs.values() for c in log.columns if c not in HIDDEN | set(SHARES)
        )
    )
    colours = dict(zip(["loss", *names], cycle(rcParams["axes.prop_cycle"].by_key()["color"])))
    lines = {}
    for ax, (stage, log) in zip(axes.flat, logs.items()):
        for name in [c for c in names if c in log.columns] or ["loss"]:
            label = name.replace("_", " ")
            (lines[label],) = ax.plot(log["step"], log[name], color=colours[name])
        ax.set(title=stage, xlabel="step", ylabel="loss (nats)", ylim=(0, None))
        for name in set(SHARES) & set(log.columns):
            twin = ax.twinx()
            (lines[SHOWN],) = twin.plot(
                log["step"], 100 * log[name], color="#767676", linestyle="--"
            )
            twin.set(ylim=(0, 100), ylabel="accuracy (%)")
            twin.grid(False)
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=4)
    return figure


@styled
def training_dots(table: pd.DataFrame, metrics=("rank1", "mAP"), xlim=(0, 100)):
    """A line a training, a dot a seed, a bar at their mean; dashed: the first training's. `table` of `beside_first`."""
    figure, (axes,) = panels(
        1, len(metrics), height=0.5 + 0.45 * table["training"].nunique(), sharey=True
    )
    labels = list(dict.fromkeys(table["training"]))
    for ax, name in zip(axes, metrics):
        for color, (seed, rows) in zip(CYCLE * len(table), table.groupby(level=0)):
            ax.plot(
                rows[name],
                [labels.index(label) for label in rows["training"]],
                "o",
                color=color,
                label=f"seed {seed}",
            )
        means = table.groupby("training")[name].mean().reindex(labels)
        ax.plot(means, np.arange(len(labels)), "|", color=BLACK, ms=16, mew=1.5)
        ax.axvline(means.iloc[0], color=GREY, ls="--", lw=1)
        ax.set_yticks(range(len(labels)), labels)
        ax.set(xlabel=LABELS.get(name, name), xlim=xlim, ylim=(len(labels) - 0.5, -0.5))
    axes[-1].legend()
    return figure


@styled
def trade_curve(table: pd.DataFrame, chosen: float | None = None):
    """What leaving out M's least believed additions does; `table` of `icl_lib.analysis.hallucination.trade`, percent.

    chosen: the share (percent) to mark.
    """
    figure, ((ax,),) = panels()
    ax.plot(table.index, table["true kept"], marker="o", label="true sub-sentences kept")
    ax.plot(
        table.index,
        table["contradicted"],
        marker="x",
        ls="--",
        label="contradicted, of what is left",
    )
    if chosen is not None:
        ax.axvline(chosen, color=BLACK, ls=":", lw=1.2)
    ax.set(
        xlabel="M's additions left out, least believed first (%)",
        ylabel="sub-sentences (%)",
        ylim=(0, 102),
    )
    ax.legend(loc="center right")
    return figure


@styled
def believed_share(logs: dict[str, pd.DataFrame], ylim=(0, 100)):
    """Share of training pairs that CCD believes, an epoch. logs: {label: table with the columns epoch and
    clean}; of a log that knows the truth (clean_precision, clean_recall), right and wrong pairs apart.
    """
    figure, ((ax,),) = panels()
    for label, log in logs.items():
        shares = believed_by_truth(log) if "clean_recall" in log else {label: log["clean"]}
        for (name, share), style in zip(shares.items(), ("-", "--")):
            ax.plot(log["epoch"], 100 * share, style, marker="o", label=name)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set(xlabel="epoch", ylabel="pairs believed (%)", ylim=ylim)
    ax.legend()
    return figure


@styled
def seed_lines(table: pd.DataFrame, metrics=("rank1", "mAP"), ylim=(0, 100)):
    """Each seed's means as a line from the first method to the last; `table` of `over_seeds`, percent."""
    figure, (axes,) = panels(1, len(metrics))
    for ax, name in zip(axes, metrics):
        labels = [column[len(name) + 1 :] for column in table if column.startswith(f"{name} ")]
        labels.remove("gain")
        for color, (seed, row) in zip(CYCLE * len(table), table.iterrows()):
            means = [row[f"{name} {label}"] for label in labels]
            ax.plot(range(len(means)), means, marker="o", color=color, label=f"seed {seed}")
        ax.set_xticks(range(len(labels)), labels)
        ax.set(ylabel=f"{LABELS.get(name, name)} (%)", ylim=ylim, xlim=(-0.3, len(labels) - 0.7))
    axes[0].legend()
    return figure


@styled
def noise_lines(table: pd.DataFrame, metrics=("rank1", "mAP"), ylim=(0, 100)):
    """Metrics (percent) over the share of wrong training pairs, with CCD and without, with 95% intervals.

    table: a row a training, columns "wrong pairs (%)", CCD (bool), the metrics and ci95 ({metric: [low, high]}).
    """
    figure, (axes,) = panels(1, len(metrics))
    for ax, name in zip(axes, metrics):
        for ccd, rows in table.groupby("CCD"):
            ends = np.array([row[name] for row in rows["ci95"]]).T  # [2, shares]
            error = np.abs(ends - rows[name].to_numpy())
            ax.errorbar(
                rows["wrong pairs (%)"],
                rows[name],
                error,
                marker="o",
                capsize=4,
                ls="-" if ccd else "--",
                label="with CCD" if ccd else "without CCD",
            )
        ax.set(xlabel="wrong training pairs (%)", ylabel=f"{LABELS.get(name, name)} (%)", ylim=ylim)
    axes[0].legend()
    return figure
