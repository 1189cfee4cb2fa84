"""Table 6 in full over several trainings: means, what every step adds, both with their intervals, beside the paper.

Two kinds of interval, never mixed: over QUERIES (bootstrap, one training: would other queries say the same?) and
over SEEDS (Student's: would another training say the same?).
"""

import numpy as np
import pandas as pd

from icl_lib.analysis.intervals import bootstrap_ci, paired_bootstrap, spread
from icl_lib.analysis.paper import paper_table
from icl_lib.params import load_params

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

    runs: what `icl_lib.stages.ablations.table6` gives. Columns seed, method, for each metric its mean and "<metric> low"
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
                table.append(
                    {"seed": seed, "method": method, "against": against, "metric": name, **test}
                )
    return pd.DataFrame(table)


def paper_rows(dataset: str) -> pd.DataFrame:
    """The paper's Rank-1 and mAP of our rows on one benchmark (short name), and the table they stand in; NaN where none.

    Table 6 holds four of them; "THI + LoRA" is RDE with THI in Table 5, which doesn't name its MLLM's state and is
    taken for the adapted one, the paper's own.
    """
    title, found = load_params(dataset).data.title, {}
    six, five = (
        table[table["dataset"] == title] for table in (paper_table("table6"), paper_table("table5"))
    )
    for _, row in six.iterrows():
        parts = [name for name in ("RDA", "THI", "LoRA") if row[name.lower()]]
        found[" + ".join(parts) or "baseline"] = (row["rank1"], row["mAP"], "Table 6")
    for _, row in five[(five["backbone"] == "RDE") & (five["thi"] == 1)].iterrows():
        found["THI + LoRA"] = (row["rank1"], row["mAP"], "Table 5")
    table = pd.DataFrame.from_dict(found, orient="index", columns=[*METRICS, "source"])
    return table.reindex(list(dict.fromkeys(method for pair in STEPS for method in pair[::-1])))


def summary(
    rows: pd.DataFrame, gains: pd.DataFrame, metric: str, paper: pd.DataFrame
) -> pd.DataFrame:
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
            f"seed {first['seed'].iloc[0]}, 95% over queries": _interval(
                own[f"{metric} low"], own[f"{metric} high"]
            ),
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
        some = gains[
            (gains["metric"] == metric)
            & (gains["method"] == method)
            & (gains["against"] == against)
        ]
        told = spread(some[["difference"]]).loc["difference"]
        clear = (some["low"] > 0) | (some["high"] < 0)
        each = {
            f"seed {row['seed']}": f"{row['difference']:+.2f} ({_interval(row['low'], row['high'], '+.2f')})"
            for _, row in some.iterrows()
        }
        table[step] = {
            "gain": told["mean"],
            "95% over seeds": _interval(told["low"], told["high"], "+.2f"),
            "excludes 0": f"{clear.sum()} of {len(some)} seeds",
            **each,
            "paper's gain": paper.loc[method, metric] - paper.loc[against, metric],
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("step")


def costs_of(rows: pd.DataFrame) -> pd.DataFrame:
    """What each method with THI asked, mean over seeds: a query, as released, and a point of Rank-1 over no THI.

    rows: of `rows_of`. A point of Rank-1 is NaN where THI gained none.
    """
    rows = rows.assign(
        start=rows["method"].map(lambda method: "RDA" if "RDA" in method else "baseline")
    )
    plain = rows.set_index(["seed", "method"])["rank1"]
    asked = rows[rows["method"].str.contains("THI")]
    gain = (
        asked["rank1"].to_numpy() - plain.loc[list(zip(asked["seed"], asked["start"]))].to_numpy()
    )
    table = pd.DataFrame(
        {
            "method": asked["method"],
            "questions a query": asked["questions"] / asked["queries"],
            "as released": asked["released_questions"] / asked["queries"],
            "pictures described": asked["pictures_described"],
            "questions a point of Rank-1": asked["questions"] / np.where(gain > 0, gain, np.nan),
        }
    )
    return table.groupby("method", sort=False).mean()


def _interval(low: float, high: float, form: str = ".1f") -> str:
    return "" if np.isnan(low) else f"{low:{form}} – {high:{form}}"
