"""The tables of the paper, and the demo's numbers beside them."""

import pandas as pd

from icl_lib.params import load_params
from icl_lib.params.names import nearest
from icl_lib.params.paths import repo_root

METRICS = ["rank1", "rank5", "rank10", "mAP", "mINP"]
# Where a stage's numbers lie in summary.json, what they are called, and the paper's row they answer to.
ROWS = {
    "backbone.baseline": ("backbone", "RDE"),
    "backbone.rda": ("backbone with RDA (ICL)", "ICL"),
    "thi.final": ("ICL + THI", "ICL+THI"),
}


def paper_table(name: str) -> pd.DataFrame:
    """One of the paper's tables as published, by name or number: "table6_ablation" or "table6"."""
    files = sorted((repo_root() / "params" / "paper").glob("*.csv"))
    fits = [file for file in files if file.stem == name or file.stem.split("_")[0] == name]
    if len(fits) != 1:
        close = nearest(name, [file.stem for file in files])
        hint = f": did you mean {close!r}?" if close else "."
        raise ValueError(
            f"unknown table {name!r}{hint} Tables: {', '.join(file.stem for file in files)}."
        )
    return pd.read_csv(fits[0], keep_default_na=True)


def paper_results(dataset: str, group: str = "no_reid_pretraining") -> pd.DataFrame:
    """The paper's main results on one benchmark (short name): methods × metrics in percent."""
    title = load_params(dataset).data.title
    table = pd.concat([paper_table("table1"), paper_table("table2")], ignore_index=True)
    # Table 2 puts the methods it compares with in no group.
    table = table[(table["dataset"] == title) & (table["group"].isna() | (table["group"] == group))]
    return table.set_index("method")[METRICS]


def beside_paper(results: dict, dataset: str, methods: dict | None = None) -> pd.DataFrame:
    """Our metrics with their 95% intervals and, where there is one, the paper's value of the same method.

    results: {label: metrics with or without "ci95"}; methods: {label: the paper's name}; dataset: short
    name.
    """
    paper, rows = paper_results(dataset), []
    for label, metrics in results.items():
        picked = " (epoch picked on test)" if metrics.get("selected_on") == "test" else ""
        row: dict = {"method": label + picked}
        known = (methods or {}).get(label)
        for name in METRICS:
            row[name] = metrics.get(name)
            if name in metrics.get("ci95", {}):
                low, high = metrics["ci95"][name]
                row[f"{name} 95% interval"] = f"{low:.1f} – {high:.1f}"
        for name in METRICS:
            row[f"paper {name}"] = paper.loc[known, name] if known in paper.index else None
        rows.append(row)
    return pd.DataFrame(rows)


def summary_table(summary: dict, dataset: str) -> pd.DataFrame:
    """The stages that have reported to summary.json, in the paper's order, beside the paper's values."""
    found = {place: _at(summary, place) for place in ROWS}
    results = {ROWS[place][0]: metrics for place, metrics in found.items() if metrics}
    return beside_paper(results, dataset, {label: method for label, method in ROWS.values()})


def _at(summary: dict, place: str):
    for part in place.split("."):
        summary = summary.get(part, {}) if isinstance(summary, dict) else {}
    return summary
