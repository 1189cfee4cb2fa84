"""Why queries fail: causes told by rules, several of which may hold, and the first of them in a fixed order.

A query fails in either of two ways (`failures`): its first picture is wrong after THI, which Rank-1 counts,
or THI lowered its average precision, which mAP counts. `run` is an `icl_lib.thi.interaction.Interaction`, `table`
what `icl_lib.analysis.cases.cases` made of it at one (K, xi, lambda).
"""

import numpy as np
import pandas as pd

from icl_lib.analysis.cases import as_asked
from icl_lib.retrieval.metrics import per_query_metrics

# In the order in which a query meets them: caption, ranking, questions, description, re-ranking.
CAUSES = {
    "caption fits others": "somebody else in the gallery fits the caption as well as the person sought",
    "out of reach": "none of the first K pictures is right",
    "list not walked": "S(q, v̂₁) > ξ, so that a right picture at the ranks 2 … K was not asked about",
    "first Yes unused": "v̂₁ got a Yes, which Algorithm 1 leaves unused where S(q, v̂₁) ≤ ξ",
    "missed Yes": "a right picture was asked about and got a No, and the anchor is not the person",
    "wrong Yes": "the anchor is another person",
    "bad description": "the description of the anchor contradicts what the anchor shows",
    "merged text cut": "the merged text is longer than the text encoder reads",
    "anchor not first": "the anchor is right, yet another picture is ranked above it",
    "others fell": "the anchor is right, but another picture of the person ranks lower than before",
}


def failures(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """{what went wrong: bool [Q]}: the first picture is wrong after THI (it was before or not); AP fell."""
    return {
        "first picture wrong": (table["after"] > 1).to_numpy(),
        "AP fell": (table["AP_after"] < table["AP_before"] - 1e-9).to_numpy(),
    }


def causes(
    run, table, final, K: int, xi: float, text_cut=None, fits=None, bad=None
) -> pd.DataFrame:
    """Which of CAUSES hold for each query, a bool column a cause (index: query), failed or not.

    A cause is a circumstance: what it explains is seen by comparing queries that failed with those that did
    not (`cause_counts`). final [Q, G]: similarities after THI. text_cut [Q] bool, fits [Q]
    (`identities_that_fit`) and bad [Q] bool (`bad_descriptions`) fill the columns of these names; left out,
    so are the columns.
    """
    query_pids, gallery_pids = run.pids
    asked = as_asked(run, K, xi)
    right = gallery_pids[asked.candidates] == query_pids[:, None]  # [Q, K]
    yes, put = asked.p_yes > asked.threshold, ~np.isnan(asked.p_yes)
    has, found = (table["anchor"] >= 0).to_numpy(), table["anchor_right"].to_numpy()
    sure = run.sim.max(1) > xi
    flags = {
        "caption fits others": None if fits is None else np.asarray(fits) > 1,
        "out of reach": ~right.any(1),
        "list not walked": sure & ~found & (right & ~put).any(1),
        "first Yes unused": yes[:, :1].any(1) & ~sure,
        "missed Yes": (right & put & ~yes).any(1) & ~found,
        "wrong Yes": has & ~found,
        "bad description": None if bad is None else has & np.asarray(bad, dtype=bool),
        "merged text cut": None if text_cut is None else has & np.asarray(text_cut, dtype=bool),
        "anchor not first": found & (table["after"] > 1).to_numpy(),
        "others fell": others_fell(run, table, final),
    }
    known = {name: held for name, held in flags.items() if held is not None}
    return pd.DataFrame(known, index=table["query"].rename("query"))


def cause_counts(
    flags: pd.DataFrame, failed: np.ndarray, among: np.ndarray | None = None
) -> pd.DataFrame:
    """A row a cause: for how many of the `failed` queries [Q] it holds, and holds first.

    Columns: queries and share (percent of the failed; causes overlap); first and first share (each query
    counted once, under the first cause in order, so that the shares add up to 100); share elsewhere (percent
    of the queries `among` [Q] that did not fail; all queries by default): a cause as common there explains
    little; example (the failed query with that cause and the fewest others, -1: none); meaning.
    """
    failed = np.asarray(failed, dtype=bool)
    among = np.ones(len(failed), dtype=bool) if among is None else np.asarray(among, dtype=bool)
    held = flags.assign(**{"none of these": ~flags.any(axis=1)})
    bad, well = held[failed], held[among & ~failed]
    first, many = bad.idxmax(axis=1), bad.sum(axis=1)
    rows = {}
    for name in held:
        mine = bad[name]
        rows[name] = {
            "queries": int(mine.sum()),
            "share (%)": _percent(mine),
            "first": int((first == name).sum()),
            "first share (%)": _percent(first == name),
            "share elsewhere (%)": _percent(well[name]),
            "example": int(many[mine].idxmin()) if mine.any() else -1,
            "meaning": CAUSES.get(name, ""),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("cause")


def examples(counts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One failed query a cause, of the way to fail in which that cause comes first more often.

    counts: {way: `cause_counts`}. Index: cause, where it holds at all; columns way, query, meaning.
    """
    rows = {}
    for cause in CAUSES:
        known = {way: table.loc[cause] for way, table in counts.items() if cause in table.index}
        way = max(known, key=lambda way: (known[way]["first"], known[way]["queries"]), default=None)
        if way is not None and known[way]["example"] >= 0:
            rows[cause] = {"way": way, "query": known[way]["example"], "meaning": CAUSES[cause]}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["way", "query", "meaning"])


def others_fell(run, table: pd.DataFrame, final: np.ndarray) -> np.ndarray:
    """Whether the anchor is right and another picture of the person ranks lower in `final` than in S [Q].

    The anchor is left out of both rankings: what it overtakes has not been pushed down by the merged text.
    Where the anchor is right and no other picture fell, AP cannot have fallen.
    """
    query_pids, gallery_pids = run.pids
    fell = np.zeros(len(table), dtype=bool)
    for q in np.flatnonzero(table["anchor_right"]):
        rest = np.delete(np.arange(len(gallery_pids)), table["anchor"].iloc[q])
        right = gallery_pids[rest] == query_pids[q]
        before, after = (_ranks(sim[q, rest])[right] for sim in (run.sim, final))
        fell[q] = (after > before).any()
    return fell


def others_precision(run, table: pd.DataFrame, final: np.ndarray) -> pd.DataFrame:
    """AP of the person's other pictures, a right anchor left out: what the merged text does by itself.

    A row a query with a right anchor (index: query); columns before, after THI, in percent.
    """
    query_pids, gallery_pids = run.pids
    rows = {}
    for q in np.flatnonzero(table["anchor_right"]):
        rest = np.delete(np.arange(len(gallery_pids)), table["anchor"].iloc[q])
        told = (
            per_query_metrics(sim[[q]][:, rest], query_pids[[q]], gallery_pids[rest])["mAP"][0]
            for sim in (run.sim, final)
        )
        rows[q] = dict(zip(("before", "after"), told))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["before", "after"]).rename_axis(
        "query"
    )


def added_facts(run, anchor: np.ndarray, root) -> pd.DataFrame:
    """What each merged text states beyond its caption, against what the anchor shows.

    root: the stand-in's folder, which holds the truth. A row a fact: query, attribute, said, drawn, verdict
    (see `icl_lib.analysis.claims.claims`). What the caption says is no work of the description, and is not among them.
    """
    from icl_lib.analysis.claims import claims
    from icl_lib.data.standin.read import read_facts

    rows = np.flatnonzero(np.asarray(anchor) >= 0)
    paths = run.gallery["path"].to_numpy()[np.asarray(anchor)[rows]]
    told = [read_facts(text) for text in run.queries["caption"].to_numpy()[rows]]
    table = claims([run.texts[q] for q in rows], root, paths)
    stated = zip(table["text"], table["attribute"], table["said"])
    table = table[[told[n].get(name) != said for n, name, said in stated]]
    return table.assign(query=rows[table["text"]])[
        ["query", "attribute", "said", "drawn", "verdict"]
    ]


def bad_descriptions(run, anchor: np.ndarray, root=None) -> np.ndarray:
    """Whether the anchor was described badly, bool [Q]; False without an anchor.

    By the truth of the stand-in at `root`: of what the merged text adds to the caption, the anchor
    contradicts more than it confirms. Without a truth, by the retrieval model: S(q̂, ·) ranks the anchor
    lower than S(q, ·) did, though q̂ was enriched with what was seen in this very picture.
    """
    anchor = np.asarray(anchor)
    bad = np.zeros(len(anchor), dtype=bool)
    if root is not None:
        facts = added_facts(run, anchor, root)
        weight = facts["verdict"].map({"contradicted": 1, "fits": -1, "not shown": 0})
        weight = weight.groupby(facts["query"]).sum()
        bad[weight.index[weight > 0]] = True
        return bad
    for q in np.flatnonzero(anchor >= 0):
        before, after = (_ranks(sim[q])[anchor[q]] for sim in (run.sim, run.sim_refined))
        bad[q] = after > before
    return bad


def _ranks(sim: np.ndarray) -> np.ndarray:
    """Rank (from 1) of every picture of one query; of equal similarities the lower column comes first."""
    ranks = np.empty(len(sim), dtype=int)
    ranks[np.argsort(-sim, kind="stable")] = np.arange(1, len(sim) + 1)
    return ranks


def _percent(held) -> float:
    return 100 * float(np.mean(held)) if len(held) else 0.0
