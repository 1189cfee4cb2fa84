import numpy as np

from icl_lib.speed.metrics_memory import metrics_cost, metrics_growth


def test_metrics_of_cuhk_pedes_size_stay_below_300_megabytes():
    cost = metrics_cost(6156, 3074, 1000)
    assert 0 < cost["resident_MB"] < 300 and cost["seconds"] > 0


def test_memory_is_that_of_the_new_process_however_large_its_parent_is():
    ballast = np.ones(60_000_000)  # 480 MB, more than sorting takes below
    cost = metrics_cost(3000, 3000, 1000, kind="sorted")
    assert cost["resident_MB"] > 0.5 * 3000 * 3000 * 8 / 1e6  # the order alone is int64 [Q, G]
    assert ballast.sum() == 60_000_000


def test_sorting_the_whole_gallery_takes_more_memory_than_counting():
    row = metrics_growth([(800, 1200, 100)]).iloc[0]
    assert row["captions"] == 800 and row["ratio"] > 0
    assert row["sorted, resident_MB"] > row["counted, resident_MB"]
