"""Comparisons hold what the bootstrap says, and rules do what they state."""

import numpy as np
import pandas as pd
import pytest

from icl_lib.analysis import compare
from icl_lib.analysis.intervals import holm, paired_bootstrap
from icl_lib.retrieval.metrics import LABELS, NAMES


def values(rank1):
    rank1 = np.asarray(rank1, dtype=float)
    return dict.fromkeys(LABELS, rank1) | {"pid": np.arange(len(rank1)) // 2}


def line(rank1):
    return pd.DataFrame({"K": range(len(rank1)), "rank1": rank1})


def test_compared_tests_against_the_row_above():
    worse, better = values([0, 0, 100, 100] * 50), values([0, 100, 100, 100] * 50)
    table = compare.compared({"a": worse, "b": better, "c": better})
    assert table["rank1"].tolist() == [50, 75, 75] and table.loc["b", "rank1 gain"] == 25
    assert table.loc["b", "rank1 excludes 0"] and not table.loc["c", "rank1 excludes 0"]
    assert pd.isna(table.loc["a", "mAP gain"])
    test = paired_bootstrap(better["rank1"], worse["rank1"], worse["pid"])
    assert table.loc["b", "rank1 gain 95%"] == f"{test['low']:+.2f} – {test['high']:+.2f}"
    gains = compare.differences(worse, better)
    assert gains.loc["mINP", "difference"] == -25 and gains["excludes_0"].all() and len(gains) == 5


def test_side_by_side_compares_with_the_first():
    first, every = [100, 0, 0, 0], [100] * 4
    rows = {"first": values(first), "same": values(first), "all": values(every)}
    table = compare.side_by_side(rows)
    assert table.loc[("same", "mAP"), "gain"] == 0
    assert not table.loc[("same", "mAP"), "excludes_0"]
    assert table.loc[("all", "rank5"), "gain"] == 75
    assert table.loc[("all", "rank5"), "excludes_0"]
    assert table.loc["first", "p, Holm"].isna().all()
    alone = [paired_bootstrap(r["mAP"], first, [0, 0, 1, 1])["p"] for r in list(rows.values())[1:]]
    assert table.loc[["same", "all"], "p, Holm"].tolist() == pytest.approx(
        holm(np.repeat(alone, len(NAMES))).tolist()
    )
    assert list(compare.wide(table).index) == list(rows)
    assert list(compare.wide(table)) == list(NAMES)
    assert compare.wide(table).loc["same", "mAP"] == "25.00 (+0.00, +0.00 to +0.00)"


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    made = {}
    for seed, gain in ((0, 2.0), (1, -1.0)):
        start = {name: rng.uniform(0, 100, 40) for name in NAMES}
        made[seed] = {
            "first": start | {"pid": np.arange(40)},
            "other": {name: values + gain for name, values in start.items()}
            | {"pid": np.arange(40)},
        }
    return made


def test_gains_are_over_the_same_seeds_first(runs):
    table = compare.beside_first(runs)
    assert (
        table.index.tolist() == [0, 0, 1, 1]
        and table["training"].tolist() == ["first", "other"] * 2
    )
    assert table["rank1 gain"].tolist() == pytest.approx([0, 2, 0, -1])
    assert table["rank1"].iloc[3] == pytest.approx(runs[1]["other"]["rank1"].mean())
    test = paired_bootstrap(runs[0]["other"]["mAP"], runs[0]["first"]["mAP"])
    assert table["mAP gain 95%"].tolist()[:2] == ["–", f"{test['low']:+.2f} – {test['high']:+.2f}"]


def test_means_over_seeds_keep_the_order(runs):
    told = compare.over_trainings(compare.beside_first(runs))
    assert told.index.tolist() == ["first", "other"]
    assert told.loc["other", "rank1 gain"] == pytest.approx(0.5)
    assert told.loc["other", "seeds with more rank1"] == "1 of 2"


def test_each_seed_is_compared_with_itself(runs):
    table = compare.over_seeds(runs)
    assert table["rank1 gain"].tolist() == pytest.approx([2, -1])
    assert list(table.index) == [0, 1]
    assert table.loc[1, "mAP other"] == pytest.approx(runs[1]["other"]["mAP"].mean())


def test_averages_are_over_seeds_and_their_intervals_over_people(runs):
    table = compare.averaged(runs)
    means = [run["other"]["mAP"].mean() for run in runs.values()]
    row = table.loc[("other", "mAP")]
    assert row["percent"] == pytest.approx(np.mean(means)) and row["seeds"] == 2
    assert row["sd over seeds"] == pytest.approx(np.std(means, ddof=1))
    assert row["low"] < row["percent"] < row["high"]
    assert len(table) == 2 * len(NAMES)
    assert compare.averaged({0: runs[0]})["sd over seeds"].isna().all()


def test_grid_at_takes_the_nearest_value_held():
    grid = pd.DataFrame({"xi": [0.2, 0.4, 0.2, 0.4], "lam": [0.0, 0, 1, 1], "K": 1})
    assert compare.grid_at(grid, xi=0.39, lam=0.6).to_dict("records") == [
        {"xi": 0.4, "lam": 1.0, "K": 1}
    ]


def test_recommended_K_follows_its_rule():
    assert compare.recommended_K(line([50, 58.9, 59, 60])) == 2, (
        "59 is nine tenths of the way from 50 to 60"
    )
    assert compare.recommended_K(line([50, 60, 55, 60])) == 1
    assert compare.recommended_K(line([50, 49, 48, 47])) == 0, "where asking only costs, don't ask"
    with pytest.raises(ValueError, match="one row per K"):
        compare.recommended_K(pd.concat([line([50, 60])] * 2))
