"""Platt's calibration: it finds what spoiled P(Yes), keeps its order, or does nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from icl_lib.mllm import yes_no
from icl_lib.mllm.calibration import Calibration, fit


@pytest.fixture(scope="module")
def overconfident():
    rng = np.random.default_rng(0)
    true = rng.beta(1, 3, 20_000)
    return (rng.random(20_000) < true).astype(int), expit(2 * logit(true) + 1)


def test_fit_finds_the_two_numbers(overconfident):
    labels, said = overconfident
    found = fit(labels, said)
    assert found.slope == pytest.approx(0.5, abs=0.02)
    assert found.offset == pytest.approx(-0.5, abs=0.05)
    after = found(said)
    assert yes_no.calibration_error(labels, after) < 1.5 < yes_no.calibration_error(labels, said)
    assert yes_no.brier_score(labels, after) < yes_no.brier_score(labels, said)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.floats(0.1, 5), st.floats(-5, 5))
def test_calibration_keeps_the_order_and_the_range(p, slope, offset):
    after = Calibration(slope, offset)(np.sort(p))
    calibration = Calibration(slope, offset)
    assert calibration.said(float(calibration(np.array([0.3]))[0])) == pytest.approx(0.3, abs=1e-4)
    assert (np.diff(after) >= 0).all() and ((after >= 0) & (after <= 1)).all()


def test_it_does_nothing_where_there_is_nothing_to_fit():
    p = np.array([0.0, 0.2, 1.0], np.float32)
    assert Calibration()(p) is p
    assert fit([1, 1, 1], p) == Calibration(), "one label only"
    assert fit([1, 0, 0], p) == Calibration(), "the truth falls with P(Yes)"
    assert Calibration(2.0, 0.0)(p).dtype == np.float32


def test_brier_by_hand():
    assert yes_no.brier_score([1, 0], [0.5, 1.0]) == pytest.approx(0.625)
