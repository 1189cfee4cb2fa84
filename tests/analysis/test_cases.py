"""Every query gets the outcome that its ranking says; examples are chosen by a rule alone."""

import numpy as np
import pandas as pd
import pytest
from interactions import QUERIES, XI, interaction

from icl_lib.analysis import cases
from icl_lib.analysis.answerer import simulated_trace
from icl_lib.thi import questions, replay


@pytest.fixture
def table(run):
    return cases.cases(run, *replay(run.sim, run.sim_refined, run.trace, 3, XI, 0.2))


def test_every_query_has_the_outcome_that_its_ranking_says(table):
    assert table["outcome"].tolist() == [
        "harmed",
        "repaired",
        "wrong anchor",
        "no anchor, wrong",
        "no anchor, wrong",
        "no anchor, wrong",
        "right anchor",
        "not in gallery",
    ]
    assert table["before"].tolist() == [1, 3, 2, 2, 2, 3, 1, 0]
    assert table["after"][:3].tolist() == [2, 1, 2]
    assert table["anchor_rank"].tolist() == [2, 3, 1, 0, 0, 0, 1, 0]
    assert table["p_yes"][:3].tolist() == [0.9] * 3
    assert table["p_yes"][3:6].isna().all()
    assert table["AP_after"][1] == 100
    assert table["AP_after"][0] < table["AP_before"][0]


def test_counts_cover_every_query_once(table):
    counts = cases.outcome_counts(table)
    assert counts.index.tolist() == list(cases.OUTCOMES)
    assert counts["queries"].sum() == len(QUERIES)
    assert counts.loc["repaired", "share (%)"] == pytest.approx(100 / 8)
    assert counts.loc["harmed", "change of AP"] < 0


def test_pick_takes_the_largest_moves_and_each_person_once():
    table = pd.DataFrame(
        {
            "query": range(5),
            "pid": [1, 1, 2, 3, 4],
            "outcome": ["repaired"] * 4 + ["harmed"],
            "before": [9, 8, 3, 3, 1],
            "after": [1, 1, 1, 1, 50],
        }
    )
    assert cases.pick(table, "repaired", 2) == [0, 2]
    assert cases.pick(table, "repaired", 9) == [0, 2, 3]
    assert cases.pick(table, "wrong anchor", 3) == []
    with pytest.raises(ValueError, match="harmed"):
        cases.pick(table, "hurt", 1)


def test_as_asked_holds_what_algorithm_1_asks():
    rng = np.random.default_rng(0)
    pids, gallery = rng.integers(0, 12, 40), rng.integers(0, 12, 30)
    sim = rng.random((40, 30))
    trace = simulated_trace(np.argsort(-sim, axis=1)[:, :10], pids, gallery, 0.8, 0.2)
    run = interaction(pids, gallery, sim, sim, trace)
    for K, xi in [(0, 0.9), (1, 0.9), (4, np.median(sim.max(1))), (10, 1.0)]:
        cut = cases.as_asked(run, K, xi)
        assert cut.asked.tolist() == questions(sim.max(1), trace, K, xi).tolist()
        assert cut.k_max == K
        anchors = [replay(sim, sim, some, K, xi, 0.5)[1].tolist() for some in (cut, trace)]
        assert anchors[0] == anchors[1], "nothing needed is lost"
