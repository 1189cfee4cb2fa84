"""Metrics over rounds and their comparison."""

import numpy as np
import pytest

from icl_lib.analysis import rounds

FIRST = np.array([[4, 1, 0], [2, 3, 0], [3, 1, 0]])  # [rounds, queries]


def test_the_best_rank_so_far_never_falls_and_the_rank_may():
    assert rounds.rank1(FIRST).tolist() == [[0, 100, 0], [0, 0, 0], [0, 100, 0]]
    assert rounds.best_so_far(FIRST).tolist() == [[4, 1, np.inf], [2, 1, np.inf], [2, 1, np.inf]]
    assert rounds.found_so_far(FIRST).tolist() == [[0, 100, 0]] * 3


def test_the_log_rank_integral_is_that_of_plugir():
    """BRI = E[log π₀·π_T / 2T + Σ log π_t / T] with the best ranks π so far."""
    found = rounds.log_rank_integral(FIRST[:, :2])[0]
    assert found == pytest.approx([np.log(4 * 2) / 4 + np.log(2) / 2, 0])
    assert rounds.log_rank_integral(FIRST[:1, :2]).shape == (1, 2)


def test_tables_average_over_trainings_and_compare_the_same_queries():
    rng = np.random.default_rng(0)
    pids = np.arange(100) // 2
    worse = rng.integers(1, 4, (3, 100))
    better = np.where(np.arange(100) % 3 == 0, 1, worse)
    better[0] = worse[0]
    runs = {0: {"a": worse, "b": better}, 1: {"a": worse, "b": worse}}
    table = rounds.by_round(runs, pids)
    assert table.loc[("a", "rank1", 2), "value"] == pytest.approx(100 * (worse[2] == 1).mean())
    assert table.loc[("a", "rank1", 2), "sd over seeds"] == 0
    assert table.loc[("b", "log rank integral", 2), "seeds"] == 2
    gains = rounds.gained(runs, pids, [("b", "a"), ("a", "b")])
    for number in (1, 2):
        row, back = gains.loc[("b", "a", number)], gains.loc[("a", "b", number)]
        expected = 50 * ((better[number] == 1).mean() - (worse[number] == 1).mean())
        assert row["gain"] == pytest.approx(expected) == -back["gain"]
        assert (row["seeds above 0"], back["seeds above 0"]) == (1, 0)
        assert rounds.verdict(row) == "better" and rounds.verdict(back) == "worse"
    same = rounds.gained(runs, pids, [("a", "a")])
    assert set(same.apply(rounds.verdict, axis=1)) == {"no different"}
