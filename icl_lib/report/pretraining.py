"""The logs of pre-training, stage by stage."""

import pandas as pd
from matplotlib.figure import Figure

from icl_lib.report.style import panels, styled

SHARES = {"accuracy": "mean accuracy of the attributes", "yes_no_accuracy": "Yes/No accuracy"}  # 0-1, shown in percent
HIDDEN = {"step", "seconds", "loss"}


@styled
def pretraining_curves(logs: dict[str, pd.DataFrame]) -> Figure:
    """One panel a stage: its losses (nats, left axis) and, where it has one, its accuracy (percent, right axis, 0-100)."""
    columns = min(4, len(logs))
    figure, axes = panels(-(-len(logs) // columns), columns)
    for ax in axes.flat[len(logs):]:
        ax.set_axis_off()
    explained = set()
    for ax, (stage, log) in zip(axes.flat, logs.items()):
        losses = [c for c in log.columns if c not in HIDDEN | set(SHARES)] or ["loss"]
        for name in losses:
            ax.plot(log["step"], log[name], label=name.replace("_", " "))
        ax.set(title=stage, xlabel="step", ylabel="loss (nats)", ylim=(0, None))
        for name in set(SHARES) & set(log.columns):
            twin = ax.twinx()
            twin.plot(log["step"], 100 * log[name], color="#767676", linestyle="--", label=SHARES[name])
            twin.set(ylim=(0, 100), ylabel=f"{SHARES[name]} (%)")
            twin.grid(False)
        if not explained >= set(losses):  # a stage that goes on with the same losses needs no second legend
            ax.legend(loc="best")
        explained |= set(losses)
    return figure
