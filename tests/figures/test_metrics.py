"""Metrics over THI's parameters: what is drawn is what was given, and ranges hold."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from icl_lib.figures import metrics
from icl_lib.retrieval.metrics import LABELS

POINT = {"K": 2, "xi": 0.41, "lam": 0.5}
NO_PAPER = {metric: {} for metric in LABELS}


@pytest.fixture(scope="module")
def grid():
    rows = [(K, xi, lam) for lam in (0.0, 0.5, 1.0) for K in range(4) for xi in (0.2, 0.4)]
    table = pd.DataFrame(rows, columns=["K", "xi", "lam"])
    return table.assign(rank1=40 + 3 * table.K + table.xi, mAP=30 + table.K - 2 * table.lam)


def test_metric_over_draws_the_grid_the_point_and_the_paper(grid, texts):
    paper = {"rank1": {"ICL": 41.0, "ICL+THI": 70.55}, "mAP": {"ICL": np.nan}}
    ranges = {"rank1": (35, 55), "mAP": (20, 40)}
    figure = metrics.metric_over({"raw": grid, "adapted": grid}, "K", POINT, ranges, paper, 3)
    left, right = figure.axes
    assert left.lines[0].get_xdata().tolist() == [0, 1, 2, 3]
    assert left.lines[0].get_ydata() == pytest.approx([40.4, 43.4, 46.4, 49.4])
    assert right.lines[0].get_ydata() == pytest.approx([29, 30, 31, 32])
    ring = left.lines[1]
    assert (ring.get_xdata(), ring.get_ydata()) == ([2], pytest.approx([46.4]))
    assert {"ICL 41.00", "ICL+THI 70.55 ↑"} <= set(texts(figure))
    dashed = [line.get_ydata()[0] for line in left.lines if line.get_linestyle() == "--"]
    assert dashed == [41], "70.55 lies outside"
    assert not right.texts
    assert "ξ = 0.41, λ = 0.5; ○ K = 2, ours; ⋮ the paper's K = 3" in figure.get_suptitle()
    assert [line.get_xdata() for line in right.lines if line.get_linestyle() == ":"] == [[3, 3]]


def test_five_metrics_take_two_rows_and_share_a_legend(grid):
    grid = grid.assign(rank5=grid.rank1, rank10=grid.rank1, mINP=grid.mAP)
    grids, ranges = {"val": grid, "test": grid}, dict.fromkeys(LABELS, (0, 100))
    figure = metrics.metric_over(grids, "lam", POINT, ranges, NO_PAPER, published=7)
    drawn = [ax for ax in figure.axes if ax.lines]
    assert [ax.get_ylabel() for ax in drawn] == list(LABELS.values())
    assert len(figure.axes) == 6
    assert len(figure.legends) == 1
    dotted = [line for ax in drawn for line in ax.lines if line.get_linestyle() == ":"]
    assert not dotted, "7 lies outside"


def test_changes_start_at_zero_without_rounds(grid, texts):
    point, paper = {"K": 2, "xi": 0.2, "lam": 0.5}, {"rank1": {"ICL": -0.1}}
    ranges = {"rank1": (-3, 12)}
    figure = metrics.metric_over({"": grid}, "K", point, ranges, paper, 5, change=True)
    (ax,) = figure.axes
    assert ax.lines[0].get_ydata() == pytest.approx([0, 3, 6, 9])
    assert ax.get_ylabel() == "Rank-1: change (points)"
    assert "ICL -0.10" in texts(figure)


def test_ranges_are_the_callers_until_a_curve_would_leave_them(grid):
    ranges = {"rank1": (10, 90), "mAP": (0, 50)}
    figure = metrics.metric_over({"": grid}, "xi", POINT, ranges, NO_PAPER, 0.8)
    assert [ax.get_ylim() for ax in figure.axes] == list(ranges.values())
    tight = {"rank1": (42, 45)}
    (ax,) = metrics.metric_over({"": grid}, "K", POINT, tight, NO_PAPER, 5).axes
    assert ax.get_ylim() == (37, 50), "from 40.4 to 49.4, in steps of 5"


def test_the_papers_values_stand_beside_the_frame_and_apart(grid):
    paper = {"rank1": {"ICL": 45.05, "+THI": 44.95}, "mAP": {"ICL": 12.0, "+THI": 13.0}}
    ranges = {"rank1": (35, 55), "mAP": (20, 40)}
    figure = metrics.metric_over({"": grid}, "K", POINT, ranges, paper, 3)
    figure.draw_without_rendering()
    for ax in figure.axes:
        frame = ax.get_window_extent()
        lower, upper = (text.get_window_extent() for text in ax.texts)
        assert min(lower.x0, upper.x0) > frame.x1
        assert lower.y1 <= upper.y0, "one below the other"
        assert frame.y0 - 10 < lower.y0 and upper.y1 < frame.y1 + 10
    assert [text.get_text() for text in figure.axes[0].texts] == ["+THI 44.95", "ICL 45.05"]
    assert [text.get_text() for text in figure.axes[1].texts] == ["ICL 12.00 ↓", "+THI 13.00 ↓"]


def test_heatmap_has_a_fixed_range_and_all_cells(grid, texts):
    figure = metrics.heatmap(grid, {"K": 2, "xi": 0.21, "lam": 0.5}, 0, 100)
    ax = figure.axes[0]
    (image,) = ax.images
    assert image.get_clim() == (0, 100)
    assert image.get_array().shape == (4, 2)
    assert sum(text in ("40.2", "49.4") for text in texts(figure)) == 2
    assert ax.lines[0].get_xydata().tolist() == [[1, 3]], "the best cell"
    assert ax.lines[1].get_xydata().tolist() == [[0, 2]], "the chosen cell"


def test_result_bars_show_intervals_ceiling_and_paper(texts):
    results = {
        "ICL": {"rank1": 45.0, "mAP": 33.0, "ci95": {"rank1": [43, 48], "mAP": [30, 36]}},
        "ICL+THI": {"rank1": 50.0, "mAP": 35.0, "ci95": {"rank1": [48, 52], "mAP": [32, 38]}},
    }
    paper = {"rank1": {"ICL+THI": 70.55}, "mAP": {}}
    figure = metrics.result_bars(results, paper, ceiling=88.8)
    left, right = figure.axes
    assert [bar.get_height() for bar in left.patches] == [45, 50]
    (bars,) = [c for c in left.collections if isinstance(c, matplotlib.collections.LineCollection)]
    assert bars.get_segments()[0][:, 1].tolist() == [43, 48]
    (diamonds,) = [line.get_xydata() for line in left.lines if line.get_marker() == "D"]
    assert diamonds[~np.isnan(diamonds[:, 1])].tolist() == [[1, 70.55]]
    assert left.get_ylim() == right.get_ylim() == (0, 100)
    assert sum("perfect reader" in text for text in texts(figure)) == 1
