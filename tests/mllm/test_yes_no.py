"""P(Yes) as a probability: calibration, and the answers at each rank."""

import numpy as np
import pandas as pd
import pytest

from icl_lib.mllm import yes_no


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
