"""Algorithm 1 and Eq. 6 against the golden numbers and against plain loops."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file
from thi_answers import ranked, until_first_yes

from icl_lib.thi import Trace, questions, released_questions, replay

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "official_reference.safetensors")
POINTS = sorted(key.removeprefix("thi.anchor.") for key in GOLDEN if key.startswith("thi.anchor."))


def algorithm_1(sim, refined, yes, candidates, K, xi, lam):
    """Algorithm 1 and Eq. 6 as loops over questions, which are counted for both ways to ask."""
    final, anchors, needed, released = [], [], 0, 0
    for q in range(len(sim)):
        anchor, answers, decided = -1, [], False
        top = sim[q][candidates[q][0]]
        for k in range(1, K + 1):
            if k > len(candidates[q]):
                break
            needed += not decided
            released += anchor == -1
            v, answer = candidates[q][k - 1], bool(yes[q][k - 1])
            if k == 1 and answer and top > xi:
                anchor = v
            if k > 1 and answer and not any(answers) and top <= xi:
                anchor = v
            answers.append(answer)
            decided = decided or answer or top > xi
        row = []
        for v in range(len(sim[q])):
            bar = 1.0 if v == anchor else refined[q][v]
            row.append(sim[q][v] if anchor == -1 else lam * sim[q][v] + (1 - lam) * bar)
        final.append(row)
        anchors.append(anchor)
    return np.array(final), np.array(anchors), needed, released


@pytest.mark.parametrize("point", POINTS)
def test_replay_and_question_counts_equal_the_golden_numbers(point):
    K, xi = int(point[1:].split(".")[0]), float(point.split(".xi")[1])
    sim, refined, yes = (GOLDEN[f"thi.{name}"] for name in ("base", "refined", "yes_by_rank"))
    whole = Trace.from_answers(yes, ranked(sim)[:, :10])
    for trace in (whole, until_first_yes(whole)):
        final, anchor = replay(sim, refined, trace, K, xi, 0.8)
        assert np.array_equal(anchor, GOLDEN[f"thi.anchor.{point}"])
        assert np.abs(final - GOLDEN[f"thi.final.{point}.lam0.8"]).max() < 1e-6
        calls = released_questions(sim.max(1), trace, K, xi).sum()
        assert calls == GOLDEN[f"thi.official_calls.{point}"][0]
        assert questions(sim.max(1), trace, K, xi).sum() <= calls


@st.composite
def cases(draw):
    Q, G = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.integers(1, 6))  # few levels: many ties, also with ξ
    sim, refined = rng.integers(0, levels, (2, Q, G)) / levels
    yes = rng.random((Q, G)) < draw(st.sampled_from([0, 0.1, 0.5, 1]))
    xi = draw(st.sampled_from([-1.0, 0.0, 1 / levels, 0.5, 1.0]))
    lam = draw(st.sampled_from([0.0, 0.3, 0.8, 1.0]))
    return sim, refined, yes, draw(st.integers(0, 9)), xi, lam


@settings(max_examples=300, deadline=None)
@given(cases())
def test_replay_and_question_counts_equal_plain_loops(case):
    sim, refined, yes, K, xi, lam = case
    candidates = ranked(sim)
    final, anchor, needed, released = algorithm_1(sim, refined, yes, candidates, K, xi, lam)
    paths = np.array([[f"{column}.jpg" for column in row] for row in candidates])
    whole = Trace.from_answers(yes, candidates)
    asked = until_first_yes(whole)
    for trace in (whole, asked, dataclasses.replace(asked, candidates=paths)):
        mine, found = replay(sim, refined, trace, K, xi, lam)
        assert np.array_equal(found, anchor)
        assert np.allclose(mine, final, atol=1e-12)
        assert questions(sim.max(1), trace, K, xi).sum() == needed
        assert released_questions(sim.max(1), trace, K, xi).sum() == released
    assert needed <= released


def test_a_yes_to_the_first_candidate_below_xi_gives_no_anchor():
    """The golden numbers lack this case: S ≤ ξ, and "all earlier answers are No" never holds."""
    sim = np.array([[0.5, 0.4, 0.3]])
    trace = Trace.from_answers([[True, True, False]], ranked(sim))
    assert replay(sim, sim, trace, 3, 0.6, 0.8)[1].tolist() == [-1]
    assert replay(sim, sim, trace, 3, 0.4, 0.8)[1].tolist() == [0]
    assert questions([0.5], trace, 3, 0.6).tolist() == [1]
    assert released_questions([0.5], trace, 3, 0.6).tolist() == [3]


def test_replay_refuses_a_trace_that_lacks_a_needed_answer():
    sim = np.array([[0.5, 0.4, 0.3, 0.2]])
    shallow = Trace.from_answers([[False, False]], ranked(sim)[:, :2])
    assert replay(sim, sim, shallow, 2, 0.9, 0.8)[1].tolist() == [-1]
    with pytest.raises(ValueError, match="k_max ≥ 3"):
        replay(sim, sim, shallow, 3, 0.9, 0.8)
    assert replay(sim, sim, shallow, 3, 0.1, 0.8)[1].tolist() == [-1]  # S > ξ needs rank 1 alone
    stopped = Trace(ranked(sim), [[0.2, 0.7, np.nan, np.nan]])
    assert replay(sim, sim, stopped, 4, 0.9, 0.8)[1].tolist() == [1]
    with pytest.raises(ValueError, match="ask='all'"):
        replay(sim, sim, dataclasses.replace(stopped, threshold=0.8), 4, 0.9, 0.8)
    lower = dataclasses.replace(stopped, threshold=0.1)
    assert replay(sim, sim, lower, 4, 0.4, 0.8)[1].tolist() == [0]


def test_a_gallery_smaller_than_K_ends_the_questions():
    trace = Trace.from_answers(np.zeros((4, 3), dtype=bool), ranked(np.eye(4, 3)))
    assert replay(np.eye(4, 3), np.eye(4, 3), trace, 9, 2.0, 0.5)[1].tolist() == [-1] * 4
    assert questions(np.ones(4), trace, 9, 2.0).tolist() == [3] * 4


@pytest.mark.parametrize(
    "change, message",
    [
        ({"K": -1}, "whole number"),
        ({"K": 1.5}, "whole number"),
        ({"lam": 1.2}, r"\[0, 1\]"),
        ({"sim_refined": np.zeros((1, 3))}, "replay needs"),
        ({"sim_refined": np.full((1, 2), np.nan)}, "refined text"),
        ({"trace": Trace.from_answers([[True]], [[7]])}, "beyond the gallery"),
    ],
)
def test_replay_refuses_bad_input(change, message):
    sim = np.array([[0.5, 0.4]])
    trace = Trace.from_answers([[True]], [[0]])
    fine = {"sim": sim, "sim_refined": sim, "trace": trace, "K": 1, "xi": 0, "lam": 1}
    replay(**fine)
    with pytest.raises(ValueError, match=message):
        replay(**{**fine, **change})


def test_refined_similarities_may_be_missing_where_there_is_no_anchor():
    sim = np.array([[0.5, 0.4], [0.5, 0.4]])
    refined = np.array([[0.9, 0.8], [np.nan, np.nan]])
    final, _ = replay(sim, refined, Trace.from_answers([[True], [False]], [[0], [0]]), 1, 0.1, 0.5)
    assert final.tolist() == [[0.75, pytest.approx(0.6)], [0.5, 0.4]]
    assert sim.tolist() == [[0.5, 0.4], [0.5, 0.4]], "the inputs stay as they are"
