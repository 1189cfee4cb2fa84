"""Every query gets the outcome that its ranking says; the examples are chosen by the rule alone."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from icl_lib.analysis import cases
from icl_lib.analysis.answerer import simulated_trace
from icl_lib.figures import cases as cases_figures
from icl_lib.thi import Trace, questions, replay

XI = 0.55
# Gallery: persons 1, 1, 2, 3. v̂_1 is written first in each row's comment.
GALLERY = [1, 1, 2, 3]
QUERIES = [
    (
        1,
        [0.5, 0.1, 0.4, 0.3],
        [0, 2, 3],
        [0.1, 0.9, np.nan],
        0,
    ),  # right first, a wrong Yes at rank 2: harmed
    (
        3,
        [0.5, 0.1, 0.4, 0.3],
        [0, 2, 3],
        [0.1, 0.2, 0.9],
        2,
    ),  # wrong first, a right Yes at rank 3: repaired
    (2, [0.6, 0.1, 0.4, 0.3], [0, 2, 3], [0.9, np.nan, np.nan], 0),  # sure of the wrong one
    (
        2,
        [0.6, 0.1, 0.4, 0.3],
        [0, 2, 3],
        [0.1, 0.9, np.nan],
        1,
    ),  # sure, a No: the list is not walked
    (2, [0.5, 0.1, 0.4, 0.3], [0, 2, 3], [0.1, 0.2, 0.2], -1),  # the right one got a No
    (3, [0.5, 0.1, 0.4, 0.3], [0, 2, 3], [0.9, np.nan, np.nan], -1),  # a first Yes that is not used
    (1, [0.6, 0.1, 0.4, 0.3], [0, 2, 3], [0.9, np.nan, np.nan], -1),  # right and confirmed
    (9, [0.5, 0.1, 0.4, 0.3], [0, 2, 3], [0.1, 0.1, 0.1], -1),  # nobody in the gallery
]


def interaction(queries, gallery, sim, trace, texts=(), answers=()):
    """The fields of `icl_lib.thi.interaction.Interaction` that `cases` reads, without that module's models."""
    pids = queries["pid"].to_numpy(), gallery["pid"].to_numpy()
    return SimpleNamespace(
        queries=queries,
        gallery=gallery,
        sim=sim,
        sim_refined=sim,
        trace=trace,
        texts=texts,
        answers=answers,
        pids=pids,
    )


@pytest.fixture
def run(tmp_path):
    pids, sim, candidates, p_yes, _ = zip(*QUERIES)
    texts = [f"caption {q}" for q in range(len(QUERIES))]
    queries = pd.DataFrame({"pid": pids, "caption": texts})
    gallery = pd.DataFrame({"pid": GALLERY, "path": [str(tmp_path / f"{i}.png") for i in range(4)]})
    answers = [{"hat": "red"} if max(np.nan_to_num(p)) > 0.5 else None for p in p_yes]
    return interaction(queries, gallery, np.array(sim), Trace(candidates, p_yes), texts, answers)


@pytest.fixture
def told(run):
    final, anchor = replay(run.sim, run.sim_refined, run.trace, 3, XI, 0.2)
    return cases.cases(run, final, anchor), final, anchor


def test_outcomes(told):
    table, _, _ = told
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
    assert table["before"].tolist() == [1, 3, 2, 2, 2, 3, 1, 0] and table["after"][:3].tolist() == [
        2,
        1,
        2,
    ]
    assert table["anchor_rank"].tolist() == [2, 3, 1, 0, 0, 0, 1, 0]
    assert table["p_yes"][:3].tolist() == [0.9] * 3 and table["p_yes"][3:6].isna().all()
    assert table["AP_after"][1] == 100 and table["AP_after"][0] < table["AP_before"][0]


def test_counts_cover_every_query_once(told):
    counts = cases.outcome_counts(told[0])
    assert counts.index.tolist() == list(cases.OUTCOMES) and counts["queries"].sum() == len(QUERIES)
    assert (
        counts.loc["repaired", "share (%)"] == pytest.approx(100 / 8)
        and counts.loc["harmed", "change of AP"] < 0
    )


def test_pick_takes_the_largest_move_and_each_person_once():
    table = pd.DataFrame(
        {
            "query": range(5),
            "pid": [1, 1, 2, 3, 4],
            "outcome": ["repaired"] * 4 + ["harmed"],
            "before": [9, 8, 3, 3, 1],
            "after": [1, 1, 1, 1, 50],
        }
    )
    assert cases.pick(table, "repaired", 2) == [0, 2] and cases.pick(table, "repaired", 9) == [
        0,
        2,
        3,
    ]
    assert cases.pick(table, "wrong anchor", 3) == []
    with pytest.raises(ValueError, match="harmed"):
        cases.pick(table, "hurt", 1)


def test_as_asked_holds_what_algorithm_1_asks():
    rng = np.random.default_rng(0)
    pids, gallery = rng.integers(0, 12, 40), rng.integers(0, 12, 30)
    sim = rng.random((40, 30))
    trace = simulated_trace(np.argsort(-sim, axis=1)[:, :10], pids, gallery, 0.8, 0.2)
    run = interaction(pd.DataFrame({"pid": pids}), pd.DataFrame({"pid": gallery}), sim, trace)
    for K, xi in [(0, 0.9), (1, 0.9), (4, np.median(sim.max(1))), (10, 1.0)]:
        cut = cases.as_asked(run, K, xi)
        assert cut.asked.tolist() == questions(sim.max(1), trace, K, xi).tolist() and cut.k_max == K
        final, anchor = replay(sim, sim, cut, K, xi, 0.5)
        assert anchor.tolist() == replay(sim, sim, trace, K, xi, 0.5)[1].tolist(), (
            "nothing needed is lost"
        )


def test_dialogue_and_rankings_agree(run, told):
    _, final, anchor = told
    dialogue = cases_figures.dialogue(run, 1, final, anchor, 3, XI, "repaired")
    assert (dialogue.anchor, dialogue.before, dialogue.after, dialogue.merged) == (
        2,
        3,
        1,
        "caption 1",
    )
    unasked = cases_figures.dialogue(run, 3, final, anchor, 3, XI)
    assert np.isnan(unasked.candidates[1]["p_yes"]), (
        "answers of a deeper trace are not shown as asked"
    )
    before, after = cases_figures.before_after(run, 1, final, anchor, 3)
    assert before["right"].tolist() == [False, False, True] and before["anchor"] == 2
    assert after["right"][0] and after["anchor"] == 0 and after["paths"][0].endswith("3.png")
    assert cases_figures.before_after(run, 4, final, anchor)[1]["anchor"] is None
