"""Tables 1 to 5 as figures: every value is drawn where it belongs, gaps stay empty."""

import numpy as np
import pandas as pd
import pytest

from icl_lib.figures import paper_tables
from icl_lib.retrieval.metrics import NAMES

INDEX = ["group", "bar", "metric"]


@pytest.fixture
def table():
    keys = [(g, b, m) for g in ("RSTP", "CUHK") for b in ("RDE", "ICL") for m in ("rank1", "mAP")]
    percent = np.arange(40.0, 40 + len(keys))
    values = {"percent": percent, "low": percent - 2, "high": percent + 3}
    return pd.DataFrame(values, pd.MultiIndex.from_tuples(keys, names=INDEX))


def test_bars_have_the_values_their_intervals_and_the_papers_diamonds(table):
    paper = pd.Series({("RSTP", "ICL", "rank1"): 67.7})
    figure = paper_tables.grouped_bars(table, paper)
    above, below = figure.axes
    drawn = {bar.get_height(): bar for bar in above.patches}
    assert sorted(drawn) == table.xs("rank1", level="metric")["percent"].sort_values().tolist()
    assert sorted(bar.get_height() for bar in below.patches) == [41, 43, 45, 47]
    marks = [line for line in above.lines if line.get_marker() == "D"]
    ((x, y),) = [point for m in marks for point in m.get_xydata() if np.isfinite(point[1])]
    bar = drawn[table.loc[("RSTP", "ICL", "rank1"), "percent"]]
    assert x == pytest.approx(bar.get_x() + bar.get_width() / 2) and y == 67.7
    assert [label.get_text() for label in above.get_xticklabels()] == ["RSTP", "CUHK"]
    assert above.get_ylim() == (0, 100)


def test_a_method_missing_on_one_data_set_leaves_a_gap(table):
    figure = paper_tables.grouped_bars(
        table.sort_index().drop(("CUHK", "ICL")), pd.Series(dtype=float)
    )
    assert len([b for b in figure.axes[0].patches if np.isfinite(b.get_height())]) == 3


def test_the_gain_of_each_step_stands_in_its_panel_and_never_leaves_the_frame():
    keys = [(g, m, n) for g in ("RSTP", "CUHK") for m in ("ICL", "ICL + THI") for n in NAMES]
    gain = np.linspace(-3, 30, len(keys))
    table = pd.DataFrame(
        {"gain": gain, "low": gain - 1, "high": gain + 1},
        pd.MultiIndex.from_tuples(keys, names=["group", "method", "metric"]),
    )
    steps = {"ICL": "+ RDA", "ICL + THI": "+ THI"}
    figure = paper_tables.step_gains(table, steps, (-5, 20))
    assert len(figure.axes) == 2 * len(NAMES)
    panel = figure.axes[len(NAMES) + 1]  # + THI, Rank-5
    dots = [line for line in panel.lines if line.get_marker() in "o<>"]
    assert [dot.get_ydata()[0] for dot in dots] == [0, 1]
    wanted = table.xs(("ICL + THI", "rank5"), level=("method", "metric"))["gain"]
    assert dots[0].get_xdata()[0] == pytest.approx(wanted["RSTP"])
    assert wanted["CUHK"] > 20 and dots[1].get_xdata()[0] == 20 and dots[1].get_marker() == ">"


def test_maps_share_one_range_and_leave_missing_pairs_empty(texts):
    ours = pd.DataFrame([[70.0, np.nan], [40.5, 60.0]], ["A", "B"], ["A", "B"])
    figure = paper_tables.domain_maps(
        {"ours": ours, "the paper": ours.iloc[::-1] + 1, "gain": ours * 0}, ["A", "B"]
    )
    maps = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in maps] == ["ours", "the paper", "gain"]
    assert {ax.images[0].get_clim() for ax in maps} == {(0, 100)}
    assert maps[1].images[0].get_array()[0, 0] == 71.0  # the same order in each map
    written = texts(figure)
    assert "70.0" in written and "41.5" in written and "nan" not in written
