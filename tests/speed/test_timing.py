import time

import pandas as pd

from icl_lib.speed.timing import seconds, with_ratios


def test_seconds_are_the_shortest_call_and_the_last_result():
    calls = []

    def work(pause):
        calls.append(pause)
        time.sleep(pause if len(calls) == 1 else 0)
        return len(calls)

    took, result = seconds(work, 0.2, repeats=3)
    assert 0 <= took < 0.2 and result == 3 and calls == [0.2] * 3


def test_ratios_compare_with_the_row_above_and_with_the_first():
    table = with_ratios(pd.DataFrame({"seconds": [8.0, 4.0, 1.0]}, index=["a", "b", "c"]))
    assert table["gain"].tolist() == [1, 2, 4] and table["ratio"].tolist() == [1, 2, 8]
    assert list(table) == ["seconds", "gain", "ratio"] and table.index.name == "way"
