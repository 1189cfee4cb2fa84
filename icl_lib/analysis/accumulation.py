"""Do errors accumulate? Which queries lose Rank-5 and Rank-10 to THI, and through which anchors.

No score rises by more than the anchor's own, so a right anchor never falls in the ranking. If it
stood within the first k before THI, it can neither add to Rank-k nor take from it; only wrong
anchors can.
"""

import numpy as np
import pandas as pd

from icl_lib.retrieval.metrics import LABELS


def crossings(table: pd.DataFrame, ks=(5, 10)) -> pd.DataFrame:
    """Counts the queries whose person enters or leaves the first k ranks, by what the anchor was.

    Args:
        table: What `icl_lib.analysis.cases.cases` returns.
        ks: The ranks to look at.

    Returns:
        A row for each metric ("rank5"), anchor ("none", "right", "wrong") and rank of a wrong
        anchor (0 for the others). Columns: queries, gained, lost, points ((gained - lost) in
        percent of all queries, which add up to the metric's change), and "rank before" and "rank
        after" (medians of the lost queries).
    """
    kind = np.select([table["anchor"] < 0, table["anchor_right"]], ["none", "right"], "wrong")
    counts = {}
    for k in ks:
        before, after = (table[when].between(1, k) for when in ("before", "after"))
        lost = before & ~after
        queries = pd.DataFrame(
            {
                "anchor": kind,
                "anchor's rank": np.where(kind == "wrong", table["anchor_rank"], 0),
                "queries": 1,
                "gained": after & ~before,
                "lost": lost,
                "rank before": table["before"].where(lost),
                "rank after": table["after"].where(lost),
            }
        )
        groups = queries.groupby(["anchor", "anchor's rank"])
        ranks = groups[["rank before", "rank after"]].median()
        count = groups[["queries", "gained", "lost"]].sum().join(ranks)
        count.insert(3, "points", 100 * (count["gained"] - count["lost"]) / len(table))
        counts[f"rank{k}"] = count
    return pd.concat(counts, names=["metric"])


def parts(table: pd.DataFrame, before: dict, jump: dict, after: dict) -> pd.DataFrame:
    """Splits the change of every metric by the anchor, and into its jump and the refined text.

    Args:
        table: What `icl_lib.analysis.cases.cases` returns.
        before: `per_query_metrics` without THI.
        jump: The same with the anchor's jump alone (replayed with S in place of S(q̂, v)).
        after: The same with THI.

    Returns:
        A row for each metric, in points, with the columns "<right|wrong> anchor, jump",
        "<right|wrong> anchor, text" and their sum "all".
    """
    right = table["anchor_right"].to_numpy()
    groups = {"right": right, "wrong": (table["anchor"] >= 0).to_numpy() & ~right}
    columns = {}
    for label, own in groups.items():
        for source, new, old in (("jump", jump, before), ("text", after, jump)):
            columns[f"{label} anchor, {source}"] = {
                name: (new[name] - old[name])[own].sum() / len(table) for name in LABELS
            }
    changes = pd.DataFrame(columns).rename_axis("metric")
    return changes.assign(all=changes.sum(axis=1))
