"""What THI changes: metrics, ranks, reasons for failure, and what it costs."""

import numpy as np
import pandas as pd

from icl_lib.figures.marks import diamonds, interval_bars
from icl_lib.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, RED, panels, styled, widened
from icl_lib.retrieval.metrics import LABELS


@styled
def changes(table: pd.DataFrame, paper: dict, ylim: tuple[float, float]):
    """Points that every metric gains, with 95% intervals.

    Args:
        table: What `icl_lib.analysis.compare.differences` returns.
        paper: The paper's changes, {metric: points}; NaN where there is none.
        ylim: Range in points, widened where something would leave it.
    """
    figure, ((ax,),) = panels()
    gain, published = table["difference"], [paper[name] for name in table.index]
    names, colors = table.index.map(LABELS), np.where(gain > 0, GREEN, RED)
    interval_bars(ax, gain, table["low"], table["high"], names, colors)
    diamonds(ax, range(len(table)), published)
    drawn = np.array([table["low"], table["high"], published, np.zeros(len(table))])
    for x, points in enumerate(gain):
        # Above a rise and below a fall, beyond the diamond.
        top, up = (np.nanmax(drawn[:, x]), 1) if points >= 0 else (np.nanmin(drawn[:, x]), -1)
        how = {"textcoords": "offset points", "ha": "center", "va": "bottom" if up > 0 else "top"}
        ax.annotate(f"{points:+.2f}", (x, top), (0, 6 * up), **how)
    ax.axhline(0, color=BLACK, lw=1)
    ax.set(
        xlabel="bars: 95% paired bootstrap over people; ◇ the paper's change",
        ylabel="change (points)",
        ylim=widened(ylim, drawn),
    )
    return figure


@styled
def crossing_bars(table: pd.DataFrame, ylim: tuple[float, float]):
    """Queries whose person enters (up) and leaves (down) the first k ranks, by their anchor.

    Args:
        table: What `icl_lib.analysis.accumulation.crossings` returns.
        ylim: Range in percent of all queries, widened where a bar would leave it.
    """
    metrics = table.index.unique("metric")
    share = 100 * table[["gained", "lost"]] / table.xs(metrics[0], level="metric")["queries"].sum()
    ylim = widened(ylim, share["gained"], -share["lost"], step=1)
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
    """The share of failed queries that each cause explains, a panel for each way to fail.

    Each query is counted once, under its first cause, so the bars of a panel add up to 100%.

    Args:
        counts: {way to fail: `icl_lib.analysis.causes.cause_counts`}.
    """
    figure, (axes,) = panels(1, len(counts), height=3.8, sharey=True)
    for ax, (way, table) in zip(axes, counts.items(), strict=True):
        bars = ax.barh(table.index, table["first share (%)"], 0.7, color=BLUE, alpha=0.85)
        ax.bar_label(bars, fmt="%.0f%%", padding=3, fontsize=9)
        title = f"{way}: {table['first'].sum():,} queries"
        ax.set(title=title, xlabel="share of these queries (%)", xlim=(0, 109))
        ax.set_xticks(range(0, 101, 20))
        ax.grid(axis="y", visible=False)
    axes[0].invert_yaxis()
    return figure


@styled
def cost_curve(lines: dict[str, tuple[pd.DataFrame, int]], recommended: int, ylim):
    """Rank-1 over questions per query, a point for each K, and a panel for each split.

    Filled points are on the Pareto front: no cheaper K is as good. Dashed lines show what the
    released code asks for the same rankings.

    Args:
        lines: {label: (rows of `icl_lib.thi.sweep.grid` at one (xi, lambda), number of
            queries)}.
        recommended: The K to ring.
        ylim: Range of Rank-1 in percent, widened where a curve would leave it.
    """
    ylim = widened(ylim, *(line["rank1"] for line, _ in lines.values()))
    figure, (axes,) = panels(1, len(lines), height=3.8, sharex=True, sharey=True)
    for ax, (label, (line, queries)) in zip(axes, lines.items(), strict=True):
        line = line.sort_values("K").set_index("K")
        x, y = line["questions"] / queries, line["rank1"]
        released = line["released_questions"] / queries
        ax.plot(x, y, color=BLUE, label="this kit")
        ax.plot(released, y, color=ORANGE, ls="--", lw=1.4, label="as released")
        front = ~(y <= y.cummax().shift())
        ax.plot(x[front], y[front], "o", color=BLUE)
        ax.plot(x[~front], y[~front], "o", color=BLUE, mfc="white")
        apart = np.array([0.05 * released.max(), 0.035 * np.ptp(ylim)])  # numbers that do not meet
        last = np.full(2, -np.inf)
        for K, spot in zip(line.index, np.transpose([x, y]), strict=True):
            if (np.abs(spot - last) > apart).any():
                last = spot
                how = {"textcoords": "offset points", "ha": "right", "fontsize": 8}
                ax.annotate(f"{K}", spot, (-5, 4), **how)
        ax.plot(x[recommended], y[recommended], "o", ms=13, mfc="none", mec=BLACK, mew=1.5)
        title = f"{label}: ○ K = {recommended}, recommended"
        ax.set(title=title, xlabel="questions per query (numbers: K)", ylim=ylim)
    axes[0].set_ylabel(LABELS["rank1"])
    axes[-1].legend(loc="lower right")
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
