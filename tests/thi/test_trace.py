"""The trace: what it refuses, what it reports, and its file."""

import numpy as np
import pytest

from icl_lib.thi import Trace


def test_a_trace_refuses_arrays_that_do_not_fit_and_values_that_are_no_probabilities():
    with pytest.raises(ValueError, match="one shape"):
        Trace.from_answers([[True, False]], [[0]])
    with pytest.raises(ValueError, match="True and False"):
        Trace.from_answers([[0.4]], [[0]])
    with pytest.raises(ValueError, match="must lie in"):
        Trace([[0]], [[1.4]])


def test_a_trace_tells_what_was_asked_and_the_first_yes():
    trace = Trace([[4, 2], [3, 1], [0, 5]], [[0.9, np.nan], [0.1, 0.6], [0.2, 0.5]])
    assert trace.first_yes.tolist() == [0, 1, -1], "P(Yes) at the threshold is no Yes"
    assert trace.asked.tolist() == [1, 2, 2] and trace.k_max == 2
    rows = trace.rows()
    assert list(rows) == ["query", "rank", "image", "p_yes", "seconds"]
    assert rows["image"].tolist() == [4, 3, 1, 0, 5] and rows["rank"].tolist() == [0, 0, 1, 0, 1]


def test_a_saved_trace_is_loaded_as_it_was(tmp_path):
    p_yes, seconds = [[0.1, 0.9], [0.7, np.nan]], [[0.5, 0.25], [1.0, np.nan]]
    for candidates in ([[4, 2], [3, 1]], [["a.jpg", "b.jpg"], ["c.jpg", "d.jpg"]]):
        trace = Trace(candidates, p_yes, 0.8, seconds)
        trace.save(tmp_path)
        loaded = Trace.load(tmp_path)
        assert loaded.threshold == 0.8 and loaded.candidates.tolist() == candidates
        assert np.array_equal(loaded.p_yes, trace.p_yes, equal_nan=True)
        assert np.array_equal(loaded.seconds, trace.seconds, equal_nan=True)
    with pytest.raises(FileNotFoundError, match="No finished trace"):
        Trace.load(tmp_path / "elsewhere")
