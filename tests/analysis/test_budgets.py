"""Rules at every number of questions, replayed from one trace."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from interactions import interaction
from thi_answers import ranked, until_first_yes

from icl_lib.analysis import budgets
from icl_lib.retrieval.metrics import NAMES
from icl_lib.thi import Trace
from icl_lib.thi.evidence import Evidence
from icl_lib.thi.policies import Answers, Rule, fit_rule


def split(seed, P=12, each=3, depth=5):
    """An interaction with vectors, and its answers about all candidates, 80% of them right."""
    rng = np.random.default_rng(seed)
    pids, person = np.repeat(np.arange(P), each), rng.normal(size=(P, 8))

    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    vectors = unit(person[pids] + 0.8 * rng.normal(size=(len(pids), 8)))
    sim = unit(person[pids] + 1.5 * rng.normal(size=(len(pids), 8))) @ vectors.T
    columns = ranked(sim)[:, :depth]
    right = (pids[columns] == pids[:, None]) ^ (rng.random(columns.shape) < 0.2)
    answers = Trace(columns, np.where(right, 0.8, 0.2))
    run = interaction(pids, pids, sim, sim, until_first_yes(answers))
    return replace(run, vectors=vectors), answers


RULE = Rule(
    Evidence(0.1, 1.0, 0.5, 8.0, 0.6),
    Answers(np.array([0.2, 0.8]), np.array([0.8, 0.2])),
    "best_first",
    0.1,
)


def test_evidence_runs_from_no_question_to_all_of_them():
    (val, of_val), (test, of_test) = split(0), split(1)
    line = budgets.evidence_line(RULE, val, of_val, test, of_test, budgets=(1, 2, 5))
    plain = test.per_query(0, 0.0, 1.0)
    assert line["questions"].iloc[[0, -1]].tolist() == [0, 5]
    assert line["questions"].is_monotonic_increasing
    assert line.loc[0, NAMES[0]] == pytest.approx(plain["rank1"].mean())
    whole = test.by_evidence(of_test, RULE.evidence)
    assert line["mAP"].iloc[-1] == pytest.approx(whole["mAP"].mean())
    on_val = budgets.evidence_line(RULE, val, of_val, val, of_val, budgets=(2, 3))
    assert (on_val["questions"] <= on_val.index).all(), "val is asked within the budget"


def test_algorithm_1_has_a_row_for_each_K_with_its_own_point():
    (val, _), (test, _) = split(0), split(1)
    line = budgets.algorithm1_line(val, test, [0.3, 1.0])
    assert line.index.tolist() == list(range(6))
    assert line.loc[0, ["questions", "anchors"]].tolist() == [0, 0]
    at = line.loc[3]
    values = test.per_query(3, at["xi"], at["lam"])
    assert at["rank1"] == pytest.approx(values["rank1"].mean())
    assert at["anchors"] == pytest.approx((values["anchor"] >= 0).mean())


def test_a_rule_fitted_to_answers_that_are_always_right_puts_the_person_first():
    run, answers = split(0)
    right = budgets.always_right(run, answers)
    truth = run.pids[1][right.candidates] == run.pids[0][:, None]
    assert np.array_equal(right.p_yes == 0.99, truth)
    rule = fit_rule(run, right, "best_first")
    line = budgets.evidence_line(rule, run, right, run, right, budgets=(5,))
    assert line["rank1"].iloc[-1] >= 95 * truth.any(1).mean()


def test_gains_are_averaged_over_seeds_before_people_are_drawn():
    pids = np.array([0, 0, 1, 1])
    base = {name: np.array([0.0, 100, 0, 0]) for name in NAMES} | {"pid": pids}
    better = {name: np.array([100.0, 100, 0, 0]) for name in NAMES} | {"pid": pids}
    runs = {0: {"a": base, "b": better}, 1: {"a": base, "b": base}}
    table = budgets.gains_over_seeds(runs, {"b": "a"})
    row = table.loc[("b", "a", "rank1")]
    assert isinstance(table, pd.DataFrame) and len(table) == len(NAMES)
    assert row[["before", "after", "gain"]].tolist() == [25, 37.5, 12.5]
    assert row["seeds above 0"] == 1 and row["low"] <= 12.5 <= row["high"]
