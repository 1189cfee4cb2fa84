"""Comparisons of runs with their intervals, and the figures of a study: changes, costs, movements of rank."""

import numpy as np
import pandas as pd

from icl_lib.figures.style import BLACK, BLUE, CYCLE, GREEN, GREY, RED, SKY, panels, styled
from icl_lib.retrieval.metrics import LABELS


@styled
def crossing_bars(table: pd.DataFrame, ylim=(-1, 1)):
    """Points that enter (up) and leave (down) Rank-k, a bar a kind of anchor; table: from `crossings`."""
    metrics = list(dict.fromkeys(table.index.get_level_values("metric")))
    figure, (axes,) = panels(1, len(metrics), sharey=True)
    for ax, metric in zip(axes, metrics):
        whole = table.loc[metric]
        part, unit = (
            whole.drop("none", level="anchor", errors="ignore"),
            100 / whole["queries"].sum(),
        )
        at = np.arange(len(part))
        ax.bar(at, unit * part["gained"], 0.6, color=GREEN, alpha=0.85, label="came in")
        ax.bar(at, -unit * part["lost"], 0.6, color=RED, alpha=0.85, hatch="//", label="fell out")
        ax.plot(at, part["points"], "_", color=BLACK, ms=16, mew=2, label="the difference")
        ax.set_xticks(
            at, [f"{kind}, rank {rank}" if rank else kind for kind, rank in part.index], rotation=20
        )
        ax.axhline(0, color=BLACK, lw=1)
        ax.set(
            title=f"{LABELS[metric].split(' ')[0]}: {whole['points'].sum():+.2f} points", ylim=ylim
        )
        ax.grid(axis="x", visible=False)
    axes[0].set_ylabel("queries (% of all)")
    axes[-1].legend()
    figure.supxlabel(
        "the anchor: the right person's picture, or a wrong one at its rank", fontsize=9
    )
    return figure


@styled
def cause_bars(counts: dict[str, pd.DataFrame]):
    """A panel a way to fail, a line a cause: in percent, how often it holds (light) and holds first (dark).

    counts: {way: `cause_counts`}. Light bars overlap; dark ones add up to 100. Black: its share elsewhere.
    """
    figure, (axes,) = panels(1, len(counts), height=4.2, sharey=True)
    for ax, (way, table) in zip(axes, counts.items()):
        at = -np.arange(len(table))
        ax.barh(at, table["share (%)"], 0.72, color=SKY, alpha=0.6, label="holds (these overlap)")
        ax.barh(
            at,
            table["first share (%)"],
            0.34,
            color=BLUE,
            label="holds first (these add up to 100)",
        )
        ax.plot(
            table["share elsewhere (%)"],
            at,
            "|",
            color=BLACK,
            ms=13,
            mew=2,
            label="holds for queries that did not fail so",
        )
        most = table[["share (%)", "share elsewhere (%)"]].max(axis=1)
        for y, end, held, first in zip(at, most, table["queries"], table["first"]):
            ax.text(end + 2, y, f"{held:,} · {first:,}", va="center", fontsize=8)
        ax.set_yticks(at, table.index)
        ax.set(
            xlabel="share (%); numbers: holds · holds first",
            xlim=(0, 119),
            xticks=range(0, 101, 20),
        )
        ax.set_title(f"{way}: {int(table['first'].sum()):,} queries")
        ax.grid(axis="y", visible=False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


@styled
def changes(table: pd.DataFrame, paper: dict | None = None, ylim=(-5, 15)):
    """Points that every metric gains, with 95% intervals. table: from `differences`; paper: {metric:
    points}.
    """
    figure, ((ax,),) = panels()
    at = np.arange(len(table))
    error = np.abs(table[["low", "high"]].to_numpy().T - table["difference"].to_numpy())
    colors = [GREEN if value > 0 else RED for value in table["difference"]]
    ax.bar(at, table["difference"], 0.55, yerr=error, capsize=4, color=colors, alpha=0.85)
    for x, (name, row) in enumerate(table.iterrows()):
        published = (paper or {}).get(name, np.nan)
        ax.plot(x, published, "D", color=BLACK, mfc="white", ms=7, zorder=3)
        above = min(np.nanmax([row["high"], published, 0]), ylim[1]) + 0.03 * (ylim[1] - ylim[0])
        ax.text(x, above, f"{row['difference']:+.2f}", ha="center", va="bottom", fontsize=9)
    ax.axhline(0, color=BLACK, lw=1)
    ax.set_xticks(at, [LABELS.get(name, name) for name in table.index])
    note = "bars: 95% paired bootstrap over queries" + ("; ◇ the paper's change" if paper else "")
    ax.set(ylabel="change (points)", ylim=ylim, xlabel=note)
    ax.grid(axis="x", visible=False)
    return figure


@styled
def cost_curve(
    lines: dict[str, tuple[pd.DataFrame, int]], recommended: int | None = None, ylim=None
):
    """Rank-1 against questions a query, a point a K; filled: on the Pareto front (no cheaper K is as
    good).

    lines: {label: (grid rows at one (xi, lambda), one a K, number of queries)}. Dashed: what the released
    code asks for the same rankings.
    """
    figure, ((ax,),) = panels(height=3.8)
    for color, (label, (line, queries)) in zip(CYCLE, lines.items()):
        line = line.sort_values("K")
        x, y = line["questions"].to_numpy() / queries, line["rank1"].to_numpy()
        front = y > np.concatenate([[-np.inf], np.maximum.accumulate(y)[:-1]])
        ax.plot(x, y, color=color, label=label)
        ax.plot(
            line["released_questions"] / queries,
            y,
            color=color,
            ls="--",
            lw=1.2,
            label=f"{label}, as released",
        )
        ax.plot(x[front], y[front], "o", color=color)
        ax.plot(x[~front], y[~front], "o", color=color, mfc="white")
        named = -np.inf
        for K, spot in zip(line["K"], zip(x, y)):
            if spot[0] - named > 0.02 * x.max():  # closer numbers would lie on each other
                ax.annotate(
                    f"{K}", spot, (0, 7), textcoords="offset points", ha="center", fontsize=8
                )
                named = spot[0]
        if recommended is not None:
            chosen = (line["K"] == recommended).to_numpy()
            ax.plot(x[chosen], y[chosen], "o", ms=13, mfc="none", mec=BLACK, mew=1.5)
    title = "" if recommended is None else f"○ K = {recommended}, recommended"
    ax.set(xlabel="questions a query (numbers: K)", ylabel=LABELS["rank1"], ylim=ylim, title=title)
    ax.legend(loc="lower right")
    return figure


@styled
def rank_shift(table: pd.DataFrame):
    """Rank of each query's first right picture before and after THI, by what the anchor was; table: from
    `cases`.

    Points are shaken by up to 6% so that equal ones can be told apart.
    """
    figure, ((ax,),) = panels(height=4.6)
    rng, most = (
        np.random.default_rng(0),
        max(10, table[["before", "after"]].to_numpy().max(initial=1)),
    )
    kinds = {
        "no anchor": (table["anchor"] < 0, GREY, "."),
        "right anchor": (table["anchor_right"], GREEN, "o"),
        "wrong anchor": ((table["anchor"] >= 0) & ~table["anchor_right"], RED, "x"),
    }
    for label, (chosen, color, marker) in kinds.items():
        part = table[chosen & (table["before"] > 0)]
        shaken = part[["before", "after"]].to_numpy() * np.exp(
            rng.uniform(-0.06, 0.06, (len(part), 2))
        )
        ax.plot(
            *shaken.T, marker, color=color, alpha=0.5, ms=5, label=f"{label}: {len(part):,} queries"
        )
    ax.plot([1, most], [1, most], color=BLACK, lw=1, ls=":")
    ax.set(
        xscale="log",
        yscale="log",
        xlabel="rank before",
        ylabel="rank after",
        title="below the dotted line: the person moved up",
    )
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
