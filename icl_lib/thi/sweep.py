"""Algorithm 1 and Eq. 6 at every point of a grid over K, ξ and λ, all from one trace."""

import numpy as np
import pandas as pd

from icl_lib.retrieval.metrics import NAMES, per_query_metrics
from icl_lib.thi.algorithm1 import anchor_ranks, check_answers, gallery_columns, rerank
from icl_lib.thi.cost import questions, released_questions
from icl_lib.thi.trace import Trace

LAMBDAS = [round(0.1 * i, 1) for i in range(11)]


def best_point(table: pd.DataFrame) -> dict:
    """K, xi and lam of the grid's row with the highest Rank-1 + mAP, on val.

    If several rows are equally good, the one with the fewest questions is taken.
    """
    table = table.assign(score=table["rank1"] + table["mAP"])
    best = table.sort_values(["score", "questions"], ascending=[False, True]).iloc[0]
    return {"K": int(best["K"]), "xi": float(best["xi"]), "lam": float(best["lam"])}


def grid(sim, sim_refined, trace: Trace, query_pids, gallery_pids, Ks, xis, lams) -> pd.DataFrame:
    """Replays every (K, ξ, λ): one row each, with metrics (percent), anchors and questions.

    The metrics are those of `replay` at each point, but each query is ranked only once for each λ:
    whatever K and ξ are, its anchor is the candidate of its first Yes, or it has none.
    """
    top1, query_pids = sim.max(1), np.asarray(query_pids)
    points = [(int(K), float(xi)) for K in Ks for xi in xis]
    for K, xi in points:
        check_answers(top1, trace, min(K, sim.shape[1]), xi)
    has_anchor = np.array(
        [anchor_ranks(top1, trace, K, xi) >= 0 for K, xi in points]
    )  # [points, Q]
    counts = pd.DataFrame(
        {
            "anchors": has_anchor.sum(1),
            "questions": [questions(top1, trace, *point).sum() for point in points],
            "released_questions": [
                released_questions(top1, trace, *point).sum() for point in points
            ],
        }
    )
    rows = np.flatnonzero(has_anchor.any(0))
    anchor = gallery_columns(sim, trace, rows, trace.first_yes[rows])
    plain = _metrics(sim, query_pids, gallery_pids)
    sim, sim_refined, tables = sim[rows], sim_refined[rows], []
    for lam in map(float, lams):
        final = rerank(sim, sim_refined, anchor, lam)
        gain = _metrics(final, query_pids[rows], gallery_pids) - plain[rows]
        means = plain.mean(0) + has_anchor[:, rows] @ gain / max(1, len(plain))  # [points, 5]
        table = pd.DataFrame(points, columns=["K", "xi"]).assign(lam=lam)
        tables.append(pd.concat([table, pd.DataFrame(means, columns=NAMES), counts], axis=1))
    return pd.concat(tables, ignore_index=True)


def _metrics(sim, query_pids, gallery_pids) -> np.ndarray:
    """The metrics NAMES of every query [Q, 5]."""
    values = per_query_metrics(sim, query_pids, gallery_pids)
    return np.stack([values[name] for name in NAMES], axis=1)
