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
    assert figure.axes[0].get_xlim() == (-5, 5)
    table.loc[("worse", "mAP"), "low"] = -11
    assert variants.gains(table, (-5, 5)).axes[0].get_xlim() == (-15, 5), (
        "the interval stays inside"
    )


def test_over_values_marks_the_chosen_value():
    table = pd.DataFrame({"value": [1, 5, np.inf], "rank1": [50.0, 52, 51], "rank10": 80.0})
    table["mAP"] = 41.0
    (ax,) = variants.over_values({"one": (table, "depth", np.inf, 5)}).axes
    assert ax.lines[0].get_ydata().tolist() == [-1, 1, 0]
    assert list(ax.lines[3].get_xdata()) == [1, 1]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["1", "5", "∞"]
    assert ax.get_title() == "one: 5 chosen"
    assert ax.get_ylim() == (-5, 5)


def test_curves_over_values_stay_in_their_frame():
    calm = pd.DataFrame({"value": [0.0, 1], "rank1": [50.0, 51], "rank10": 80.0, "mAP": 41.0})
    steep = calm.assign(rank1=[50.0, 38])
    tables = {"calm": (calm, "a", 0, 0), "steep": (steep, "b", 0, 0)}
    assert [ax.get_ylim() for ax in variants.over_values(tables).axes] == [(-15, 5)] * 2


def test_saved_and_lost_point_right_and_left_and_stay_in_their_frame():
    table = pd.DataFrame(
        {"saved": [3, 1], "lost": [1, 0], "newly repaired": [9, 0], "newly harmed": [33, 2]},
        ["argmax", "gate 0.6"],
    )
    left, right = variants.saved_and_lost(table).axes
    assert [bar.get_width() for bar in left.patches] == [3, 1, -1, 0]
    assert [text.get_text() for text in right.texts] == ["9", "33", "0", "2"]
    assert left.get_xlim() == pytest.approx((-23, 23))
    assert right.get_xlim() == pytest.approx((-46, 46)), "33 lies beyond 20"


def test_the_rate_map_shows_gains_and_real_answerers(texts):
    rates = np.repeat([0.0, 50, 100], 3), np.tile([0.0, 50, 100], 3)
    table = pd.DataFrame({"TPR": rates[0], "FPR": rates[1], "gain": rates[0] - rates[1]})
    figure = variants.rate_heatmap(table, {"raw": ({"TPR": 60.0, "FPR": 10.0}, 3.0)})
    assert figure.axes[0].images[0].get_extent() == pytest.approx([-25, 125, -25, 125])
    assert "raw: TPR 60%, FPR 10%; measured gain +3.0" in texts(figure)
    assert {"+100", "-50"} <= set(texts(figure))
    assert figure.axes[0].images[0].get_clim() == (-100, 100), "beyond 40"
    written = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert written[(50, 50)] == "+0" and (0, 50) not in written, "the mark stands there"
