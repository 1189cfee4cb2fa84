"""What variants of Algorithm 1 need beside its trace."""

import numpy as np
import pandas as pd

from icl_lib.stages.interactions import whole_trace
from icl_lib.stages.variants import mildest_value


def test_asking_beyond_the_first_yes_keeps_the_known_answers(params, done):
    run = done[1]
    whole = whole_trace(params, run, "test").first(3)
    known = ~np.isnan(run.trace.p_yes[:, :3])
    assert whole.asked.tolist() == [3] * 40
    assert np.array_equal(whole.p_yes[known], run.trace.p_yes[:, :3][known])
    until_yes = np.where(whole.first_yes >= 0, whole.first_yes + 1, 3)
    assert np.array_equal(until_yes, known.sum(1))


def test_the_mildest_value_is_the_nearest_that_moves_rank_1_by_half_a_point():
    table = pd.DataFrame({"value": [1, 2, 5, 10, np.inf], "rank1": [60.0, 68, 69.4, 69.7, 70]})
    assert mildest_value(table, np.inf) == 5
    assert mildest_value(table.assign(rank1=70.0), np.inf) == np.inf, "no value has an effect"
