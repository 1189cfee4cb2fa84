"""Trainings beside the first of their seed: gains, means, and figures that draw what they are given."""

import numpy as np
import pandas as pd
import pytest

from icl_lib.analysis.compare import beside_first, over_trainings
from icl_lib.analysis.intervals import paired_bootstrap
from icl_lib.figures.training import trade_curve, training_dots


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    made = {}
    for seed, gain in ((0, 2.0), (1, -1.0)):
        start = {name: rng.uniform(0, 100, 40) for name in ("rank1", "mAP")}
        made[seed] = {
            "first": start,
            "other": {name: values + gain for name, values in start.items()},
        }
    return made


def test_gains_are_over_the_same_seeds_first(runs):
    table = beside_first(runs)
    assert (
        table.index.tolist() == [0, 0, 1, 1]
        and table["training"].tolist() == ["first", "other"] * 2
    )
    assert table["rank1 gain"].tolist() == pytest.approx([0, 2, 0, -1])
    assert table["rank1"].iloc[3] == pytest.approx(runs[1]["other"]["rank1"].mean())
    test = paired_bootstrap(runs[0]["other"]["mAP"], runs[0]["first"]["mAP"], 0)
    assert table["mAP gain 95%"].tolist()[:2] == ["–", f"{test['low']:+.2f} – {test['high']:+.2f}"]


def test_means_over_seeds_keep_the_order(runs):
    told = over_trainings(beside_first(runs))
    assert told.index.tolist() == ["first", "other"]
    assert told.loc["other", "rank1 gain"] == pytest.approx(0.5)
    assert told.loc["other", "seeds with more rank1"] == "1 of 2"


def test_figures(runs):
    table = beside_first(runs)
    left, right = training_dots(table, xlim=(20, 70)).axes
    assert left.get_xlim() == right.get_xlim() == (20, 70)
    assert [label.get_text() for label in left.get_yticklabels()] == ["first", "other"]
    assert left.lines[0].get_xdata().tolist() == pytest.approx(table.loc[0, "rank1"].tolist())
    trade = pd.DataFrame({"contradicted": [40.0, 20.0], "true kept": [100.0, 80.0]}, index=[0, 50])
    (ax,) = trade_curve(trade, chosen=50).axes
    assert ax.lines[0].get_ydata().tolist() == [100, 80] and list(ax.lines[2].get_xdata()) == [
        50,
        50,
    ]
