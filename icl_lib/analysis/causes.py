"""Why queries fail: causes found by rules, several of which may hold for one query.

A query fails in either of two ways (`failures`): its first picture is wrong after THI, which Rank-1
counts, or THI lowered its average precision, which mAP counts. `run` is an
`icl_lib.thi.interaction.Interaction`; `table` is what `icl_lib.analysis.cases.cases` returns for it
at one point (K, xi, lambda).
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from icl_lib.analysis.cases import as_asked
from icl_lib.analysis.claims import claims
from icl_lib.data.standin.read import read_facts
from icl_lib.retrieval.metrics import per_query_metrics

# In the order in which a query meets them: caption, ranking, questions, description, re-ranking.
CAUSES = {
    "caption fits others": "somebody else in the gallery fits the caption "
    "as well as the person sought",
    "out of reach": "none of the first K pictures is right",
    "list not walked": "S(q, v̂₁) > ξ, "
    "so that a right picture at the ranks 2 … K was not asked about",
    "first Yes unused": "v̂₁ got a Yes, which Algorithm 1 leaves unused where S(q, v̂₁) ≤ ξ",
    "missed Yes": "a right picture was asked about and got a No, and the anchor is not the person",
    "wrong Yes": "the anchor is another person",
    "bad description": "the description of the anchor contradicts what the anchor shows",
    "merged text cut": "the merged text is longer than the text encoder reads",
    "anchor not first": "the anchor is right, yet another picture is ranked above it",
    "others fell": "the anchor is right, but another picture of the person ranks lower than before",
}


def failures(table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Which queries fail, bool [Q]: the first picture is wrong after THI, or THI lowered AP."""
    return {
        "first picture wrong": (table["after"] > 1).to_numpy(),
        "AP fell": (table["AP_after"] < table["AP_before"] - 1e-9).to_numpy(),
    }


def causes(
    run, table, final, K: int, xi: float, text_cut=None, fits=None, bad=None
) -> pd.DataFrame:
    """Which of CAUSES hold for each query, failed or not.

    A cause is a circumstance. Whether it explains failures is seen by comparing the queries that
    failed with those that did not (`cause_counts`).

    Args:
        run: The interaction.
        table: What `cases` returns for it.
        final: Similarities after THI [Q, G].
        K: Rounds of questions.
        xi: Threshold on the similarity of the first image.
        text_cut: Whether the merged text is too long for the encoder, bool [Q].
        fits: How many people in the gallery fit the caption [Q] (`identities_that_fit`).
        bad: Whether the anchor's description is bad, bool [Q] (`bad_descriptions`).

    Returns:
        A bool column for each cause (index: query), without the columns of text_cut, fits and bad
        where these are None.
    """
    query_pids, gallery_pids = run.pids
    asked = as_asked(run, K, xi)
    right = gallery_pids[asked.candidates] == query_pids[:, None]  # [Q, K]
    yes, answered = asked.p_yes > asked.threshold, ~np.isnan(asked.p_yes)
    has_anchor, found = (table["anchor"] >= 0).to_numpy(), table["anchor_right"].to_numpy()
    sure = run.sim.max(1) > xi
    flags = {
        "caption fits others": None if fits is None else np.asarray(fits) > 1,
        "out of reach": ~right.any(1),
        "list not walked": sure & ~found & (right & ~answered).any(1),
        "first Yes unused": yes[:, :1].any(1) & ~sure,
        "missed Yes": (right & answered & ~yes).any(1) & ~found,
        "wrong Yes": has_anchor & ~found,
        "bad description": None if bad is None else has_anchor & bad,
        "merged text cut": None if text_cut is None else has_anchor & text_cut,
        "anchor not first": found & (table["after"] > 1).to_numpy(),
        "others fell": others_fell(run, table, final),
    }
    known = {name: held for name, held in flags.items() if held is not None}
    return pd.DataFrame(known, index=table["query"].rename("query"))


def cause_counts(
    flags: pd.DataFrame, failed: np.ndarray, among: np.ndarray | None = None
) -> pd.DataFrame:
    """A row for each cause: for how many of the failed queries it holds, and comes first.

    Args:
        flags: What `causes` returns.
        failed: The queries that failed, bool [Q].
        among: The queries to compare them with, bool [Q]; all by default.

    Returns:
        Columns queries and "share (%)" of the failed queries (causes overlap); "first" and "first
        share (%)" (each query counted under its first cause, so that the shares add up to 100);
        "share elsewhere (%)" among the queries that did not fail (a cause as common there explains
        little); "example" (the failed query with this cause and the fewest others, -1 for none);
        "meaning".
    """
    among = np.ones(len(failed), dtype=bool) if among is None else among
    flags = flags.assign(**{"none of these": ~flags.any(axis=1)})
    bad, well = flags[failed], flags[among & ~failed]
    first = bad.idxmax(axis=1).value_counts().reindex(flags.columns, fill_value=0)
    causes_held = bad.sum(axis=1)
    counts = pd.DataFrame(
        {
            "queries": bad.sum(),
            "share (%)": 100 * bad.mean(),
            "first": first,
            "first share (%)": 100 * (first / len(bad)),
            "share elsewhere (%)": 100 * well.mean(),
            "example": [
                causes_held[bad[name]].idxmin() if bad[name].any() else -1 for name in flags
            ],
            "meaning": [CAUSES.get(name, "") for name in flags],
        }
    )
    return counts.fillna(0).rename_axis("cause")


def examples(counts: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One failed query for each cause, of the failure that it explains more often.

    Args:
        counts: {way to fail: `cause_counts`}.

    Returns:
        Columns way, query and meaning (index: cause), for the causes that hold at all.
    """
    rows = {}
    for cause in CAUSES:
        known = {way: table.loc[cause] for way, table in counts.items() if cause in table.index}
        way = max(known, key=lambda way: (known[way]["first"], known[way]["queries"]), default=None)
        if way is not None and known[way]["example"] >= 0:
            rows[cause] = {"way": way, "query": known[way]["example"], "meaning": CAUSES[cause]}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["way", "query", "meaning"])


def others_fell(run, table: pd.DataFrame, final: np.ndarray) -> np.ndarray:
    """Whether the anchor is right and THI ranks another picture of the person lower, bool [Q].

    The anchor is left out of both rankings: a picture that only the anchor overtook has not been
    pushed down by the merged text. Where the anchor is right and no other picture fell, AP cannot
    have fallen.
    """
    fell = np.zeros(len(table), dtype=bool)
    for q, pids, before, after in _without_right_anchor(run, table, final):
        right = pids == run.pids[0][q]
        fell[q] = (_ranks(after)[right] > _ranks(before)[right]).any()
    return fell


def others_precision(run, table: pd.DataFrame, final: np.ndarray) -> pd.DataFrame:
    """AP of the person's pictures other than a right anchor: what the merged text does by itself.

    Returns:
        A row for each query with a right anchor (index: query); columns before and after THI, in
        percent.
    """
    rows = {}
    for q, pids, *rankings in _without_right_anchor(run, table, final):
        person = run.pids[0][[q]]
        rows[q] = [per_query_metrics(sim[None], person, pids)["mAP"][0] for sim in rankings]
    columns = ["before", "after"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).rename_axis("query")


def _without_right_anchor(run, table: pd.DataFrame, final: np.ndarray) -> Iterator[tuple]:
    """For each query with a right anchor: its number, and the gallery without the anchor.

    Yields (q, gallery_pids, similarities before, similarities after).
    """
    _, gallery_pids = run.pids
    for q in np.flatnonzero(table["anchor_right"]):
        rest = np.arange(len(gallery_pids)) != table["anchor"].iloc[q]
        yield q, gallery_pids[rest], run.sim[q, rest], final[q, rest]


def added_facts(run, anchor: np.ndarray, root) -> pd.DataFrame:
    """What each merged text states beyond its caption, against what the anchor shows.

    Args:
        run: The interaction.
        anchor: Gallery column of each query's anchor [Q], -1 for none.
        root: The stand-in's folder, which holds the truth.

    Returns:
        A row for each fact: query, attribute, said, drawn, verdict (see
        `icl_lib.analysis.claims.claims`). Facts that the caption states are left out, since they do
        not come from the description.
    """
    queries = np.flatnonzero(anchor >= 0)
    paths = run.gallery["path"].to_numpy()[anchor[queries]]
    stated = [read_facts(text) for text in run.queries["caption"].to_numpy()[queries]]
    facts = claims([run.texts[q] for q in queries], root, paths)
    facts = facts[[stated[row.text].get(row.attribute) != row.said for row in facts.itertuples()]]
    columns = ["query", "attribute", "said", "drawn", "verdict"]
    return facts.assign(query=queries[facts["text"]])[columns]


def bad_descriptions(run, anchor: np.ndarray, root=None) -> np.ndarray:
    """Whether the anchor's description is bad, bool [Q]; False without an anchor.

    Args:
        run: The interaction.
        anchor: Gallery column of each query's anchor [Q], -1 for none.
        root: The stand-in's folder. A description is bad if the anchor contradicts more than it
            confirms of what the merged text adds to the caption. None where there is no truth: a
            description is bad if S(q̂, ·) ranks the anchor lower than S(q, ·) did, though q̂ was
            enriched with what was seen in the anchor itself.
    """
    bad = np.zeros(len(anchor), dtype=bool)
    if root is not None:
        facts = added_facts(run, anchor, root)
        weight = facts["verdict"].map({"contradicted": 1, "fits": -1, "not shown": 0})
        weight = weight.groupby(facts["query"]).sum()
        bad[weight.index[weight > 0]] = True
        return bad
    for q in np.flatnonzero(anchor >= 0):
        bad[q] = _ranks(run.sim_refined[q])[anchor[q]] > _ranks(run.sim[q])[anchor[q]]
    return bad


def _ranks(sim: np.ndarray) -> np.ndarray:
    """Rank (from 1) of every picture; of equal similarities the lower column comes first."""
    return rankdata(-sim, method="ordinal")
