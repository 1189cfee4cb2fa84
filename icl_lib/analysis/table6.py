"""Table 6 in full over several trainings: means, what every step adds, and the paper's values.

There are two kinds of interval. Over PEOPLE, by a bootstrap of one training: would other people
give the same? Over SEEDS, Student's: would another training give the same?
"""

import numpy as np
import pandas as pd

from icl_lib.analysis.intervals import bootstrap_ci, interval_text, paired_bootstrap, spread
from icl_lib.analysis.paper import paper_table
from icl_lib.params import load_params

METRICS = (
    "rank1",
    "mAP",
)  # Every pair of rows that differ by one step: (with it, without it). The first pair of a row
# compares it with the row above.
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
    """A row for each seed and method: its metrics with intervals over people, point and cost.

    Args:
        runs: What `icl_lib.stages.ablations.table6` returns.

    Returns:
        Columns seed, method; for each metric its mean in percent, "<metric> low" and "<metric>
        high"; K, xi, lam and the fields of the cost where there is THI.
    """
    table = []
    for seed, rows in runs.items():
        for method, (values, point, cost) in rows.items():
            row = {"seed": seed, "method": method}
            for name in METRICS:
                row[name] = float(values[name].mean())
                row[f"{name} low"], row[f"{name} high"] = bootstrap_ci(values[name], values["pid"])
            table.append(row | point | cost)
    return pd.DataFrame(table)


def gains_of(runs: dict[int, dict[str, tuple]]) -> pd.DataFrame:
    """A row for each seed, pair of STEPS and metric: the gain, by a paired bootstrap over people.

    Args:
        runs: What `icl_lib.stages.ablations.table6` returns.

    Returns:
        Columns seed, method, against, metric, difference, low, high (points), p.
    """
    table = []
    for seed, rows in runs.items():
        for method, against in STEPS:
            for name in METRICS:
                after, before = rows[method][0], rows[against][0]
                test = paired_bootstrap(after[name], before[name], before["pid"])
                row = {"seed": seed, "method": method, "against": against, "metric": name}
                table.append(row | test)
    return pd.DataFrame(table)


def paper_rows(dataset: str) -> pd.DataFrame:
    """The paper's Rank-1 and mAP of our methods on one benchmark, and the table they stand in.

    Table 6 has four of them. "THI + LoRA" is RDE with THI in Table 5, which does not say whether
    its MLLM is adapted; we take it for the adapted one, which is the paper's own.

    Args:
        dataset: Short name of the benchmark.

    Returns:
        A row for each method; NaN where the paper has no value.
    """
    title, found = load_params(dataset).data.title, {}
    ablation, transfer = (
        table[table["dataset"] == title] for table in (paper_table("table6"), paper_table("table5"))
    )
    for _, row in ablation.iterrows():
        steps = [name for name in ("RDA", "THI", "LoRA") if row[name.lower()]]
        found[" + ".join(steps) or "baseline"] = (row["rank1"], row["mAP"], "Table 6")
    for row in transfer.query("backbone == 'RDE' and thi == 1").itertuples():
        found["THI + LoRA"] = (row.rank1, row.mAP, "Table 5")
    table = pd.DataFrame.from_dict(found, orient="index", columns=[*METRICS, "source"])
    return table.reindex(list(dict.fromkeys(method for pair in STEPS for method in pair[::-1])))


def summary(
    rows: pd.DataFrame, gains: pd.DataFrame, metric: str, paper: pd.DataFrame
) -> pd.DataFrame:
    """Table 6 for one metric: a row for each method, with the gain over the row that it builds on.

    Args:
        rows: What `rows_of` returns.
        gains: What `gains_of` returns.
        metric: "rank1" or "mAP".
        paper: What `paper_rows` returns.

    Returns:
        Columns: mean over seeds, both intervals, the row it builds on ("against"), the gain and its
            interval, "excludes 0" (see `steps`), the paper's value and gain.
    """
    seed = rows["seed"].min()
    first = rows[rows["seed"] == seed].set_index("method")
    over_seeds = spread(rows.pivot(index="seed", columns="method", values=metric))
    added = steps(gains, metric, paper)
    table = {}
    for method in dict.fromkeys(rows["method"]):
        mean, one = over_seeds.loc[method], first.loc[method]
        against = next((below for above, below in STEPS if above == method), "")
        step = added.loc[STEPS[method, against]] if against else {}
        table[method] = {
            metric: mean["mean"],
            "95% over seeds": interval_text(mean["low"], mean["high"]),
            f"seed {seed}, 95% over people": interval_text(
                one[f"{metric} low"], one[f"{metric} high"]
            ),
            "against": against,
            "gain": step.get("gain", np.nan),
            "gain, 95% over seeds": step.get("95% over seeds", ""),
            "excludes 0": step.get("excludes 0", ""),
            "paper": paper.loc[method, metric],
            "paper's gain": step.get("paper's gain", np.nan),
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("method")


def steps(gains: pd.DataFrame, metric: str, paper: pd.DataFrame) -> pd.DataFrame:
    """What each step of STEPS adds to one metric, in points.

    Args:
        gains: What `gains_of` returns.
        metric: "rank1" or "mAP".
        paper: What `paper_rows` returns.

    Returns:
        Columns: mean gain over seeds, Student's interval, "excludes 0" (the seeds whose own paired
            bootstrap over people leaves 0 out), "seed ..." (each seed's gain and interval), the
            paper's gain.
    """
    table = {}
    for (method, against), step in STEPS.items():
        some = gains.query("metric == @metric and method == @method and against == @against")
        mean = spread(some[["difference"]]).loc["difference"]
        clear = (some["low"] > 0) | (some["high"] < 0)
        seeds = {
            f"seed {seed}": f"{gain:+.2f} ({interval_text(low, high, '+.2f')})"
            for seed, gain, low, high in some[["seed", "difference", "low", "high"]].itertuples(
                index=False
            )
        }
        table[step] = {
            "gain": mean["mean"],
            "95% over seeds": interval_text(mean["low"], mean["high"], "+.2f"),
            "excludes 0": f"{clear.sum()} of {len(some)} seeds",
            **seeds,
            "paper's gain": paper.loc[method, metric] - paper.loc[against, metric],
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("step")


def costs_of(rows: pd.DataFrame) -> pd.DataFrame:
    """What each method with THI asks, as a mean over seeds.

    Args:
        rows: What `rows_of` returns.

    Returns:
        Columns: questions per query in our way and as released, pictures described, questions per
            point of Rank-1 over the same backbone without THI (NaN where THI gained none).
    """
    rank1 = rows.set_index(["seed", "method"])["rank1"]
    asked = rows[rows["method"].str.contains("THI")]
    start = np.where(asked["method"].str.contains("RDA"), "RDA", "baseline")
    gain = asked["rank1"] - rank1.loc[list(zip(asked["seed"], start, strict=True))].to_numpy()
    costs = {
        "questions per query": asked["questions"] / asked["queries"],
        "as released": asked["released_questions"] / asked["queries"],
        "pictures described": asked["pictures_described"],
        "questions per point of Rank-1": asked["questions"] / gain.where(gain > 0),
    }
    return pd.DataFrame(costs).groupby(asked["method"], sort=False).mean()
