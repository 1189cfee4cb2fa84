"""What THI changes: metrics, ranks, reasons for failure, and what it costs."""

import numpy as np
import pandas as pd

from icl_lib.figures.marks import diamonds, interval_bars
from icl_lib.figures.style import BLACK, BLUE, CYCLE, GREEN, GREY, RED, SKY, panels, styled
from icl_lib.retrieval.metrics import LABELS


@styled
def changes(table: pd.DataFrame, paper: dict, ylim: tuple[float, float]):
    """Points that every metric gains, with 95% intervals.

    Args:
        table: What `icl_lib.analysis.compare.differences` returns.
        paper: The paper's changes, {metric: points}; NaN where there is none.
        ylim: Range in points.
    """
    figure, ((ax,),) = panels()
    gain, published = table["difference"], [paper[name] for name in table.index]
    names, colors = table.index.map(LABELS), np.where(gain > 0, GREEN, RED)
    interval_bars(ax, gain, table["low"], table["high"], names, colors)
    diamonds(ax, range(len(table)), published)
    tops = np.nanmax([table["high"], published, np.zeros(len(table))], axis=0).clip(max=ylim[1])
    for x, (top, points) in enumerate(zip(tops, gain, strict=True)):
        ax.annotate(f"{points:+.2f}", (x, top), (0, 4), textcoords="offset points", ha="center")
    ax.axhline(0, color=BLACK, lw=1)
    ax.set(
        xlabel="bars: 95% paired bootstrap over people; ◇ the paper's change",
        ylabel="change (points)",
        ylim=ylim,
    )
    return figure


@styled
def crossing_bars(table: pd.DataFrame, ylim: tuple[float, float]):
    """Queries whose person enters (up) and leaves (down) the first k ranks, by their anchor.

    Args:
        table: What `icl_lib.analysis.accumulation.crossings` returns.
        ylim: Range in percent of all queries.
    """
    metrics = table.index.unique("metric")
    figure, (axes,) = panels(1, len(metrics), sharey=True)
    for ax, metric in zip(axes, metrics, strict=True):
        whole = table.loc[metric]
        part = whole.drop("none", level="anchor", errors="ignore")
        names = [f"{anchor}, rank {rank}" if rank else anchor for anchor, rank in part.index]
        unit = 100 / whole["queries"].sum()
        ax.bar(names, unit * part["gained"], 0.6, color=GREEN, alpha=0.85, label="enter")
        ax.bar(names, -unit * part["lost"], 0.6, color=RED, alpha=0.85, hatch="//", label="leave")
        ax.plot(names, part["points"], "_", color=BLACK, ms=16, mew=2, label="difference")
        ax.tick_params(axis="x", rotation=20)
        ax.axhline(0, color=BLACK, lw=1)
        points = f"{whole['points'].sum():+.2f} points"
        ax.set(title=f"{LABELS[metric].removesuffix(' (%)')}: {points}", ylim=ylim)
        ax.grid(axis="x", visible=False)
    axes[0].set_ylabel("queries (% of all)")
    axes[-1].legend()
    figure.supxlabel(
        "anchor: a picture of the right person, or of a wrong one at this rank", fontsize=9
    )
    return figure


@styled
def cause_bars(counts: dict[str, pd.DataFrame]):
    """How often each cause holds, and how often it is the first one, a panel for each way to fail.

    Args:
        counts: {way to fail: `icl_lib.analysis.causes.cause_counts`}.
    """
    labels = (
        "cause holds (these overlap)",
        "first cause of the query (these add up to 100)",
        "cause holds among the queries that do not fail so",
    )
    figure, (axes,) = panels(1, len(counts), height=4.2, sharey=True)
    for ax, (way, table) in zip(axes, counts.items(), strict=True):
        y, held, elsewhere = (
            -np.arange(len(table)),
            table["share (%)"],
            table["share elsewhere (%)"],
        )
        ax.barh(y, held, 0.72, color=SKY, alpha=0.6, label=labels[0])
        ax.barh(y, table["first share (%)"], 0.34, color=BLUE, label=labels[1])
        ax.plot(elsewhere, y, "|", color=BLACK, ms=13, mew=2, label=labels[2])
        ends = np.maximum(held, elsewhere)
        for place, end, row in zip(y, ends, table.itertuples(), strict=True):
            ax.text(end + 2, place, f"{row.queries:,} · {row.first:,}", va="center", fontsize=8)
        ax.set_yticks(y, table.index)
        ax.set(
            title=f"{way}: {table['first'].sum():,} queries",
            xlabel="share (%); numbers: queries · first",
            xlim=(0, 119),
            xticks=range(0, 101, 20),
        )
        ax.grid(axis="y", visible=False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


@styled
def cost_curve(lines: dict[str, tuple[pd.DataFrame, int]], recommended: int, ylim):
    """Rank-1 over questions per query, a point for each K.

    Filled points are on the Pareto front: no cheaper K is as good. Dashed lines show what the
    released code asks for the same rankings.

    Args:
        lines: {label: (rows of `icl_lib.thi.sweep.grid` at one (xi, lambda), number of
            queries)}.
        recommended: The K to ring.
        ylim: Range of Rank-1 in percent.
    """
    figure, ((ax,),) = panels(height=3.8)
    for color, (label, (line, queries)) in zip(CYCLE, lines.items(), strict=False):
        line = line.sort_values("K").set_index("K")
        x, y = line["questions"] / queries, line["rank1"]
        ax.plot(x, y, color=color, label=label)
        released = line["released_questions"] / queries
        ax.plot(released, y, color=color, ls="--", lw=1.2, label=f"{label}, as released")
        front = ~(y <= y.cummax().shift())
        ax.plot(x[front], y[front], "o", color=color)
        ax.plot(x[~front], y[~front], "o", color=color, mfc="white")
        last = -np.inf
        for K in line.index:
            if x[K] - last > 0.02 * x.max():  # closer numbers would overlap
                last = x[K]
                ax.text(x[K], y[K] + 0.02 * np.ptp(ylim), f"{K}", ha="center", fontsize=8)
        ax.plot(x[recommended], y[recommended], "o", ms=13, mfc="none", mec=BLACK, mew=1.5)
    ax.set(
        title=f"○ K = {recommended}, recommended",
        xlabel="questions per query (numbers: K)",
        ylabel=LABELS["rank1"],
        ylim=ylim,
    )
    ax.legend(loc="lower right")
    return figure


@styled
def rank_shift(table: pd.DataFrame):
    """Rank of each query's first right picture before and after THI, by its anchor.

    Points are moved at random by up to 6%, so that equal ones can be told apart.

    Args:
        table: What `icl_lib.analysis.cases.cases` returns.
    """
    figure, ((ax,),) = panels(height=4.6)
    rng = np.random.default_rng(0)
    has_anchor, right = table["anchor"] >= 0, table["anchor_right"]
    kinds = {
        "no anchor": (~has_anchor, GREY, "."),
        "right anchor": (right, GREEN, "o"),
        "wrong anchor": (has_anchor & ~right, RED, "x"),
    }
    for label, (group, color, marker) in kinds.items():
        ranks = table.loc[group & (table["before"] > 0), ["before", "after"]].to_numpy()
        moved = ranks * np.exp(rng.uniform(-0.06, 0.06, ranks.shape))
        ax.plot(*moved.T, marker, color=color, alpha=0.5, label=f"{label}: {len(ranks):,} queries")
    ax.axline((1, 1), (10, 10), color=BLACK, lw=1, ls=":")
    ax.set(
        title="below the dotted line: the person moves up",
        xscale="log",
        yscale="log",
        xlabel="rank before",
        ylabel="rank after",
    )
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
