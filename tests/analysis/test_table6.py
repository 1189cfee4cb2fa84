"""Table 6: rows are compared on the same queries, averaged over seeds, beside the paper's."""

import numpy as np
import pandas as pd
import pytest

from icl_lib import load_params
from icl_lib.analysis import table6
from icl_lib.analysis.intervals import paired_bootstrap
from icl_lib.figures import save_table, stored_table
from icl_lib.stages.ablations import TABLE6

LEVEL = {
    "baseline": 40,
    "RDA": 42,
    "RDA + THI": 45,
    "RDA + THI + LoRA": 50,
    "THI": 42.5,
    "THI + LoRA": 46,
}
POINT, COST = (
    {"K": 5, "xi": 0.5, "lam": 0.8},
    {"questions": 100, "queries": 50, "released_questions": 150, "pictures_described": 9},
)


def runs(seeds=3, queries=200):
    made, rng = {}, np.random.default_rng(0)
    for seed in range(seeds):
        noise = rng.normal(0, 5, queries)
        made[seed] = {
            name: (
                {metric: level + seed + noise for metric in table6.METRICS}
                | {"pid": np.arange(queries) // 4},
                POINT if "THI" in name else {},
                COST if "THI" in name else {},
            )
            for name, level in LEVEL.items()
        }
    return made


@pytest.fixture(scope="module")
def told():
    made = runs()
    return (
        table6.rows_of(made),
        table6.gains_of(made),
        table6.paper_rows("rstp"),
    )


def test_steps_pair_all_rows_that_differ_by_one_part():
    parts = {row: frozenset(row.split(" + ")) - {"baseline"} for row in TABLE6}
    wanted = {
        (a, b)
        for a in TABLE6
        for b in TABLE6
        if parts[b] < parts[a] and len(parts[a] - parts[b]) == 1
    }
    assert set(table6.STEPS) == wanted and set(LEVEL) == set(TABLE6)


def test_summary_is_means_and_paired_gains_over_seeds(told):
    rows, gains, paper = told
    table = table6.summary(rows, gains, "rank1", paper)
    assert list(table.index) == list(TABLE6)
    mean = rows[rows["method"] == "RDA"]["rank1"].mean()
    assert table.loc["RDA", "rank1"] == pytest.approx(mean)
    assert table["gain"].tolist()[1:] == pytest.approx([2, 3, 5, 2.5, 3.5]) and np.isnan(
        table["gain"].iloc[0]
    )
    assert table["against"].tolist() == ["", "baseline", "RDA", "RDA + THI", "baseline", "THI"]
    assert set(table["excludes 0"][1:]) == {"3 of 3 seeds"}
    assert table.loc["RDA + THI + LoRA", "paper"] == 70.55 and table.loc[
        "RDA", "paper's gain"
    ] == pytest.approx(67.7 - 65.35)


def test_gains_are_the_paired_bootstraps_own():
    rng, made = np.random.default_rng(1), runs(1)
    values = {name: rng.normal(41, 5, 200) for name in table6.METRICS}
    made[0]["RDA"] = (values | {"pid": np.arange(200) // 4}, {}, {})
    row = table6.gains_of(made).iloc[0]
    before = made[0]["baseline"][0]
    test = paired_bootstrap(made[0]["RDA"][0]["rank1"], before["rank1"], before["pid"])
    assert {name: row[name] for name in test} == test and (row["method"], row["against"]) == (
        "RDA",
        "baseline",
    )


def test_students_interval_over_seeds(told):
    rows, gains, paper = told
    sd, mean = 1.0, rows[rows["method"] == "baseline"]["rank1"]
    half = 4.30265 * mean.std() / 3**0.5
    assert mean.std() == pytest.approx(sd, rel=0.5)
    assert (
        table6.summary(rows, gains, "rank1", paper).loc["baseline", "95% over seeds"]
        == f"{mean.mean() - half:.1f} – {mean.mean() + half:.1f}"
    )
    alone = table6.summary(rows[rows["seed"] == 0], gains[gains["seed"] == 0], "rank1", paper)
    assert alone["95% over seeds"].tolist() == [""] * 6, "a single training has no spread"


def test_the_papers_rows_and_where_they_stand():
    paper = table6.paper_rows("rstp")
    assert paper.loc["RDA + THI", ["rank1", "mAP"]].tolist() == [69.0, 53.11]
    assert paper.loc["THI + LoRA", ["rank1", "mAP", "source"]].tolist() == [68.45, 52.01, "Table 5"]
    assert np.isnan(paper.loc["THI", "rank1"]) and set(paper.index) == set(TABLE6)
    assert table6.paper_rows("ufine")[["rank1", "mAP"]].isna().all(axis=None), (
        "Table 6 leaves UFine6926 out"
    )


def test_costs_per_query_and_per_point():
    table = table6.costs_of(table6.rows_of(runs()))
    assert list(table.index) == ["RDA + THI", "RDA + THI + LoRA", "THI", "THI + LoRA"]
    assert table.loc["RDA + THI"].tolist() == pytest.approx([2, 3, 9, 100 / 3])
    made = runs(1)
    made[0]["THI"] = ({name: values - 9 for name, values in made[0]["THI"][0].items()}, POINT, COST)
    assert np.isnan(
        table6.costs_of(table6.rows_of(made)).loc["THI", "questions per point of Rank-1"]
    )


def test_stored_tables_say_the_same(told, tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path))
    rows, gains, paper = told
    params = load_params()
    for name, table in (("rows", rows), ("gains", gains)):
        save_table(table, params, name)
    again = [stored_table(params, name, "seed").reset_index() for name in ("rows", "gains")]
    pd.testing.assert_frame_equal(
        table6.summary(*again, "mAP", paper),
        table6.summary(rows, gains, "mAP", paper),
        rtol=1e-4,
    )
