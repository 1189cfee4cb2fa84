"""Comparisons of runs with their intervals, and the figures of a study: changes, costs, movements of rank."""

import numpy as np
import pandas as pd

from icl_lib.report.figures import LABELS
from icl_lib.report.style import BLACK, CYCLE, GREEN, GREY, RED, panels, styled
from icl_lib.retrieval.metrics import bootstrap_ci, paired_bootstrap


def fixed_range(*starts: float, below: float = 10, above: float = 20, step: float = 5) -> tuple[float, float]:
    """A range for an axis in percent that depends on where its curves start and on nothing else of them.

    From `below` under the lowest start to `above` over the highest, starts rounded down to multiples of
    `step`; at most 0 to 100.
    """
    low, high = (step * np.floor(end / step) for end in (min(starts), max(starts)))
    return float(max(0, low - below)), float(min(100, high + above))


def compared(rows: dict[str, dict], metrics=("rank1", "mAP"), seed: int = 0) -> pd.DataFrame:
    """Methods in order, each against the row above it on the same queries; means, gains and 95% intervals.

    rows: {label: `per_query_metrics`}, all of the same queries in one order. Columns a metric: its mean in
    percent, "95%", "gain" in points over the row above, "gain 95%" by a paired bootstrap, and "excludes
    0".
    """
    table, above = [], None
    for label, values in rows.items():
        row: dict = {"method": label}
        for name in metrics:
            low, high = bootstrap_ci(values[name], seed)
            row |= {name: float(values[name].mean()), f"{name} 95%": f"{low:.1f} – {high:.1f}"}
            if above is not None:
                test = paired_bootstrap(values[name], above[name], seed)
                row |= {
                    f"{name} gain": test["difference"],
                    f"{name} gain 95%": f"{test['low']:+.2f} – {test['high']:+.2f}",
                    f"{name} excludes 0": _excludes_zero(test),
                }
        table.append(row)
        above = values
    return pd.DataFrame(table).set_index("method")


def differences(after: dict, before: dict, metrics=tuple(LABELS), seed: int = 0, pids=None) -> pd.DataFrame:
    """Paired bootstrap of every metric, a row each: before, after (percent), difference, low, high
    (points), p, excludes_0.

    pids [Q]: also "people low" and "people high", from drawing whole people anew, with all their queries.
    """
    rows = {}
    for name in metrics:
        test = paired_bootstrap(after[name], before[name], seed)
        rows[name] = {
            "before": float(before[name].mean()),
            "after": float(after[name].mean()),
            **test,
            "excludes_0": _excludes_zero(test),
        }
        if pids is not None:
            low, high = people_ci(after[name] - before[name], pids, seed)
            rows[name] |= {"people low": low, "people high": high}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")


def people_ci(values, pids, seed: int = 0, draws: int = 2000, level: float = 0.95) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values` [Q], resampling the people of `pids` [Q], not single
    queries: queries of one person are not independent of each other.
    """
    people, who = np.unique(pids, return_inverse=True)
    total, count = np.bincount(who, weights=values), np.bincount(who)
    drawn = np.random.default_rng(seed).integers(0, len(people), (draws, len(people)))
    means = total[drawn].sum(1) / count[drawn].sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def recommended_K(line: pd.DataFrame, share: float = 0.9) -> int:
    """The smallest K that reaches `share` of the largest gain in Rank-1 over K = 0; 0 where no K gains.

    line: rows of `icl_lib.thi.grid` at one (xi, lambda), one a K, K = 0 among them.
    """
    line = line.sort_values("K")
    if line["K"].duplicated().any() or line["K"].iloc[0] != 0:
        raise ValueError("recommended_K wants one row a K, K = 0 among them: fix xi and lam with figures.at")
    gain = (line["rank1"] - line["rank1"].iloc[0]).to_numpy()
    return int(line["K"].to_numpy()[np.argmax(gain >= share * gain.max())]) if gain.max() > 0 else 0


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


def believed_by_truth(log: pd.DataFrame) -> dict[str, pd.Series]:
    """Shares in [0, 1] of the right and of the wrong pairs that CCD believes, an epoch, from a log's clean (the
    share of all pairs), clean_precision and clean_recall.
    """
    believed_right = log["clean"] * log["clean_precision"]  # of all pairs
    right = (believed_right / log["clean_recall"]).median()  # the same in every epoch, up to the log's digits
    return {"right pairs": log["clean_recall"], "wrong pairs": (log["clean"] - believed_right) / (1 - right)}


@styled
def cost_curve(lines: dict[str, tuple[pd.DataFrame, int]], recommended: int | None = None, ylim=None):
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
                ax.annotate(f"{K}", spot, (0, 7), textcoords="offset points", ha="center", fontsize=8)
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
    rng, most = np.random.default_rng(0), max(10, table[["before", "after"]].to_numpy().max(initial=1))
    kinds = {
        "no anchor": (table["anchor"] < 0, GREY, "."),
        "right anchor": (table["anchor_right"], GREEN, "o"),
        "wrong anchor": ((table["anchor"] >= 0) & ~table["anchor_right"], RED, "x"),
    }
    for label, (chosen, color, marker) in kinds.items():
        part = table[chosen & (table["before"] > 0)]
        shaken = part[["before", "after"]].to_numpy() * np.exp(rng.uniform(-0.06, 0.06, (len(part), 2)))
        ax.plot(*shaken.T, marker, color=color, alpha=0.5, ms=5, label=f"{label}: {len(part):,} queries")
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


def _excludes_zero(test: dict) -> bool:
    return bool(test["low"] > 0 or test["high"] < 0)
