"""What THI did to each query: its outcome, and which queries to look at (for why, see `causes`).

`run` is an `icl_lib.thi.interaction.Interaction` (or anything with its queries, gallery, sim,
trace, texts, answers and pids). `final` [Q, G] and `anchor` [Q] are what
`icl_lib.thi.algorithm1.replay` returns for it at one point (K, xi, lambda).
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.thi import Trace, questions

OUTCOMES = {
    "repaired": "the first picture was wrong and is right now",
    "harmed": "the first picture was right and is wrong now",
    "right anchor": "the anchor is the person sought; "
    "the first picture is as right or wrong as before",
    "wrong anchor": "the anchor is another person; "
    "the first picture is as right or wrong as before",
    "no anchor, right": "no anchor was found, and the first picture was right anyway",
    "no anchor, wrong": "no anchor was found, and the first picture stays wrong",
    "not in gallery": "the gallery holds no picture of the person",
}


def cases(run, final: np.ndarray, anchor: np.ndarray) -> pd.DataFrame:
    """A row for each query: its anchor, its ranking before and after THI, and its outcome.

    Returns:
        Columns query, pid, caption; top1 = S(q, v̂₁); anchor (gallery column, -1 for none),
        anchor_rank (from 1, 0 for none), anchor_right, p_yes (of the anchor, NaN for none); before
        and after (rank from 1 of the first right image, 0 if the gallery has none); AP_before and
        AP_after (percent); outcome (a key of OUTCOMES).
    """
    query_pids, gallery_pids = run.pids
    old, new = (per_query_metrics(sim, query_pids, gallery_pids) for sim in (run.sim, final))
    has_anchor, queries = anchor >= 0, np.arange(len(anchor))
    # Some variants of THI take another candidate than the first Yes.
    place = (run.trace.candidates == anchor[:, None]).argmax(1)
    p_yes = np.full(len(anchor), np.nan)
    p_yes[has_anchor] = run.trace.p_yes[queries[has_anchor], place[has_anchor]]
    table = pd.DataFrame(
        {
            "query": queries,
            "pid": query_pids,
            "caption": run.queries["caption"].to_numpy(),
            "top1": run.sim.max(1),
            "anchor": anchor,
            "anchor_rank": np.where(has_anchor, place + 1, 0),
            "anchor_right": has_anchor & (gallery_pids[anchor] == query_pids),
            "p_yes": p_yes,
            "before": old["first"],
            "after": new["first"],
            "AP_before": old["mAP"],
            "AP_after": new["mAP"],
        }
    )
    hit, hits = table["before"] == 1, table["after"] == 1
    rules = {
        "not in gallery": table["before"] == 0,
        "repaired": ~hit & hits,
        "harmed": hit & ~hits,
        "right anchor": table["anchor_right"],
        "wrong anchor": has_anchor,
        "no anchor, right": hit,
    }
    return table.assign(outcome=np.select(list(rules.values()), list(rules), "no anchor, wrong"))


def outcome_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Queries of each outcome in `cases`: number, share in percent, mean change of AP in points."""
    count = table["outcome"].value_counts().reindex(list(OUTCOMES), fill_value=0)
    change = (table["AP_after"] - table["AP_before"]).groupby(table["outcome"]).mean()
    return pd.DataFrame(
        {
            "queries": count,
            "share (%)": 100 * count / max(1, len(table)),
            "change of AP": change.reindex(count.index),
            "meaning": list(OUTCOMES.values()),
        }
    ).rename_axis("outcome")


def pick(table: pd.DataFrame, outcome: str, n: int) -> list[int]:
    """Numbers of up to `n` queries that show an outcome of `cases` best, one per person.

    Most clearly: the first right picture moved by the most ranks; then it stood lowest before THI;
    then the query comes first.

    Raises:
        ValueError: If `outcome` is not a key of OUTCOMES.
    """
    if outcome not in OUTCOMES:
        raise ValueError(f"unknown outcome {outcome!r}; valid: {', '.join(OUTCOMES)}")
    some = table[table["outcome"] == outcome]
    some = some.assign(moved=(some["after"] - some["before"]).abs())
    order = {"moved": False, "before": False, "query": True}
    some = some.sort_values(list(order), ascending=list(order.values()))
    return some.drop_duplicates("pid")["query"].head(n).tolist()


def as_asked(run, K: int, xi: float) -> Trace:
    """The trace as Algorithm 1 leaves it at (K, xi): K columns, NaN for questions it skips.

    That of evidence is left as it is, for it was asked by evidence's own policy.
    """
    if run.evidence is not None:
        return run.trace
    trace, depth = run.trace, min(K, run.trace.k_max)
    asked = np.arange(depth) < questions(run.sim.max(1), trace, K, xi)[:, None]
    return replace(
        trace,
        candidates=trace.candidates[:, :depth],
        p_yes=np.where(asked, trace.p_yes[:, :depth], np.nan),
        seconds=np.where(asked, trace.seconds[:, :depth], np.nan),
    )
