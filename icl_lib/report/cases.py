"""What THI did to each query, told by rules: outcomes, causes of failure, and which queries to look at.

`run` is an `icl_lib.stages.Interaction` (or anything with its queries, gallery, sim, trace, texts, answers
and pids); `final` [Q, G] and `anchor` [Q] are what `icl_lib.thi.replay` made of it at one (K, xi, lambda).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.report.dialogue import Dialogue
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
CAUSES = {
    "wrong Yes": "the anchor is another person",
    "missed Yes": "a right picture was asked about and got a No",
    "first Yes unused": "v̂₁ got a Yes, which Algorithm 1 leaves unused where S(q, v̂₁) ≤ ξ",
    "list not walked": "S(q, v̂₁) > ξ, so that a right picture at the ranks 2 … K was not asked about",
    "out of reach": "none of the first K pictures is right",
    "right anchor, not first": "the anchor is right, yet another picture is ranked above it",
    "merged text cut": "the merged text is longer than the text encoder reads",
    "caption fits others": "somebody else in the gallery fits the caption as well as the person sought",
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
    has, first = anchor >= 0, run.trace.first_yes
    rows = np.arange(len(anchor))
    p_yes = np.full(len(anchor), np.nan)
    p_yes[has] = run.trace.p_yes[rows[has], first[has]]
    table = pd.DataFrame(
        {
            "query": rows,
            "pid": query_pids,
            "caption": run.queries["caption"].to_numpy(),
            "top1": run.sim.max(1),
            "anchor": anchor,
            "anchor_rank": np.where(has, first + 1, 0),
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
    some = some.sort_values(["moved", "before", "query"], ascending=[False, False, True], kind="stable")
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


def causes(run, table: pd.DataFrame, K: int, xi: float, text_cut=None, fits=None) -> pd.DataFrame:
    """Why the first picture is wrong after THI: one row a failed query (index: query), one bool column a
    cause.

    Causes may hold together, or none may. table: from `cases`. text_cut [Q] bool and fits [Q] (identities
    that the caption fits, see `identities_that_fit`) fill the last two of CAUSES; left out, so are their
    columns.
    """
    query_pids, gallery_pids = run.pids
    asked = as_asked(run, K, xi)
    right = gallery_pids[asked.candidates] == query_pids[:, None]  # [Q, K]
    yes, put = asked.p_yes > asked.threshold, ~np.isnan(asked.p_yes)
    first_yes = yes[:, :1].any(1)
    has, anchor_right = (table["anchor"] >= 0).to_numpy(), table["anchor_right"].to_numpy()
    sure = run.sim.max(1) > xi
    flags = {
        "wrong Yes": has & ~anchor_right,
        "missed Yes": (right & put & ~yes).any(1),
        "first Yes unused": first_yes & ~sure,
        "list not walked": sure & (right & ~put).any(1),
        "out of reach": ~right.any(1),
        "right anchor, not first": anchor_right,
    }
    if text_cut is not None:
        flags["merged text cut"] = has & np.asarray(text_cut, dtype=bool)
    if fits is not None:
        flags["caption fits others"] = np.asarray(fits) > 1
    failed = (table["after"] > 1).to_numpy()
    return pd.DataFrame(flags, index=table["query"].rename("query"))[failed]


def cause_counts(flags: pd.DataFrame) -> pd.DataFrame:
    """Failed queries with each cause, their share in percent, and the first such query (-1: none); see
    `causes`.
    """
    counted = {**{name: flags[name] for name in flags}, "none of these": ~flags.any(axis=1)}
    rows = [
        (
            name,
            int(held.sum()),
            100 * float(held.mean()) if len(held) else 0.0,
            int(held.idxmax()) if held.any() else -1,
            CAUSES.get(name, ""),
        )
        for name, held in counted.items()
    ]
    return pd.DataFrame(
        rows, columns=["cause", "queries", "share of failures (%)", "example", "meaning"]
    ).set_index("cause")


def dialogue(
    run, q: int, final: np.ndarray, anchor: np.ndarray, K: int, xi: float, title: str = ""
) -> Dialogue:
    """The dialogue of query number `q`, with the questions that Algorithm 1 asks at (K, xi) and no other."""
    paths = run.gallery["path"].tolist()
    return Dialogue.of(
        q,
        run.queries["caption"].tolist(),
        as_asked(run, K, xi),
        run.answers,
        run.texts,
        paths,
        run.sim,
        final,
        anchor,
        *run.pids,
        title=title,
    )


def ranking_row(
    title: str, sim: np.ndarray, gallery: pd.DataFrame, pid: int, n: int = 10, anchor: int = -1
) -> dict:
    """The first `n` images of one query by sim [G], as a row of `pictures.gallery_rows`; anchor: gallery
    column or -1.
    """
    columns = np.argsort(-np.asarray(sim), kind="stable")[:n]
    found = np.flatnonzero(columns == anchor)
    return {
        "title": title,
        "paths": gallery["path"].to_numpy()[columns].tolist(),
        "right": gallery["pid"].to_numpy()[columns] == pid,
        "anchor": int(found[0]) if len(found) else None,
    }


def before_after(run, q: int, final: np.ndarray, anchor: np.ndarray, n: int = 10) -> list[dict]:
    """Query q's first `n` images before and after THI, the anchor framed in both: rows of
    `pictures.gallery_rows`.
    """
    titles = ("before: S(q, v)", "after: Ŝ(q, v)" if anchor[q] >= 0 else "after: no anchor, nothing changes")
    pid = run.pids[0][q]
    return [
        ranking_row(title, sim[q], run.gallery, pid, n, anchor[q])
        for title, sim in zip(titles, (run.sim, final))
    ]


def identities_that_fit(root, queries: pd.DataFrame, gallery: pd.DataFrame) -> np.ndarray:
    """How many identities of a stand-in's gallery fit each caption as well as its own person does [Q], at
    least 1.

    A picture's score is the number of the caption's facts that were drawn into it (as in the oracle); an
    identity fits if one of its pictures scores no less than the best picture of the caption's own person.
    A fact told wrongly can make others fit too. `root`: the stand-in's folder, which holds the truth.
    Raises ValueError for a caption not in it.
    """
    from icl_lib.data.standin import read_truth
    from icl_lib.data.standin.attributes import VALUES

    pictures = read_truth(root)["pictures"]
    code = {name: {value: i for i, value in enumerate(VALUES[name][0])} | {"none": -2} for name in VALUES}
    names: Sequence[str] = list(VALUES)
    truths = [pictures[Path(path).name]["truth"] for path in gallery["path"]]
    drawn = np.array([[code[name][truth[name]] for name in names] for truth in truths])  # [G, attributes]
    pids, fits = gallery["pid"].to_numpy(), np.zeros(len(queries), dtype=int)
    for row, (path, pid, text) in enumerate(zip(queries["path"], queries["pid"], queries["caption"])):
        told = pictures[Path(path).name]
        facts = told["facts"][told["captions"].index(text)]
        said = np.array([code[name][facts[name]] if name in facts else -1 for name in names])
        score = ((drawn == said) & (said != -1)).sum(1)  # [G]
        fits[row] = len(np.unique(pids[score >= score[pids == pid].max()]))
    return fits
