"""Several trainings of the same comparison: means, spread, and Student's interval."""

import numpy as np
import pandas as pd
import pytest

from icl_lib.analysis.compare import over_seeds
from icl_lib.analysis.intervals import spread
from icl_lib.figures.training import noise_lines, seed_lines


def runs(gains, base=40.0, queries=50):
    rng, made = np.random.default_rng(0), {}
    for seed, gain in enumerate(gains):
        before = {name: rng.normal(base, 5, queries) for name in ("rank1", "mAP")}
        made[seed] = {
            "without": before,
            "with": {name: values + gain for name, values in before.items()},
        }
    return made


def test_each_seed_is_compared_with_itself():
    made = runs([1.0, 3.0, 2.0])
    table = over_seeds(made)
    assert table["rank1 gain"].tolist() == pytest.approx([1, 3, 2]) and list(table.index) == [
        0,
        1,
        2,
    ]
    assert table.loc[1, "mAP with"] == pytest.approx(made[1]["with"]["mAP"].mean())


def test_students_interval_of_three_seeds():
    told = spread(over_seeds(runs([1.0, 3.0, 2.0]))).loc["rank1 gain"]
    assert told["mean"] == pytest.approx(2) and told["sd"] == pytest.approx(1)
    half = 4.30265 / 3**0.5  # t of 97.5% with two degrees of freedom
    assert (told["low"], told["high"]) == pytest.approx((2 - half, 2 + half), abs=1e-4)


def test_one_seed_has_no_spread():
    told = spread(over_seeds(runs([1.0])))
    assert told["mean"].notna().all() and told[["sd", "low", "high"]].isna().all(axis=None)


def test_a_line_a_seed_and_a_panel_a_metric():
    figure = seed_lines(over_seeds(runs([1.0, 2.0])), ylim=(30, 60))
    assert [len(ax.lines) for ax in figure.axes] == [2, 2] and figure.axes[1].get_ylim() == (30, 60)
    line = figure.axes[0].lines[1]
    assert np.diff(line.get_ydata()) == pytest.approx([2])


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
    figure = noise_lines(table)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "without CCD",
        "with CCD",
    ]
    assert figure.axes[0].lines[0].get_ydata().tolist() == [40, 20]
    assert figure.axes[0].lines[1].get_ydata().tolist() == [38, 18], "the lower caps"
