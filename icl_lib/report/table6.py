"""Table 6 in full over several trainings: means, what every step adds, both with their intervals, beside the paper.

Two kinds of interval, never mixed: over QUERIES (bootstrap, one training: would other queries say the same?) and
over SEEDS (Student's: would another training say the same?).
"""

import numpy as np
import pandas as pd

from icl_lib.params import load_params
from icl_lib.report.figures import LABELS
from icl_lib.report.style import BLACK, CYCLE, panels, styled
from icl_lib.report.tables import paper_table
from icl_lib.report.trainings import spread
from icl_lib.retrieval.metrics import bootstrap_ci, paired_bootstrap

METRICS = ("rank1", "mAP")
# Every pair of rows that differ by one step, (with it, without it); the first of each row is the row above it.
STEPS = {
    ("RDA", "baseline"): "RDA",
    ("RDA + THI", "RDA"): "THI, after RDA",
    ("RDA + THI + LoRA", "RDA + THI"): "LoRA, after RDA and THI",
    ("THI", "baseline"): "THI",
    ("THI + LoRA", "THI"): "LoRA, after THI",
    ("RDA + THI", "THI"): "RDA, under THI",
    ("RDA + THI + LoRA", "THI + LoRA"): "RDA, under THI and LoRA",
}


def rows_of(runs: dict[int, dict[str, tuple]]) -> pd.DataFrame:
    """A row for each seed and method: means in percent with bootstrap intervals over queries, the point, the cost.

    runs: what `icl_lib.ablations.table6` gives. Columns seed, method, for each metric its mean and "<metric> low"
    and "<metric> high"; K, xi, lam and the cost's fields where there is THI.
    """
    table = []
    for seed, rows in runs.items():
        for method, (values, point, cost) in rows.items():
            row = {"seed": seed, "method": method}
            for name in METRICS:
                row[name] = float(values[name].mean())
                row[f"{name} low"], row[f"{name} high"] = bootstrap_ci(values[name])
            table.append(row | point | cost)
    return pd.DataFrame(table)


def gains_of(runs: dict[int, dict[str, tuple]]) -> pd.DataFrame:
    """A row for each seed, pair of STEPS and metric: the gain in points, paired bootstrap over that seed's queries.

    Columns seed, method, against, metric, difference, low, high, p.
    """
    table = []
    for seed, rows in runs.items():
        for method, against in STEPS:
            for name in METRICS:
                test = paired_bootstrap(rows[method][0][name], rows[against][0][name])
                table.append({"seed": seed, "method": method, "against": against, "metric": name, **test})
    return pd.DataFrame(table)


def paper_rows(dataset: str) -> pd.DataFrame:
    """The paper's Rank-1 and mAP of our rows on one benchmark (short name), and the table they stand in; NaN where none.

    Table 6 holds four of them; "THI + LoRA" is RDE with THI in Table 5, which doesn't name its MLLM's state and is
    taken for the adapted one, the paper's own.
    """
    title, found = load_params(dataset).data.title, {}
    six, five = (table[table["dataset"] == title] for table in (paper_table("table6"), paper_table("table5")))
    for _, row in six.iterrows():
        parts = [name for name in ("RDA", "THI", "LoRA") if row[name.lower()]]
        found[" + ".join(parts) or "baseline"] = (row["rank1"], row["mAP"], "Table 6")
    for _, row in five[(five["backbone"] == "RDE") & (five["thi"] == 1)].iterrows():
        found["THI + LoRA"] = (row["rank1"], row["mAP"], "Table 5")
    table = pd.DataFrame.from_dict(found, orient="index", columns=[*METRICS, "source"])
    return table.reindex(list(dict.fromkeys(method for pair in STEPS for method in pair[::-1])))


def summary(rows: pd.DataFrame, gains: pd.DataFrame, metric: str, paper: pd.DataFrame) -> pd.DataFrame:
    """Table 6 for one metric, a row a method: mean over seeds, both intervals, gain over the row it builds on, the paper.

    rows, gains: of `rows_of` and `gains_of`; paper: of `paper_rows`. "excludes 0" counts the seeds whose own paired
    bootstrap over queries leaves 0 out.
    """
    means = rows.pivot(index="seed", columns="method", values=metric)
    over_seeds, first = spread(means), rows[rows["seed"] == rows["seed"].min()].set_index("method")
    added = steps(gains, metric, paper)
    table = {}
    for method in dict.fromkeys(rows["method"]):
        told, own = over_seeds.loc[method], first.loc[method]
        against = next((below for above, below in STEPS if above == method), None)
        step = added.loc[STEPS[method, against]] if against else {}
        table[method] = {
            metric: told["mean"],
            "95% over seeds": _interval(told["low"], told["high"]),
            f"seed {first['seed'].iloc[0]}, 95% over queries": _interval(own[f"{metric} low"], own[f"{metric} high"]),
            "against": against or "",
            "gain": step.get("gain", np.nan),
            "gain, 95% over seeds": step.get("95% over seeds", ""),
            "excludes 0": step.get("excludes 0", ""),
            "paper": paper.loc[method, metric],
            "paper's gain": step.get("paper's gain", np.nan),
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("method")


def steps(gains: pd.DataFrame, metric: str, paper: pd.DataFrame) -> pd.DataFrame:
    """What each step of STEPS adds to one metric, in points: mean over seeds, Student's interval, each seed's own test.

    gains: of `gains_of`. "excludes 0": seeds whose paired bootstrap over queries leaves 0 out; "seed …": that
    seed's gain and interval.
    """
    table = {}
    for (method, against), step in STEPS.items():
        some = gains[(gains["metric"] == metric) & (gains["method"] == method) & (gains["against"] == against)]
        told = spread(some[["difference"]]).loc["difference"]
        clear = (some["low"] > 0) | (some["high"] < 0)
        each = {f"seed {row['seed']}": f"{row['difference']:+.2f} ({_interval(row['low'], row['high'], '+.2f')})"
                for _, row in some.iterrows()}
        table[step] = {"gain": told["mean"], "95% over seeds": _interval(told["low"], told["high"], "+.2f"),
                       "excludes 0": f"{clear.sum()} of {len(some)} seeds", **each,
                       "paper's gain": paper.loc[method, metric] - paper.loc[against, metric]}
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("step")


def costs_of(rows: pd.DataFrame) -> pd.DataFrame:
    """What each method with THI asked, mean over seeds: a query, as released, and a point of Rank-1 over no THI.

    rows: of `rows_of`. A point of Rank-1 is NaN where THI gained none.
    """
    rows = rows.assign(start=rows["method"].map(lambda method: "RDA" if "RDA" in method else "baseline"))
    plain = rows.set_index(["seed", "method"])["rank1"]
    asked = rows[rows["method"].str.contains("THI")]
    gain = asked["rank1"].to_numpy() - plain.loc[list(zip(asked["seed"], asked["start"]))].to_numpy()
    table = pd.DataFrame({
        "method": asked["method"],
        "questions a query": asked["questions"] / asked["queries"],
        "as released": asked["released_questions"] / asked["queries"],
        "pictures described": asked["pictures_described"],
        "questions a point of Rank-1": asked["questions"] / np.where(gain > 0, gain, np.nan),
    })
    return table.groupby("method", sort=False).mean()


@styled
def bars(rows: pd.DataFrame, paper: pd.DataFrame, ylim=(0, 100)):
    """Mean over seeds of every method with Student's 95% interval, a dot a seed, the paper's values as diamonds."""
    figure, (axes,) = panels(1, len(METRICS), height=3.8)
    methods = list(dict.fromkeys(rows["method"]))
    for ax, metric in zip(axes, METRICS):
        told = spread(rows.pivot(index="seed", columns="method", values=metric)).loc[methods]
        error = np.nan_to_num(np.abs(told[["low", "high"]].to_numpy().T - told["mean"].to_numpy()))
        ax.bar(range(len(methods)), told["mean"], 0.62, yerr=error, capsize=4, color=CYCLE[0], alpha=0.55)
        for x, method in enumerate(methods):
            seeds = rows.loc[rows["method"] == method, metric]
            ax.plot(x + 0.09 * (np.arange(len(seeds)) - (len(seeds) - 1) / 2), seeds, ".", color=BLACK, ms=6)
            ax.plot(x, paper.loc[method, metric], "D", color=BLACK, mfc="white", ms=7, zorder=3)
            ax.text(x, ylim[0] + 0.02 * (ylim[1] - ylim[0]), f"{told['mean'][method]:.1f}", ha="center", fontsize=9)
        ax.set_xticks(range(len(methods)), [method.replace(" + ", "\n+ ") for method in methods])
        ax.set(ylabel=LABELS[metric], ylim=ylim)
        ax.grid(axis="x", visible=False)
    count = rows["seed"].nunique()
    figure.supxlabel(f"● one seed; bars: mean of {count} seeds, Student's 95% interval; ◇ the paper's value", fontsize=8)
    return figure


@styled
def forest(gains: pd.DataFrame, paper: pd.DataFrame, xlim=(-5, 15)):
    """What each step adds, in points: a dot and a 95% interval over queries a seed, the paper's change as a diamond."""
    figure, (axes,) = panels(1, len(METRICS), height=4.2, sharey=True)
    seeds = list(dict.fromkeys(gains["seed"]))
    for ax, metric in zip(axes, METRICS):
        for at, (method, against) in enumerate(STEPS):
            some = gains[(gains["metric"] == metric) & (gains["method"] == method) & (gains["against"] == against)]
            for number, (color, (_, row)) in enumerate(zip(CYCLE * len(some), some.iterrows())):
                y = at + 0.5 * ((number + 0.5) / len(seeds) - 0.5)
                ax.plot([row["low"], row["high"]], [y, y], color=color, lw=1.6)
                ax.plot(row["difference"], y, "o", color=color, label=f"seed {row['seed']}" if not at else None)
            change = paper.loc[method, metric] - paper.loc[against, metric]
            ax.plot(change, at, "D", color=BLACK, mfc="white", ms=7, zorder=3)
        ax.axvline(0, color=BLACK, lw=1)
        ax.set(xlabel=LABELS[metric].replace(" (%)", ", change (points)"), xlim=xlim)
    axes[0].set_yticks(range(len(STEPS)), list(STEPS.values()))
    axes[0].invert_yaxis()
    axes[-1].legend(loc="lower right")
    figure.supxlabel("lines: 95% paired bootstrap over queries, one a seed; ◇ the paper's change", fontsize=8)
    return figure


def _interval(low: float, high: float, form: str = ".1f") -> str:
    return "" if np.isnan(low) else f"{low:{form}} – {high:{form}}"
