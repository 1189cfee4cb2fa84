"""Comparisons hold what the bootstrap says, rules do what they state, and figures draw what they are
given.
"""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from icl_lib.analysis import compare, intervals
from icl_lib.analysis.intervals import bootstrap_ci, paired_bootstrap
from icl_lib.figures import style, training
from icl_lib.figures import thi as thi_figures


def values(rank1):
    return {
        name: np.asarray(rank1, dtype=float) for name in ("rank1", "rank5", "rank10", "mAP", "mINP")
    }


def line(rank1, questions=(0, 100, 150, 180)):
    return pd.DataFrame(
        {
            "K": range(len(rank1)),
            "rank1": rank1,
            "questions": questions[: len(rank1)],
            "released_questions": [2 * q for q in questions[: len(rank1)]],
        }
    )


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def test_fixed_range_depends_on_the_start_alone():
    assert style.fixed_range(52.6) == (40, 70) and style.fixed_range(54.9) == (40, 70)
    assert style.fixed_range(3) == (0, 20) and style.fixed_range(95) == (85, 100)
    assert style.fixed_range(68, 52) == (40, 85), "all curves are within"


def test_compared_tests_against_the_row_above():
    worse, better = values([0, 0, 100, 100] * 50), values([0, 100, 100, 100] * 50)
    table = compare.compared({"a": worse, "b": better, "c": better})
    assert table["rank1"].tolist() == [50, 75, 75] and table.loc["b", "rank1 gain"] == 25
    assert table.loc["b", "rank1 excludes 0"] and not table.loc["c", "rank1 excludes 0"]
    assert pd.isna(table.loc["a", "mAP gain"])
    test = paired_bootstrap(better["rank1"], worse["rank1"])
    assert table.loc["b", "rank1 gain 95%"] == f"{test['low']:+.2f} – {test['high']:+.2f}"
    gains = compare.differences(worse, better)
    assert gains.loc["mINP", "difference"] == -25 and gains["excludes_0"].all() and len(gains) == 5


def test_people_are_drawn_with_all_their_queries():
    rng = np.random.default_rng(0)
    people, each = 200, 10
    alike, pids = np.repeat(rng.normal(0, 10, people), each), np.repeat(np.arange(people), each)
    low, high = intervals.people_ci(alike, pids)
    assert high - low == pytest.approx(2 * 1.96 * alike.std() / people**0.5, rel=0.1), (
        "ten equal queries are one"
    )
    alone = intervals.people_ci(alike, np.arange(len(alike)))
    query = bootstrap_ci(alike)
    assert alone == pytest.approx(query, abs=0.05) and high - low > 2.5 * (alone[1] - alone[0])
    odd = intervals.people_ci([1.0, 1, 1, 0], [7, 7, 7, 9])
    assert odd == (0, 1), "a person who is drawn alone is the whole mean"
    table = compare.differences(values(alike), values(0 * alike), pids=pids)
    assert table.loc["rank1", ["people low", "people high"]].tolist() == [low, high]


def test_recommended_K_follows_its_rule():
    assert compare.recommended_K(line([50, 58.9, 59, 60])) == 2, (
        "59 is nine tenths of the way from 50 to 60"
    )
    assert compare.recommended_K(line([50, 60, 55, 60])) == 1
    assert compare.recommended_K(line([50, 49, 48, 47])) == 0, "where asking only costs, don't ask"
    with pytest.raises(ValueError, match="one row a K"):
        compare.recommended_K(pd.concat([line([50, 60])] * 2))


def test_changes_draws_bars_and_the_paper():
    table = compare.differences(values([100, 100, 0, 100]), values([0, 100, 0, 100]))
    figure = thi_figures.changes(table, {"rank1": 2.85, "mAP": np.nan}, ylim=(-50, 100))
    (ax,) = figure.axes
    assert [bar.get_height() for bar in ax.patches] == [25] * 5 and ax.get_ylim() == (-50, 100)
    diamonds = [item.get_ydata()[0] for item in ax.lines if item.get_marker() == "D"]
    assert [value for value in diamonds if not np.isnan(value)] == [2.85]


def test_cost_curve_fills_the_pareto_front():
    figure = thi_figures.cost_curve(
        {"val": (line([50, 60, 58, 61]), 100)}, recommended=1, ylim=(40, 70)
    )
    (ax,) = figure.axes
    filled = [
        item
        for item in ax.lines
        if item.get_marker() == "o" and item.get_markerfacecolor() not in ("white", "none")
    ]
    assert filled[0].get_ydata().tolist() == [50, 60, 61] and filled[0].get_xdata().tolist() == [
        0,
        1,
        1.8,
    ]
    ring = [item for item in ax.lines if item.get_markersize() == 13]
    assert ring[0].get_xdata().tolist() == [1] and "○ K = 1, recommended" in texts(figure)


def test_believed_share_is_in_percent():
    figure = training.believed_share(
        {"with RDA": pd.DataFrame({"epoch": [0, 1], "clean": [0.5, 0.75]})}
    )
    assert figure.axes[0].lines[0].get_ydata().tolist() == [50, 75] and figure.axes[
        0
    ].get_ylim() == (0, 100)


def test_right_and_wrong_pairs_are_told_apart_where_the_truth_is_known():
    right, believed = np.array([True] * 80 + [False] * 20), []
    for kept_right, kept_wrong in ((60, 10), (72, 3)):
        clean = np.zeros(100, bool)
        clean[:kept_right], clean[80 : 80 + kept_wrong] = True, True
        believed.append(
            (clean.mean(), (clean & right).sum() / clean.sum(), (clean & right).sum() / right.sum())
        )
    log = pd.DataFrame(believed, columns=["clean", "clean_precision", "clean_recall"]).assign(
        epoch=[0, 1]
    )
    figure = training.believed_share({"20% wrong": log})
    assert [line.get_label() for line in figure.axes[0].lines] == ["right pairs", "wrong pairs"]
    assert figure.axes[0].lines[0].get_ydata() == pytest.approx([75, 90])
    assert figure.axes[0].lines[1].get_ydata() == pytest.approx([50, 15])


def test_rank_shift_puts_every_query_into_one_group():
    table = pd.DataFrame(
        {
            "anchor": [-1, 3, 4, -1],
            "anchor_right": [False, True, False, False],
            "before": [5, 5, 1, 0],
            "after": [5, 1, 9, 0],
        }
    )
    figure = thi_figures.rank_shift(table)
    assert {"no anchor: 1 queries", "right anchor: 1 queries", "wrong anchor: 1 queries"} <= set(
        texts(figure)
    )
    right = figure.axes[0].lines[1]
    assert right.get_xdata()[0] == pytest.approx(5, rel=0.07) and right.get_ydata()[
        0
    ] == pytest.approx(1, rel=0.07)
