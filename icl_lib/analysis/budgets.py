"""What a rule gains for what it asks: metrics over the number of questions per query."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from icl_lib.retrieval.metrics import NAMES, per_query_metrics
from icl_lib.thi import Interaction, Trace, questions
from icl_lib.thi.evidence import Evidence, rank_by_evidence
from icl_lib.thi.policies import Policy, asked_at

BUDGETS = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10)  # questions per query on val


def algorithm1_line(
    val: Interaction, test: Interaction, xis: Sequence[float], lams: Sequence[float]
) -> pd.DataFrame:
    """Algorithm 1 on test for each K from 0 on, with ξ and λ chosen for it on val.

    They are chosen by Rank-1 + mAP; of equal points, the one with the fewest questions.

    Returns:
        A row for each K: questions (per query), the metrics NAMES (percent), xi and lam.
    """
    rows = []
    for K in range(test.trace.k_max + 1):
        table = val.grid([K], xis, lams)
        table = table.assign(score=table["rank1"] + table["mAP"])
        best = table.sort_values(["score", "questions"], ascending=[False, True]).iloc[0]
        at = {"xi": float(best["xi"]), "lam": float(best["lam"])}
        values = test.per_query(K, **at)
        asked = questions(test.sim.max(1), test.trace, K, at["xi"]).mean()
        rows.append({"K": K, "questions": asked, **_means(values), **at})
    return pd.DataFrame(rows).set_index("K")


def evidence_line(
    free: Policy, run: Interaction, whole: Trace, evidence: Evidence, prices: Sequence[float]
) -> pd.DataFrame:
    """Evidence on `run` at each price, replayed from a trace of all answers.

    Args:
        free: the policy, played at no price on `whole`.
        run: the split's interaction.
        whole: all answers about its candidates.
        evidence: the parameters of the posterior.
        prices: the worths at which to stop.

    Returns:
        A row for each price: questions (per query) and the metrics NAMES (percent); the first row
        is without questions.
    """
    rows = []
    for price in (np.inf, *prices):
        p_yes = asked_at(free, whole, price)
        values = evidence_values(run, p_yes, whole, evidence)
        asked = (~np.isnan(p_yes)).sum(1).mean()
        rows.append({"price": price, "questions": asked, **_means(values)})
    return pd.DataFrame(rows).set_index("price")


def evidence_values(
    run: Interaction, p_yes: np.ndarray, whole: Trace, evidence: Evidence
) -> dict[str, np.ndarray]:
    """The metrics of every query [Q] after the answers p_yes [Q, D]."""
    trace = Trace(whole.candidates, p_yes, whole.threshold)
    return per_query_metrics(rank_by_evidence(run.sim, trace, run.vectors, evidence), *run.pids)


def _means(values: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(values[name].mean()) for name in NAMES}
