"""What THI changes is drawn as it was computed."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from icl_lib.analysis import compare
from icl_lib.figures import thi
from icl_lib.figures.style import png


def test_changes_draw_bars_and_the_papers_values():
    names = ("rank1", "rank5", "rank10", "mAP", "mINP")
    after = dict.fromkeys(names, np.array([100.0, 100, 0, 100]))
    before = dict.fromkeys(names, np.array([0.0, 100, 0, 100])) | {"pid": np.arange(4)}
    paper = dict.fromkeys(names, np.nan) | {"rank1": 2.85}
    (ax,) = thi.changes(compare.differences(after, before), paper, (-50, 100)).axes
    assert [bar.get_height() for bar in ax.patches] == [25] * 5
    assert ax.get_ylim() == (-50, 100)
    (diamonds,) = [line.get_ydata() for line in ax.lines if line.get_marker() == "D"]
    assert diamonds[~np.isnan(diamonds)].tolist() == [2.85]
    assert [text.get_text() for text in ax.texts] == ["+25.00"] * 5


def test_the_number_of_a_fall_stands_below_its_interval_and_the_paper():
    columns = ["difference", "low", "high"]
    table = pd.DataFrame([[-0.8, -1.4, -0.2], [6.0, 4.0, 26.0]], ["rank5", "rank1"], columns)
    (ax,) = thi.changes(table, {"rank5": -2.0, "rank1": 2.85}, (-5, 20)).axes
    fall, rise = ax.texts
    assert (fall.xy, fall.get_va()) == ((0, -2), "top")
    assert (rise.xy, rise.get_va()) == ((1, 26), "bottom")
    assert ax.get_ylim() == (-5, 30)


def test_crossing_bars_show_who_enters_and_leaves():
    index = pd.MultiIndex.from_tuples(
        [
            (metric, anchor, rank)
            for metric in ("rank5", "rank10")
            for anchor, rank in (("none", 0), ("right", 0), ("wrong", 3))
        ],
        names=["metric", "anchor", "anchor's rank"],
    )
    table = pd.DataFrame({"queries": 20, "gained": [0, 1, 2] * 2, "lost": [0, 0, 3] * 2}, index)
    table["points"] = 100 * (table["gained"] - table["lost"]) / 60
    left, right = thi.crossing_bars(table, (-9, 9)).axes
    assert sum(bar.get_height() for bar in left.patches) == pytest.approx(0)
    assert min(bar.get_height() for bar in left.patches) == pytest.approx(-5)
    assert [text.get_text() for text in left.get_xticklabels()] == ["right", "wrong, rank 3"]
    assert left.get_ylim() == (-9, 9)
    assert thi.crossing_bars(table, (-2, 2)).axes[0].get_ylim() == (-5, 4), "3 of 60 leave"
    assert "Rank-10" in right.get_title()


def test_cost_curve_fills_the_pareto_front(texts):
    questions = [0, 100, 150, 180]
    line = pd.DataFrame({"K": range(4), "rank1": [50, 60, 58, 61], "questions": questions})
    line["released_questions"] = 2 * line["questions"]
    figure = thi.cost_curve({"val": (line, 100)}, recommended=1, ylim=(40, 70))
    (ax,) = figure.axes
    points = [item for item in ax.lines if item.get_marker() == "o"]
    filled, empty, ring = points
    assert filled.get_xydata().tolist() == [[0, 50], [1, 60], [1.8, 61]]
    assert empty.get_xydata().tolist() == [[1.5, 58]]
    assert ring.get_xdata().tolist() == [1]
    assert "val: ○ K = 1, recommended" in texts(figure)


def test_cost_curves_have_a_panel_each_and_numbers_that_do_not_meet():
    line = pd.DataFrame({"K": range(6), "rank1": [50, 50, 55, 60, 60.1, 60.2]})
    line["questions"] = [0, 100, 150, 180, 183, 186]
    line["released_questions"] = 100 * line["K"]
    lines = {"val": (line, 100), "test": (line.assign(rank1=line["rank1"] + 20), 100)}
    figure = thi.cost_curve(lines, recommended=3, ylim=(40, 70))
    figure.draw_without_rendering()
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim() == (40, 85), "nothing is cut"
    for ax in figure.axes:
        assert [text.get_text() for text in ax.texts] == ["0", "1", "2", "3"]
        boxes = [text.get_window_extent() for text in ax.texts]
        assert not any(one.overlaps(two) for one, two in pairwise(boxes))


def test_cause_bars_survive_a_failure_that_nobody_has():
    index = pd.Index(["wrong Yes", "none of these"], name="cause")
    counts = {"first": [2, 0], "first share (%)": [100.0, 0]}
    table = pd.DataFrame(counts, index)
    figure = thi.cause_bars({"first picture wrong": table, "nobody": 0 * table})
    assert png(figure)
    assert [bar.get_width() for bar in figure.axes[0].patches] == [100, 0]
    assert [text.get_text() for text in figure.axes[0].texts] == ["100%", "0%"]
    assert [ax.get_title() for ax in figure.axes] == [
        "first picture wrong: 2 queries",
        "nobody: 0 queries",
    ]


def test_rank_shift_puts_every_query_into_one_group(texts):
    table = pd.DataFrame(
        {
            "anchor": [-1, 3, 4, -1],
            "anchor_right": [False, True, False, False],
            "before": [5, 5, 1, 0],
            "after": [5, 1, 9, 0],
        }
    )
    figure = thi.rank_shift(table)
    groups = {"no anchor: 1 queries", "right anchor: 1 queries", "wrong anchor: 1 queries"}
    assert groups <= set(texts(figure))
    right = figure.axes[0].lines[1]
    assert right.get_xdata()[0] == pytest.approx(5, rel=0.07)
    assert right.get_ydata()[0] == pytest.approx(1, rel=0.07)
