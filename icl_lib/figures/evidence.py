"""Rules of interaction against each other, over what they cost."""

import pandas as pd

from icl_lib.figures.style import BLACK, CYCLE, panels, styled, widened
from icl_lib.retrieval.metrics import LABELS

SHOWN = ("rank1", "rank5", "mAP", "mINP")
MARKS = "x+s^vD*"  # of rules with one setting


@styled
def over_cost(lines: dict[str, pd.DataFrame], cost: str, label: str, limit: float):
    """Gain in four metrics over what a rule costs per query, a panel for each metric.

    Gains are over the first line where it costs least.

    Args:
        lines: {rule: a row for each setting}, with the column `cost` and the metrics in percent; a
            rule with one setting is a black mark, the others are lines that start without cost.
        cost: the column on the horizontal axis.
        label: what that axis is called.
        limit: the vertical axis reaches from -5 to so many points, further where a gain lies
            outside.
    """
    figure, axes = panels(2, 2, height=2.9)
    curves = {name: table for name, table in lines.items() if len(table) > 1}
    start = next(iter(curves.values())).sort_values(cost).iloc[0]
    colors = dict(zip(curves, CYCLE, strict=False))
    gains = [table[list(SHOWN)] - start[list(SHOWN)] for table in lines.values()]
    ylim = widened((-5, limit), *gains)
    for ax, metric in zip(axes.flat, SHOWN, strict=True):
        for name, table in lines.items():
            gain = table[metric] - start[metric]
            if name in curves:
                ax.plot(table[cost], gain, "o-", ms=4, color=colors[name], label=name)
            else:
                mark = MARKS[list(lines).index(name) % len(MARKS)]
                ax.plot(table[cost], gain, mark, color=BLACK, ms=7, mfc="none", label=name)
        ax.axhline(0, color=BLACK, lw=1)
        title = LABELS[metric].removesuffix(" (%)")
        ax.set(title=f"{title}, gain over {start[metric]:.1f}", ylim=ylim)
        ax.set(xlabel=label, ylabel="gain (points)")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
    return figure


@styled
def over_questions_everywhere(lines: dict[str, pd.DataFrame], limit: float):
    """Gain in four metrics over the questions per query, a row of panels for each data set.

    Gains are over the data set's first line where it asks least; their range is the same in all
    panels.

    Args:
        lines: {rule: a row for each data set and setting}, indexed by dataset and setting, with
            the column questions and the metrics in percent.
        limit: the vertical axis reaches from -5 to so many points, further where a gain lies
            outside.
    """
    first = next(iter(lines.values()))
    titles = list(first.index.unique("dataset"))
    starts = first.sort_values("questions").groupby(level="dataset")[list(SHOWN)].first()
    rules = {
        name: table[[*SHOWN, "questions"]].sub(starts.assign(questions=0), level="dataset")
        for name, table in lines.items()
    }
    ylim = widened((-5, limit), *(table[list(SHOWN)] for table in rules.values()))
    figure, axes = panels(len(titles), len(SHOWN), height=1.9, sharex=True, sharey=True)
    for row, title in zip(axes, titles, strict=True):
        for ax, metric in zip(row, SHOWN, strict=True):
            for (name, table), color in zip(rules.items(), CYCLE, strict=False):
                own = table[table.index.get_level_values("dataset") == title]
                ax.plot(own["questions"], own[metric], "o-", ms=3, color=color, label=name)
            ax.axhline(0, color=BLACK, lw=1)
            ax.set_title(f"from {starts.loc[title, metric]:.1f}", fontsize=8)
            ax.set_ylim(ylim)
        row[0].set_ylabel(f"{title}\ngain (points)", fontsize=8)
    for ax, metric in zip(axes[0], SHOWN, strict=True):
        label = LABELS[metric].removesuffix(" (%)")
        ax.set_title(f"{label}\n{ax.get_title()}", fontsize=8)
    figure.supxlabel("questions per query", fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure
