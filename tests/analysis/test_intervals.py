"""Intervals: the bootstrap over people, and Student's over seeds."""

import numpy as np
import pandas as pd
import pytest

from icl_lib.analysis.intervals import bootstrap_ci, people_ci, spread


def test_people_are_drawn_with_all_their_queries():
    rng = np.random.default_rng(0)
    people, each = 200, 10
    alike, pids = np.repeat(rng.normal(0, 10, people), each), np.repeat(np.arange(people), each)
    low, high = people_ci(alike, pids)
    width = 2 * 1.96 * alike.std() / people**0.5
    assert high - low == pytest.approx(width, rel=0.1), "ten equal queries are one"
    alone = people_ci(alike, np.arange(len(alike)))
    assert alone == pytest.approx(bootstrap_ci(alike), abs=0.05)
    assert high - low > 2.5 * (alone[1] - alone[0])
    odd = people_ci([1.0, 1, 1, 0], [7, 7, 7, 9])
    assert odd == (0, 1), "a person who is drawn alone is the whole mean"


def test_students_interval_of_three_seeds():
    row = spread(pd.DataFrame({"rank1 gain": [1.0, 3.0, 2.0]})).loc["rank1 gain"]
    half = 4.30265 / 3**0.5  # t of 97.5% with two degrees of freedom
    assert row.tolist() == pytest.approx([2, 1, 2 - half, 2 + half], abs=1e-4)


def test_one_seed_has_no_spread():
    table = spread(pd.DataFrame({"rank1": [40.0], "mAP": [30.0]}))
    assert table["mean"].tolist() == [40, 30]
    assert table[["sd", "low", "high"]].isna().all(axis=None)
