"""Notebook 06's tables against counts by hand; the map of a simulated answerer against the metrics themselves."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from icl_lib.analysis import answerer, compare
from icl_lib.analysis import variants as variants_analysis
from icl_lib.analysis.answerer import simulated_trace
from icl_lib.figures import variants
from icl_lib.figures.style import png
from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.thi import Trace, replay


def values(rank1, anchor):
    rank1 = 100.0 * np.array(rank1)
    return {**{name: rank1 for name in compare.METRICS}, "mINP": rank1, "anchor": np.array(anchor)}


def test_verdicts_counted_by_hand():
    plain = values([1, 1, 0, 0, 0, 1], [-1] * 6)
    published = values([0, 0, 1, 1, 0, 1], [1, 1, 0, 0, 1, -1])
    variant = values([1, 0, 1, 0, 1, 0], [-1, 1, 0, -1, 0, 1])
    row = variants_analysis.verdicts(
        plain, published, {"v": variant}, np.zeros(6), np.array([0, 7])
    ).loc["v"]
    assert row.to_dict() == {
        "harmed": 2,
        "saved": 1,
        "repaired": 2,
        "lost": 1,
        "newly repaired": 1,
        "newly harmed": 1,
        "withdrawn, wrong": 1,
        "withdrawn, right": 1,
        "another anchor": 2,
    }
    assert (
        "v"
        in variants_analysis.verdicts(
            plain, published, {"v": published}, np.zeros(6), np.array([0, 7])
        ).index
    )
    assert png(variants.saved_and_lost(row.to_frame().T, limit=5))


def test_side_by_side_is_against_the_first():
    rows = {
        "first": values([1, 0, 0, 0], [-1] * 4),
        "same": values([1, 0, 0, 0], [-1] * 4),
        "all": values([1, 1, 1, 1], [-1] * 4),
    }
    table = compare.side_by_side(rows)
    assert table.loc[("same", "mAP"), "gain"] == 0 and not table.loc[("same", "mAP"), "excludes_0"]
    assert table.loc[("all", "rank5"), "gain"] == 75 and table.loc[("all", "rank5"), "excludes_0"]
    assert list(compare.wide(table).index) == list(rows) and list(compare.wide(table)) == list(
        compare.METRICS
    )
    assert png(variants.gains(table))


def test_calls_beside_algorithm_1():
    sim = np.array([[0.5, 0.4, 0.3], [0.9, 0.4, 0.3], [0.5, 0.4, 0.3]])
    trace = Trace([[0, 1, 2]] * 3, [[0.1, 0.8, np.nan], [0.8, np.nan, np.nan], [0.1, 0.2, 0.3]])
    run = SimpleNamespace(trace=trace, sim=sim)
    told = variants_analysis.calls(run, np.array([1, 0, -1]), np.array([2, 0, -1]), 3, 0.7, True)
    assert told == {"extra questions": 1, "extra pictures described": 1, "extra texts merged": 1}
    assert set(
        variants_analysis.calls(
            run, np.array([1, 0, -1]), np.array([-1, 0, -1]), 3, 0.7, False
        ).values()
    ) == {0}


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
                trace = simulated_trace(
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
    assert png(variants.rate_heatmap(table, {"a": ({"TPR": 60.0, "FPR": 10.0}, 3.0)}))


def test_over_values_and_signs():
    table = pd.DataFrame(
        {
            "value": [1, 5, np.inf],
            "rank1": [50.0, 52, 51],
            "rank10": [80.0, 80, 79],
            "mAP": [40.0, 41, 41],
        }
    )
    assert png(variants.over_values({"one": (table, "depth", np.inf, 5)}))
    signs = answerer.signs_of_a_right_anchor(
        [True, False, True], {"good": [2, 1, 3], "none": [1, 1, 1]}
    )["AUC (%)"]
    assert signs.to_dict() == {"good": 100, "none": 50}
    assert answerer.signs_of_a_right_anchor([True, True], {"good": [2, 1]})["AUC (%)"].isna().all()
