"""Curves over rounds, gains, and honesty: drawn from their tables."""

import numpy as np
import pandas as pd
import pytest

from icl_lib.analysis import rounds as metrics
from icl_lib.figures import rounds


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    return {0: {method: rng.integers(1, 3, (4, 20)) for method in rounds.LOOKS}}


def test_each_method_has_a_line_in_both_metrics(runs, texts):
    table = metrics.by_round(runs, np.arange(20))
    figure = rounds.over_rounds({"One": table, "Two": table}, (0, 100))
    assert len(figure.axes) == 4
    names = [text.get_text() for text in figure.legends[0].texts]
    assert sorted(names) == sorted(rounds.LOOKS)
    flat = next(line for line in figure.axes[0].lines if line.get_label() == "no question")
    expected = table.loc["no question"].loc["rank1"]["value"]
    assert flat.get_ydata().tolist() == expected.tolist()
    assert {"One", "Two", "round"} <= set(texts(figure))


def test_gains_have_a_panel_for_each_pair(runs):
    pairs = [("person, most telling", "person, random"), ("no question", "person, random")]
    table = metrics.gained(runs, np.arange(20), pairs)
    table = pd.concat({"One": table, "Two": table}, names=["dataset"])
    figure = rounds.gains_by_round(table, pairs, (-60, 60))
    assert [ax.get_title().split("\n")[0] for ax in figure.axes] == [pairs[0][0], pairs[1][0]]
    drawn = figure.axes[1].containers[0].lines[0].get_ydata()
    assert (
        drawn.tolist() == table.loc["One"].xs(pairs[1], level=("method", "over"))["gain"].tolist()
    )


def test_honesty_has_a_line_for_each_rate_of_not_sure():
    index = pd.MultiIndex.from_product(
        [["as on val", "known"], [0.0, 0.5], [0.0, 0.3]], names=["belief", "forget", "err"]
    )
    gain = np.arange(8.0)
    table = pd.DataFrame({"gain": gain, "low": gain - 1, "high": gain + 1}, index)
    left, right = rounds.honesty(table, (-5, 10)).axes
    assert left.lines[1].get_ydata().tolist() == [2, 3]
    assert right.lines[0].get_xdata().tolist() == [0, 30]
    assert [text.get_text() for text in left.get_legend().texts] == ["0% not sure", "50% not sure"]
