"""Sheets of pairs, and figures of the MLLM's answers, draw what they are given."""

import pandas as pd
import pytest
from PIL import Image

from icl_lib.figures import pictures as pictures_figures
from icl_lib.figures import training
from icl_lib.figures import yes_no as yes_no_figures
from icl_lib.figures.style import GREEN, RED, png
from icl_lib.mllm import yes_no


@pytest.fixture
def table(tmp_path):
    Image.new("RGB", (20, 50), "navy").save(tmp_path / "x.png")
    rows = [("a man with $5 and _dots_", 1, 0.25, 3), ("word " * 300, 0, 0.75, 1)]
    table = pd.DataFrame(rows, columns=["caption", "label", "p", "rank"])
    return table.assign(path=str(tmp_path / "x.png"))


def test_pair_sheet_frames_and_cuts_long_texts(table):
    from matplotlib.colors import to_hex

    right, wrong = pictures_figures.pair_sheet(table).axes
    assert right.get_title() == "✓ same person, rank 3, P(Yes) 0.25"
    assert wrong.get_title() == "✗ another, rank 1, P(Yes) 0.75"
    assert [to_hex(ax.spines["left"].get_edgecolor()).upper() for ax in (right, wrong)] == [
        GREEN,
        RED,
    ]
    assert wrong.get_xlabel().endswith("…") and wrong.get_xlabel().count("\n") == 8
    assert png(pictures_figures.pair_sheet(table[["path", "caption"]])), (
        "dollar signs are no formulas"
    )
    assert png(pictures_figures.pair_sheet(table.head(0))), "no pair, no error"


def test_the_other_figures_draw_what_they_are_given():
    log = pd.DataFrame({"step": [1, 2, 3, 4], "epoch": [0.5, 1, 1.5, 2], "loss": [4.0, 3, 2, 1]})
    (ax,) = training.loss_curve(log).axes
    assert ax.lines[0].get_ydata().tolist() == [4, 3, 2, 1]
    (ax,) = yes_no_figures.shares({"a": [1, 2, 2, 2]}, "how many", whole=True).axes
    assert ax.patches[0].get_data().values.tolist() == [0, 25, 75]
    right = pd.Series({"sex": 90.0, "hat": 40.0})
    (ax,) = yes_no_figures.accuracy_bars({"off": right, "on": right / 2}, baseline=right).axes
    assert [bar.get_height() for bar in ax.patches] == [90, 40, 45, 20]
    ranks = pd.DataFrame({"accuracy": [50.0], "recall": [60.0], "false": [10.0]}, index=[1])
    left, right = yes_no_figures.over_rank({"raw": ranks}).axes
    assert left.lines[0].get_ydata().tolist() == [50] and right.lines[1].get_ydata().tolist() == [
        10
    ]
    (ax,) = yes_no_figures.reliability_curve({"raw": yes_no.reliability([0, 1], [0.2, 0.9])}).axes
    assert ax.lines[0].get_xdata().tolist() == pytest.approx([20, 90])
