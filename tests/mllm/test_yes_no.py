"""How good Yes/No answers are: metrics, threshold, calibration, and the answers at each rank."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_lib.mllm import yes_no
from icl_lib.mllm.yes_no import choose_threshold, judge_metrics


def test_judge_metrics_by_hand():
    found = judge_metrics([1, 0, 1, 0, 1], [0.9, 0.8, 0.7, 0.2, 0.1])
    assert found["accuracy"] == pytest.approx(60) and found["precision"] == pytest.approx(200 / 3)
    assert found["recall"] == pytest.approx(200 / 3) and found["AUC"] == pytest.approx(50)
    assert found["AP"] == pytest.approx(100 * (1 + 2 / 3 + 3 / 5) / 3)
    assert judge_metrics([1, 0], [0.9, 0.8], threshold=0.85)["accuracy"] == 100


def test_judge_metrics_at_the_edges():
    assert np.isnan(judge_metrics([1, 1], [0.1, 0.2])["AUC"]) and np.isnan(
        judge_metrics([1, 0], [0, 0])["precision"]
    )
    assert np.isnan(judge_metrics([0, 0], [0.6, 0.2])["AP"])
    for labels, p in (([], []), ([1], [0.5, 0.5]), ([2], [0.5]), ([1], [float("nan")])):
        with pytest.raises(ValueError):
            judge_metrics(labels, p)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from(np.linspace(0, 1, 9).tolist())),
        min_size=1,
        max_size=25,
    )
)
def test_the_threshold_is_the_best_there_is(rows):
    labels, p = np.array([row[0] for row in rows], int), np.array([row[1] for row in rows])
    if not labels.any():
        with pytest.raises(ValueError, match="at least one true pair"):
            choose_threshold(labels, p)
        return

    def score(threshold):
        yes = p > threshold
        if not (yes & (labels == 1)).any():
            return 0.0
        precision, recall = labels[yes].mean(), (yes & (labels == 1)).sum() / labels.sum()
        return 1.25 * precision * recall / (0.25 * precision + recall)

    tried = [-0.01, *((np.linspace(0, 1, 9)[1:] + np.linspace(0, 1, 9)[:-1]) / 2)]
    threshold = choose_threshold(labels, p)
    assert 0 <= threshold < 1
    best = max(map(score, tried))
    # A pair at exactly 0 can be told Yes by no threshold from 0 on.
    assert score(threshold) == pytest.approx(best) or (p[labels == 1] == 0).any()


def test_calibration():
    rng = np.random.default_rng(0)
    p = rng.random(20000)
    labels = rng.random(20000) < p
    assert yes_no.calibration_error(labels, p) < 1.5
    assert yes_no.calibration_error(np.ones(10), np.zeros(10)) == 100
    table = yes_no.reliability([0, 1, 1, 1], [0.0, 0.05, 1.0, 0.99], bins=10)
    assert table["pairs"].tolist() == [2, 2] and table["true"].tolist() == [50, 100]
    assert table["said"].tolist() == pytest.approx([2.5, 99.5])


def test_by_rank():
    judged = pd.DataFrame({"rank": [1, 1, 2, 2], "label": [1, 0, 0, 0], "p": [0.9, 0.6, 0.7, 0.1]})
    table = yes_no.by_rank(judged, 0.5)
    assert table.loc[1].tolist() == [2, 50, 50, 100, 100]
    assert table.loc[2, ["accuracy", "false"]].tolist() == [50, 50] and np.isnan(
        table.loc[2, "recall"]
    )


def test_probabilities_outside_0_to_1_are_refused():
    with pytest.raises(ValueError, match="p in"):
        yes_no.reliability([0, 1], [0.5, 1.5])
