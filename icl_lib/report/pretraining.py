"""The logs of pre-training, stage by stage."""

from itertools import cycle

import pandas as pd
from matplotlib import rcParams
from matplotlib.figure import Figure

from icl_lib.report.style import panels, styled

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
    for ax in axes.flat[len(logs):]:
        ax.set_axis_off()
    names = list(dict.fromkeys(c for log in logs.values() for c in log.columns if c not in HIDDEN | set(SHARES)))
    colours = dict(zip(["loss", *names], cycle(rcParams["axes.prop_cycle"].by_key()["color"])))
    lines = {}
    for ax, (stage, log) in zip(axes.flat, logs.items()):
        for name in [c for c in names if c in log.columns] or ["loss"]:
            label = name.replace("_", " ")
            lines[label], = ax.plot(log["step"], log[name], color=colours[name])
        ax.set(title=stage, xlabel="step", ylabel="loss (nats)", ylim=(0, None))
        for name in set(SHARES) & set(log.columns):
            twin = ax.twinx()
            lines[SHOWN], = twin.plot(log["step"], 100 * log[name], color="#767676", linestyle="--")
            twin.set(ylim=(0, 100), ylabel="accuracy (%)")
            twin.grid(False)
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=4)
    return figure
