"""Result tables, with the paper's values beside ours."""

from pathlib import Path

import pandas as pd

from icl_lib.params import Params, load_params, nearest, repo_root
from icl_lib.results import atomic_write

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
        raise ValueError(f"unknown table {name!r}{hint} Tables: {', '.join(file.stem for file in files)}.")
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


def table_path(params: Params, name: str) -> Path:
    return params.results_dir / "tables" / f"{name}.csv"


def save_table(table: pd.DataFrame, params: Params, name: str) -> pd.DataFrame:
    """Writes results/<profile>/<dataset>/tables/<name>.csv, stamped row by row; returns `table` to show."""
    stamped = table.reset_index() if table.index.name or table.index.nlevels > 1 else table.copy()
    for place, column in enumerate(("profile", "dataset", "seed")):
        if column not in stamped:
            stamped.insert(min(place, stamped.shape[1]), column, getattr(params, column))
    if params.backbone.select_on == "test":
        stamped["epoch_picked_on"] = "test"
    atomic_write(
        table_path(params, name), stamped.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    )
    return table


def stored_table(params: Params, name: str, index: str | None = None) -> pd.DataFrame | None:
    """What `save_table` wrote, perhaps in a longer run, without its stamp; None (and a line on how to make it) if nothing."""
    path = table_path(params, name)
    if not path.is_file():
        print(f"no {path.name} among the tables yet: the parameters cell says how to make it")
        return None
    table = pd.read_csv(path)
    stamped = [column for column in ("profile", "dataset", "seed", "epoch_picked_on") if column in table and column != index]
    return table.drop(columns=stamped).set_index(index) if index else table.drop(columns=stamped)


def _at(summary: dict, place: str):
    for part in place.split("."):
        summary = summary.get(part, {}) if isinstance(summary, dict) else {}
    return summary
