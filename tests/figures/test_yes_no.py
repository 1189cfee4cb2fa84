"""How right the MLLM's answers are is drawn as sklearn and the tables say."""

import numpy as np
import pandas as pd

from icl_lib.figures import yes_no


def test_precision_and_recall_are_sklearns(texts):
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.3
    answers = {"raw": (truth, rng.random(300)), "adapted": (truth, truth * 0.9)}
    shown = set(texts(yes_no.pr_curve(answers)))
    assert {"adapted: AP 100.0%", f"always Yes: {100 * truth.mean():.1f}%"} <= shown


def test_over_rank_shows_accuracy_and_yes():
    table = pd.DataFrame(
        {"accuracy": [90.0, 80], "recall": [70.0, 60], "false": [10.0, 20]}, [1, 2]
    )
    left, right = yes_no.over_rank({"raw": table}).axes
    assert left.lines[0].get_xydata().tolist() == [[1, 90], [2, 80]]
    assert [line.get_ydata().tolist() for line in right.lines] == [[70, 60], [10, 20]]


def test_reliability_dots_grow_with_their_pairs():
    table = pd.DataFrame({"said": [10.0, 90], "true": [20.0, 80], "pairs": [10, 30]})
    (ax,) = yes_no.reliability_curve({"raw": (table, table + 1)}).axes
    before, after = ax.collections
    assert before.get_offsets().tolist() == [[10, 20], [90, 80]]
    assert before.get_sizes().tolist() == [8 + 75, 8 + 225]
    assert after.get_offsets().tolist() == [[11, 21], [91, 81]]
    assert len(before.get_facecolors()) == 0, "hollow before calibration"
    assert ax.lines[0].get_color() == ax.lines[1].get_color()


def test_accuracy_bars_stand_beside_the_baseline():
    right = pd.Series({"hat": 90.0, "bag": 60.0})
    baseline = pd.Series({"bag": 50, "hat": 40})
    (ax,) = yes_no.accuracy_bars({"off": right, "on": right - 10}, baseline).axes
    assert [bar.get_height() for bar in ax.patches] == [90, 60, 80, 50]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["hat", "bag"]
    (lines,) = ax.collections
    assert [segment[0][1] for segment in lines.get_segments()] == [40, 50]
