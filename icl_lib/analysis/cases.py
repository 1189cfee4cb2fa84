"""What THI did to each query, told by rules: outcomes, and which queries to look at (why: see `causes`).

`run` is an `icl_lib.thi.interaction.Interaction` (or anything with its queries, gallery, sim, trace, texts, answers
and pids); `final` [Q, G] and `anchor` [Q] are what `icl_lib.thi.algorithm1.replay` made of it at one (K, xi, lambda).
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.thi import Trace, questions

OUTCOMES = {
    "repaired": "the first picture was wrong and is right now",
    "harmed": "the first picture was right and is wrong now",
    "right anchor": "the anchor is the person sought; the first picture is as right or wrong as before",
    "wrong anchor": "the anchor is another person; the first picture is as right or wrong as before",
    "no anchor, right": "no anchor was found, and the first picture was right anyway",
    "no anchor, wrong": "no anchor was found, and the first picture stays wrong",
    "not in gallery": "the gallery holds no picture of the person",
}


def cases(run, final: np.ndarray, anchor: np.ndarray) -> pd.DataFrame:
    """One row a query: what the anchor was, the first right picture's rank and AP before and after, and
    the outcome.

    Columns query, pid, caption, top1 = S(q, v̂_1), anchor (gallery column, -1: none), anchor_rank (from 1,
    0: none), anchor_right, p_yes (of the anchor, NaN: none), before, after (from 1, 0: not in the
    gallery), AP_before, AP_after (percent), outcome (a key of OUTCOMES).
    """
    query_pids, gallery_pids = run.pids
    old, new = (per_query_metrics(sim, query_pids, gallery_pids) for sim in (run.sim, final))
    anchor = np.asarray(anchor)
    has, rows = anchor >= 0, np.arange(len(anchor))
    place = (run.trace.candidates == anchor[:, None]).argmax(
        1
    )  # the first Yes, but for some variants of THI
    p_yes = np.full(len(anchor), np.nan)
    p_yes[has] = run.trace.p_yes[rows[has], place[has]]
    table = pd.DataFrame(
        {
            "query": rows,
            "pid": query_pids,
            "caption": run.queries["caption"].to_numpy(),
            "top1": run.sim.max(1),
            "anchor": anchor,
            "anchor_rank": np.where(has, place + 1, 0),
            "anchor_right": has & (gallery_pids[anchor] == query_pids),
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
        "wrong anchor": has,
        "no anchor, right": hit,
    }
    return table.assign(outcome=np.select(list(rules.values()), list(rules), "no anchor, wrong"))


def outcome_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Queries of each outcome that `cases` found: number, share in percent, mean change of AP in points."""
    change = (table["AP_after"] - table["AP_before"]).groupby(table["outcome"]).mean()
    count = table["outcome"].value_counts().reindex(list(OUTCOMES), fill_value=0)
    return pd.DataFrame(
        {
            "queries": count,
            "share (%)": 100 * count / max(1, len(table)),
            "change of AP": change.reindex(count.index),
            "meaning": list(OUTCOMES.values()),
        }
    ).rename_axis("outcome")


def pick(table: pd.DataFrame, outcome: str, n: int) -> list[int]:
    """Query numbers of the `n` clearest cases of an outcome, one a person, fewer where there are no more.

    Clearest: the first right picture moved by the most ranks; then the worst rank before; then the first
    query.
    """
    if outcome not in OUTCOMES:
        raise ValueError(f"unknown outcome {outcome!r}; valid: {', '.join(OUTCOMES)}")
    some = table[table["outcome"] == outcome]
    some = some.assign(moved=(some["after"] - some["before"]).abs())
    some = some.sort_values(
        ["moved", "before", "query"], ascending=[False, False, True], kind="stable"
    )
    return some.drop_duplicates("pid")["query"].head(n).tolist()


def as_asked(run, K: int, xi: float) -> Trace:
    """The trace as Algorithm 1 leaves it at (K, xi): K columns, NaN for what it has no need to ask."""
    trace, depth = run.trace, min(K, run.trace.k_max)
    kept = np.arange(depth) < questions(run.sim.max(1), trace, K, xi)[:, None]
    return replace(
        trace,
        candidates=trace.candidates[:, :depth],
        p_yes=np.where(kept, trace.p_yes[:, :depth], np.nan),
        seconds=np.where(kept, trace.seconds[:, :depth], np.nan),
    )
