"""What a rule gains for what it asks: metrics over the number of questions per query."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from icl_lib.analysis.intervals import holm, paired_bootstrap
from icl_lib.retrieval.metrics import NAMES
from icl_lib.thi import Interaction, Trace, questions
from icl_lib.thi.policies import Rule, asked_at, play, price_of
from icl_lib.thi.sweep import LAMBDAS, best_point

BUDGETS = (0.5, 1, 2, 3, 5, 10)  # questions per query on val


def algorithm1_line(val: Interaction, test: Interaction, xis: Sequence[float]) -> pd.DataFrame:
    """Algorithm 1 on test for each K from 0 on, with ξ (of `xis`) and λ chosen for it on val.

    Returns:
        A row for each K: questions and anchors (per query), the metrics NAMES (percent), xi and
        lam.
    """
    rows = []
    for K in range(test.trace.k_max + 1):
        point = best_point(val.grid([K], xis, LAMBDAS))
        values = test.per_query(**point)
        asked = float(questions(test.sim.max(1), test.trace, K, point["xi"]).mean())
        found = float((values["anchor"] >= 0).mean())
        rows.append({**point, "questions": asked, "anchors": found, **_means(values)})
    return pd.DataFrame(rows).set_index("K")


def evidence_line(
    rule: Rule,
    val: Interaction,
    val_answers: Trace,
    run: Interaction,
    answers: Trace,
    budgets: Sequence[float] = BUDGETS,
) -> pd.DataFrame:
    """Evidence on `run` at every budget, replayed from all answers; the prices come from val.

    Args:
        rule: fitted on val.
        val: the interaction of val.
        val_answers: all answers about its candidates.
        run: the interaction of the split to look at.
        answers: all answers about its candidates.
        budgets: questions per query that a price may cost on val.

    Returns:
        A row for each budget: price, questions (per query of `run`) and the metrics NAMES
        (percent); the first row is without questions.
    """
    prices = rule.asking(val, val_answers.k_max, -np.inf)
    play(prices, val_answers)
    free = prices
    if run is not val:
        free = rule.asking(run, answers.k_max, -np.inf)
        play(free, answers)
    rows = []
    for budget in (0, *budgets):
        price = price_of(prices, budget)
        trace = replace(answers, p_yes=asked_at(free, answers, price))
        values = run.by_evidence(trace, rule.evidence)
        asked = float(trace.asked.mean())
        rows.append({"budget": budget, "price": price, "questions": asked, **_means(values)})
    return pd.DataFrame(rows).set_index("budget")


def always_right(run: Interaction, answers: Trace) -> Trace:
    """The answers as they would be if the MLLM were always right: P(Yes) = 0.99 or 0.01."""
    right = run.pids[1][answers.candidates] == run.pids[0][:, None]
    return replace(answers, p_yes=np.where(right, 0.99, 0.01))


def gains_over_seeds(runs: dict[int, dict[str, dict]], pairs: dict[str, str]) -> pd.DataFrame:
    """What some methods gain over others on average over seeds, with intervals over people.

    Args:
        runs: {seed: {method: `per_query_metrics`}}, all of the same queries.
        pairs: {method: the method that it is compared with}.

    Returns:
        A row for each pair ("method", "over") and metric: "before" and "after" (percent), "gain"
        (points), low and high, "p, Holm" (corrected for all rows; the intervals are not), and
        "seeds above 0".
    """
    rows = []
    pids = next(iter(next(iter(runs.values())).values()))["pid"]
    for method, other in pairs.items():
        for metric in NAMES:
            after, before = (
                np.stack([run[name][metric] for run in runs.values()]) for name in (method, other)
            )
            test = paired_bootstrap(after.mean(0), before.mean(0), pids)
            rows.append(
                {
                    "method": method,
                    "over": other,
                    "metric": metric,
                    "before": before.mean(),
                    "after": after.mean(),
                    "gain": test["difference"],
                    "low": test["low"],
                    "high": test["high"],
                    "p": test["p"],
                    "seeds above 0": int(((after - before).mean(1) > 0).sum()),
                }
            )
    table = pd.DataFrame(rows).set_index(["method", "over", "metric"])
    table["p, Holm"] = holm(table.pop("p"))
    return table


def _means(values: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(values[name].mean()) for name in NAMES}
