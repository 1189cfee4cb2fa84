"""What variants of Algorithm 1 need beside its trace."""

import numpy as np

from icl_lib.stages.interactions import whole_trace


def test_asking_beyond_the_first_yes_keeps_the_known_answers(params, done):
    run = done[1]
    whole = whole_trace(params, run, "test").first(3)
    known = ~np.isnan(run.trace.p_yes[:, :3])
    assert whole.asked.tolist() == [3] * 40
    assert np.array_equal(whole.p_yes[known], run.trace.p_yes[:, :3][known])
    until_yes = np.where(whole.first_yes >= 0, whole.first_yes + 1, 3)
    assert np.array_equal(until_yes, known.sum(1))
