"""Do errors accumulate? Which queries lose Rank-5 and Rank-10 to THI, and through what.

A right anchor at rank r was among the first k ≥ r before, and never falls: no score rises by more than its own. So
where the anchors lie within the first k, a right one can neither add to Rank-k nor take from it: only wrong ones do.
"""

import numpy as np
import pandas as pd

from icl_lib.retrieval.metrics import LABELS


def crossings(table: pd.DataFrame, ks=(5, 10)) -> pd.DataFrame:
    """Queries whose person came into the first k, or fell out of them, by what the anchor was.

    table: from `icl_lib.analysis.cases.cases`. Index: metric ("rank5"), anchor ("none", "right", "wrong"), and the
    wrong anchor's rank (0 for the others). Columns queries, gained, lost, points ((gained − lost) in percent of
    all queries: they add up to the metric's change), "rank before" and "rank after" (the lost ones' medians).
    """
    kind = np.select([table["anchor"] < 0, table["anchor_right"]], ["none", "right"], "wrong")
    rank = np.where(kind == "wrong", table["anchor_rank"], 0)
    order, rows = {"none": 0, "right": 1, "wrong": 2}, {}
    groups = sorted(set(zip(kind, rank)), key=lambda group: (order[group[0]], group[1]))
    for k in ks:
        inside = {when: table[when].between(1, k) for when in ("before", "after")}
        gained, lost = inside["after"] & ~inside["before"], inside["before"] & ~inside["after"]
        for name, at in groups:
            own = (kind == name) & (rank == at)
            up, down = int((own & gained).sum()), int((own & lost).sum())
            rows[f"rank{k}", name, at] = {
                "queries": int(own.sum()),
                "gained": up,
                "lost": down,
                "points": 100 * (up - down) / len(table),
                "rank before": table["before"][own & lost].median(),
                "rank after": table["after"][own & lost].median(),
            }
    names = ["metric", "anchor", "anchor's rank"]
    return pd.DataFrame.from_dict(rows, orient="index").set_axis(
        pd.MultiIndex.from_tuples(rows, names=names)
    )


def parts(table: pd.DataFrame, before: dict, jump: dict, after: dict) -> pd.DataFrame:
    """The change of every metric in points, taken apart: by the anchor, and by its jump or the refined text.

    table: from `icl_lib.analysis.cases.cases`; before, jump and after: `per_query_metrics` without THI, with the
    anchor's jump alone (replayed with S in place of S(q̂, v)), and with THI. Columns: "<right|wrong> anchor, jump"
    and "…, text", and their sum "all".
    """
    right = table["anchor_right"].to_numpy()
    groups = {"right": right, "wrong": (table["anchor"] >= 0).to_numpy() & ~right}
    rows = {}
    for name in LABELS:
        row = {}
        for label, own in groups.items():
            row[f"{label} anchor, jump"] = (jump[name] - before[name])[own].sum() / len(table)
            row[f"{label} anchor, text"] = (after[name] - jump[name])[own].sum() / len(table)
        rows[name] = row | {"all": sum(row.values())}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("metric")
