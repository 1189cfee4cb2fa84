"""Timings are measured once and then shown again."""

import pandas as pd

from icl_lib import stages


def test_a_timing_is_shown_again_until_another_attempt_is_asked_for(params):
    calls = []

    def measure():
        calls.append(1)
        table = pd.DataFrame(
            {"seconds": [0.5, float(len(calls))], "asked": [[0.1, 0.2], []]},
            index=pd.Index([1, 8], name="texts"),
        )
        table.attrs["k_max"] = 10
        return table

    def timed(texts, attempt=0):
        return stages.timing(params, "tried", {"texts": texts}, measure, attempt)

    first, again = timed([1, 8]), timed([1, 8])
    assert len(calls) == 1 and again.attrs == {"k_max": 10}
    pd.testing.assert_frame_equal(again, first)
    pd.testing.assert_frame_equal(again, measure().assign(seconds=[0.5, 1.0]))
    assert timed([1, 8], attempt=1)["seconds"].iloc[1] == 3
    assert timed([1])["seconds"].iloc[1] == 4
