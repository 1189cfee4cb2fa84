"""Figures of the variants show every variant, its interval and its value."""

import numpy as np
import pandas as pd
import pytest

from icl_lib.figures import variants
from icl_lib.figures.style import GREEN, RED
from icl_lib.retrieval.metrics import NAMES


def test_gains_are_coloured_where_their_interval_leaves_out_0():
    index = pd.MultiIndex.from_product([["Algorithm 1", "better", "worse"], NAMES])
    table = pd.DataFrame({"gain": 0.0, "low": 0.0, "high": 0.0, "excludes_0": False}, index)
    table.index.names = ["method", "metric"]
    table.loc[("better", "mAP")] = [1.0, 0.5, 1.5, True]
    table.loc[("worse", "mAP")] = [-1.0, -1.5, -0.5, True]
    figure = variants.gains(table, (-5, 5))
    lines = figure.axes[NAMES.index("mAP")].lines
    bars = [line for line in lines if len(line.get_xdata()) == 2][:2]
    assert [bar.get_xdata().tolist() for bar in bars] == [[0.5, 1.5], [-1.5, -0.5]]
    assert [bar.get_color() for bar in bars] == [GREEN, RED]


def test_over_values_marks_the_chosen_value():
    table = pd.DataFrame({"value": [1, 5, np.inf], "rank1": [50.0, 52, 51], "rank10": 80.0})
    table["mAP"] = 41.0
    (ax,) = variants.over_values({"one": (table, "depth", np.inf, 5)}).axes
    assert ax.lines[0].get_ydata().tolist() == [-1, 1, 0]
    assert list(ax.lines[3].get_xdata()) == [1, 1]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "5", "∞"]
    assert ax.get_title() == "one: 5 chosen"


def test_saved_and_lost_point_up_and_down():
    table = pd.DataFrame(
        {"saved": [3], "lost": [1], "newly repaired": [9], "newly harmed": [2]}, ["argmax"]
    )
    (ax,) = variants.saved_and_lost(table, limit=5).axes
    assert [bar.get_height() for bar in ax.patches] == [3, -1, 9, -2]
    assert [text.get_text() for text in ax.texts] == ["3", "1", "9", "2"]


def test_the_rate_map_shows_gains_and_real_answerers(texts):
    rates = np.repeat([0.0, 50, 100], 3), np.tile([0.0, 50, 100], 3)
    table = pd.DataFrame({"TPR": rates[0], "FPR": rates[1], "gain": rates[0] - rates[1]})
    figure = variants.rate_heatmap(table, {"raw": ({"TPR": 60.0, "FPR": 10.0}, 3.0)})
    assert figure.axes[0].images[0].get_extent() == pytest.approx([-25, 125, -25, 125])
    assert "raw: TPR 60%, FPR 10%; measured gain +3.0" in texts(figure)
    assert {"+100", "-50"} <= set(texts(figure))
