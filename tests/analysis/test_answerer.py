"""The simulated answerer's rates and its map, against the metrics themselves."""

import numpy as np
import pytest

from icl_lib.analysis import answerer
from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.thi import Trace, replay
from icl_lib.thi.evidence import Evidence


def test_rates_of_answers_counted_by_hand():
    trace = Trace([[0, 1, 2], [2, 0, 1]], [[0.9, 0.9, 0.1], [0.2, 0.1, 0.9]])
    assert answerer.rates(trace, np.array([1, 1]), np.array([1, 2, 1]), 3) == {
        "TPR": 25.0,
        "FPR": 100.0,
    }
    assert answerer.rates(trace, np.array([1, 1]), np.array([1, 2, 1]), 1) == {
        "TPR": 50.0,
        "FPR": pytest.approx(np.nan, nan_ok=True),
    }
    with pytest.raises(ValueError, match="ask='all'"):
        answerer.rates(Trace([[0, 1]], [[0.9, np.nan]]), np.array([1]), np.array([1, 2]), 2)


def test_the_map_is_replay_and_rank_1_over_the_whole_gallery():
    rng = np.random.default_rng(0)
    query_pids, gallery_pids = np.arange(40) % 10, np.arange(60) % 12
    sim = rng.random((40, 60)) + 0.3 * (query_pids[:, None] == gallery_pids)
    candidates = np.argsort(-sim, axis=1, kind="stable")[:, :10]
    for K, xi, lam in ((5, 2.0, 0.4), (5, 1.1, 0.9), (1, 0.0, 0.4), (0, 2.0, 0.4)):
        table = answerer.rate_map(
            sim, candidates, query_pids, gallery_pids, K, xi, lam, steps=(0.0, 0.7, 1.0), seeds=2
        )
        for row in table.to_dict("records"):
            gains = []
            for seed in range(2):
                trace = answerer.simulated_trace(
                    candidates[:, : max(K, 1)],
                    query_pids,
                    gallery_pids,
                    row["TPR"] / 100,
                    row["FPR"] / 100,
                    seed,
                )
                final, _ = replay(sim, sim, trace, K, xi, lam)
                gains.append(
                    per_query_metrics(final, query_pids, gallery_pids)["rank1"].mean()
                    - per_query_metrics(sim, query_pids, gallery_pids)["rank1"].mean()
                )
            assert row["gain"] == pytest.approx(np.mean(gains))


def test_signs_of_a_right_anchor_are_areas_under_the_curve():
    signs = {"good": [2, 1, 3], "none": [1, 1, 1]}
    table = answerer.signs_of_a_right_anchor([True, False, True], signs)
    assert table["AUC (%)"].to_dict() == {"good": 100, "none": 50}
    alone = answerer.signs_of_a_right_anchor([True, True], {"good": [2, 1]})
    assert alone["AUC (%)"].isna().all()


def test_a_simulated_trace_has_the_rates_it_is_given():
    query_pids, gallery_pids = np.arange(200), np.repeat(np.arange(200), 5)
    sim = np.random.default_rng(0).random((200, 1000))
    candidates = np.argsort(-sim, axis=1, kind="stable")[:, :400]
    trace = answerer.simulated_trace(candidates, query_pids, gallery_pids, 0.9, 0.2, seed=3)
    yes, right = trace.p_yes > 0.5, gallery_pids[candidates] == query_pids[:, None]
    assert yes[right].mean() == pytest.approx(0.9, abs=0.06)
    assert yes[~right].mean() == pytest.approx(0.2, abs=0.02)


def test_evidence_gains_by_any_answerer_that_is_better_or_worse_than_chance():
    rng = np.random.default_rng(0)
    sim, pids = rng.random((200, 30)), np.arange(30)
    query_pids = rng.integers(0, 30, 200)
    candidates = np.argsort(-sim, axis=1)
    field = answerer.evidence_map(
        sim, candidates, query_pids, pids, 5, Evidence(0.1), steps=(0.0, 0.5, 1.0), seeds=2
    ).set_index(["TPR", "FPR"])["gain"]
    assert field[50, 50] == 0, "an answerer by chance changes nothing"
    there = (pids[candidates[:, :5]] == query_pids[:, None]).any(1).mean()
    best = 100 * (there - (pids[candidates[:, 0]] == query_pids).mean())
    assert field[100, 0] == pytest.approx(best) and field[0, 100] == pytest.approx(best)
