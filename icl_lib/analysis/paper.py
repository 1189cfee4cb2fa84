"""The paper's tables, and our results beside them."""

import pandas as pd

from icl_lib.analysis.intervals import interval_text
from icl_lib.params import load_params
from icl_lib.params.names import nearest
from icl_lib.params.paths import repo_root
from icl_lib.retrieval.metrics import LABELS

METRICS = list(LABELS)


def paper_table(name: str) -> pd.DataFrame:
    """One of the paper's tables as published.

    Args:
        name: With or without its subject: "table6_ablation" or "table6".

    Raises:
        ValueError: If there is no such table.
    """
    tables = {file.stem: file for file in sorted((repo_root() / "params/paper").glob("*.csv"))}
    names = {stem.split("_")[0]: stem for stem in tables} | {stem: stem for stem in tables}
    if name not in names:
        close = nearest(name, list(tables))
        hint = f"; did you mean {close!r}?" if close else "."
        raise ValueError(f"unknown table {name!r}{hint} Tables: {', '.join(tables)}.")
    return pd.read_csv(tables[names[name]])


def paper_results(dataset: str) -> pd.DataFrame:
    """The paper's main results on one benchmark (short name): methods × metrics in percent."""
    table = pd.concat([paper_table("table1"), paper_table("table2")], ignore_index=True)
    # Table 2 puts the methods it compares with in no group.
    group = table["group"].fillna("no_reid_pretraining")
    chosen = (table["dataset"] == load_params(dataset).data.title) & (
        group == "no_reid_pretraining"
    )
    return table[chosen].set_index("method")[METRICS]


def beside_paper(results: dict, dataset: str, methods: dict) -> pd.DataFrame:
    """Our metrics with their 95% intervals, and the paper's values of the same method.

    Args:
        results: {label: `with_intervals`}.
        dataset: Short name of the benchmark.
        methods: {label: the paper's name of the method}; a label may be missing.
    """
    paper, rows = paper_results(dataset), []
    for label, metrics in results.items():
        row = {"method": label}
        for name in METRICS:
            row[name] = metrics[name]
            if name in metrics["ci95"]:
                row[f"{name} 95% interval"] = interval_text(*metrics["ci95"][name])
        published = paper.reindex([methods.get(label)]).iloc[0].add_prefix("paper ")
        rows.append(row | published.to_dict())
    return pd.DataFrame(rows)
