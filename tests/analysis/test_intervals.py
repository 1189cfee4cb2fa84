"""Intervals: the bootstrap over people, and Student's over seeds."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_lib.analysis.intervals import (
    bootstrap_ci,
    holm,
    paired_bootstrap,
    spread,
    with_intervals,
)
from icl_lib.retrieval.metrics import NAMES, per_query_metrics, retrieval_metrics


def test_people_are_drawn_with_all_their_queries():
    rng = np.random.default_rng(0)
    people, each = 200, 10
    alike, pids = np.repeat(rng.normal(0, 10, people), each), np.repeat(np.arange(people), each)
    low, high = bootstrap_ci(alike, pids)
    width = 2 * 1.96 * alike.std() / people**0.5
    assert high - low == pytest.approx(width, rel=0.1), "ten equal queries are one"
    alone = bootstrap_ci(alike)
    assert high - low > 2.5 * (alone[1] - alone[0])
    odd = bootstrap_ci([1.0, 1, 1, 0], [7, 7, 7, 9])
    assert odd == (0, 1), "a person who is drawn alone is the whole mean"


def test_a_paired_test_draws_people_too():
    alike, pids = np.random.default_rng(0).normal(0, 10, 200), np.arange(200) // 10
    test = paired_bootstrap(alike, 0 * alike, pids)
    assert (test["low"], test["high"]) == bootstrap_ci(alike, pids)
    with pytest.raises(ValueError, match="one person per query"):
        bootstrap_ci(alike, pids[:-1])


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]).tolist() == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_between_the_single_value_and_bonferronis(p):
    corrected = holm(p)
    bonferroni = np.minimum(np.array(p) * len(p), 1)
    assert (corrected >= np.array(p) - 1e-12).all() and (corrected <= bonferroni + 1e-12).all()
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()


def test_bootstrap_interval_covers_as_it_says():
    rng, covered = np.random.default_rng(1), 0
    for trial in range(200):
        low, high = bootstrap_ci(100.0 * (rng.random(300) < 0.4), seed=trial, draws=400)
        covered += low <= 40 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_bootstrap_is_seeded_and_bounded():
    values = np.array([0.0, 100, 100, 0, 100])
    assert bootstrap_ci(values, seed=3) == bootstrap_ci(values, seed=3)
    assert bootstrap_ci(np.full(5, 7.0)) == (7.0, 7.0)
    with pytest.raises(ValueError, match="at least one"):
        bootstrap_ci([])


def test_paired_bootstrap_sees_a_paired_gain_that_intervals_hide():
    rng = np.random.default_rng(0)
    base = 100.0 * (rng.random(400) < 0.5)
    better = base.copy()
    better[np.flatnonzero(base == 0)[:12]] = 100
    found = paired_bootstrap(better, base)
    assert found["difference"] == pytest.approx(3.0)
    assert found["low"] > 0 and found["p"] < 0.01
    assert bootstrap_ci(better)[0] < base.mean()  # unpaired, the two overlap
    assert paired_bootstrap(base, base)["p"] == 1.0


def test_with_intervals_matches_the_plain_means():
    rng = np.random.default_rng(0)
    sim, q, g = rng.standard_normal((30, 20)), rng.integers(0, 6, 30), rng.integers(0, 6, 20)
    found = with_intervals(per_query_metrics(sim, q, g))
    assert {name: found[name] for name in NAMES} == pytest.approx(retrieval_metrics(sim, q, g))
    assert found["ci95"]["mAP"][0] <= found["mAP"] <= found["ci95"]["mAP"][1]


def test_students_interval_of_three_seeds():
    row = spread(pd.DataFrame({"rank1 gain": [1.0, 3.0, 2.0]})).loc["rank1 gain"]
    half = 4.30265 / 3**0.5  # t of 97.5% with two degrees of freedom
    assert row.tolist() == pytest.approx([2, 1, 2 - half, 2 + half], abs=1e-4)


def test_one_seed_has_no_spread():
    table = spread(pd.DataFrame({"rank1": [40.0], "mAP": [30.0]}))
    assert table["mean"].tolist() == [40, 30]
    assert table[["sd", "low", "high"]].isna().all(axis=None)
