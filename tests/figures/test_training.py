"""Trainings are drawn as they were: by epoch, by seed, with their intervals."""

import numpy as np
import pandas as pd
import pytest

from icl_lib.figures import training


def test_training_curves_mark_the_epoch_that_is_kept():
    log = pd.DataFrame(
        {"epoch": [0, 1, 2], "loss": [9.0, 5, 4], "rank1": [10.0, 30, 29], "mAP": [5.0, 6, 20]}
    )
    right = training.training_curves({"RDA": log}).axes[1]
    (star,) = [line for line in right.lines if line.get_marker() == "*"]
    assert star.get_xydata().tolist() == [[2, 29]], "by Rank-1 + mAP"
    without_val = training.training_curves({"RDA": log.drop(columns="rank1")})
    assert len(without_val.axes[0].lines) == 1
    assert not without_val.axes[1].lines


def test_loss_curve_shows_what_was_logged_and_its_mean():
    log = pd.DataFrame({"step": [1, 2, 3, 4], "epoch": [0.5, 1, 1.5, 2], "loss": [4.0, 3, 2, 1]})
    (ax,) = training.loss_curve(log).axes
    assert ax.lines[0].get_ydata().tolist() == [4, 3, 2, 1]


def test_one_line_per_seed_and_one_panel_per_metric():
    columns = ["rank1 without", "rank1 with", "rank1 gain", "mAP without", "mAP with", "mAP gain"]
    table = pd.DataFrame([[40.0, 41, 1, 30, 31, 1], [40.0, 42, 2, 30, 32, 2]], columns=columns)
    figure = training.seed_lines(table, (30, 60))
    assert [len(ax.lines) for ax in figure.axes] == [2, 2]
    assert figure.axes[1].get_ylim() == (30, 60)
    assert figure.axes[0].lines[1].get_ydata().tolist() == [40, 42]
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["without", "with"]


def test_training_dots_show_every_seed_and_their_mean():
    table = pd.DataFrame(
        {"training": ["first", "other"] * 2, "rank1": [40.0, 42, 41, 39], "mAP": [30.0] * 4},
        index=pd.Index([0, 0, 1, 1], name="seed"),
    )
    left, right = training.training_dots(table, (20, 70)).axes
    assert left.get_xlim() == right.get_xlim() == (20, 70)
    assert [label.get_text() for label in left.get_yticklabels()] == ["first", "other"]
    assert left.lines[0].get_xdata().tolist() == [40, 42]
    assert left.lines[2].get_xdata().tolist() == [40.5, 40.5]


def test_trade_curve_marks_the_chosen_share():
    trade = pd.DataFrame({"contradicted": [40.0, 20.0], "true kept": [100.0, 80.0]}, index=[0, 50])
    (ax,) = training.trade_curve(trade, chosen=50).axes
    assert ax.lines[0].get_ydata().tolist() == [100, 80]
    assert list(ax.lines[2].get_xdata()) == [50, 50]


def test_noise_lines_show_both_ways_of_training():
    table = pd.DataFrame(
        [
            {
                "wrong pairs (%)": share,
                "CCD": ccd,
                "rank1": 40.0 - share,
                "mAP": 30.0,
                "ci95": {"rank1": [38.0 - share, 43.0 - share], "mAP": [29, 31]},
            }
            for share in (0, 20)
            for ccd in (True, False)
        ]
    )
    left = training.noise_lines(table).axes[0]
    legend = [text.get_text() for text in left.get_legend().get_texts()]
    assert legend == ["without CCD", "with CCD"]
    assert left.lines[0].get_ydata().tolist() == [40, 20]
    assert left.lines[1].get_ydata().tolist() == [38, 18], "the lower caps"


def test_believed_share_is_in_percent():
    log = pd.DataFrame({"epoch": [0, 1], "clean": [0.5, 0.75]})
    (ax,) = training.believed_share({"with RDA": log}).axes
    assert ax.lines[0].get_ydata().tolist() == [50, 75]
    assert ax.get_ylim() == (0, 100)


def test_right_and_wrong_pairs_are_drawn_apart_where_the_truth_is_known():
    right, believed = np.array([True] * 80 + [False] * 20), []
    for kept_right, kept_wrong in ((60, 10), (72, 3)):
        clean = np.zeros(100, bool)
        clean[:kept_right], clean[80 : 80 + kept_wrong] = True, True
        both = (clean & right).sum()
        believed.append((clean.mean(), both / clean.sum(), both / right.sum()))
    log = pd.DataFrame(believed, columns=["clean", "clean_precision", "clean_recall"])
    (ax,) = training.believed_share({"20% wrong": log.assign(epoch=[0, 1])}).axes
    assert [line.get_label() for line in ax.lines] == ["right pairs", "wrong pairs"]
    assert ax.lines[0].get_ydata() == pytest.approx([75, 90])
    assert ax.lines[1].get_ydata() == pytest.approx([50, 15])


def test_gains_are_drawn_at_their_steps_with_their_intervals():
    row = {"before": 50.0, "after": 52.0, "difference": 2.0, "low": 0.5, "high": 3.0}
    metrics = pd.DataFrame([row, row], index=pd.Index(["rank1", "mAP"], name="metric"))
    table = pd.concat({200: metrics, 400: metrics}, names=["step"])
    left, right = training.gain_by_start(table).axes
    assert left.lines[0].get_xdata().tolist() == [200, 400]
    (bars,) = right.containers[0].lines[2]
    assert bars.get_segments()[0][:, 1].tolist() == [0.5, 3.0]


def test_a_loss_has_one_colour_in_all_panels():
    log = pd.DataFrame(
        [
            {"stage": "tower", "step": 1, "loss": 3.0, "accuracy": 0.5},
            {"stage": "tower", "step": 2, "loss": 2.0, "accuracy": 0.5, "held_out_accuracy": 70.0},
            {"stage": "both", "step": 1, "loss": 3.0, "yes_no": 1.0, "vqa": 2.0},
            {"stage": "vqa", "step": 1, "loss": 2.0, "vqa": 2.0, "held_out_attributes": 80.0},
        ]
    )
    *panels, twin, _, last = training.pretraining_curves(log).axes
    assert [ax.get_title() for ax in panels] == ["tower", "both", "vqa"]
    assert [len(ax.lines) for ax in (*panels, twin)] == [1, 2, 1, 2]
    assert panels[2].lines[0].get_color() == panels[1].lines[1].get_color()
    assert twin.lines[0].get_ydata().tolist() == [50, 50]
    assert twin.lines[1].get_xydata().tolist() == [[2, 70]]
    assert last.lines[0].get_xydata().tolist() == [[1, 80]]
