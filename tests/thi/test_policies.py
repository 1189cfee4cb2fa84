"""What policies ask: against plain loops and enumeration, live and replayed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from thi_answers import HashAnswerer, ranked

from icl_lib.thi import Trace, interact
from icl_lib.thi.evidence import Evidence, Hypotheses
from icl_lib.thi.policies import POLICIES, Answers, Policy, asked_at, play

ANSWERS = Answers(np.array([0.1, 0.3, 0.6]), np.array([0.7, 0.2, 0.1]))


def state_of(seed=0, Q=4, G=8, depth=4, evidence=None):
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(G, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sim = rng.uniform(-1, 1, (Q, G))
    evidence = evidence or Evidence(0.3, 1.2, 0.4, 6.0, 0.3)
    whole = Trace(ranked(sim)[:, :depth], rng.uniform(0.02, 0.98, (Q, depth)))
    return Hypotheses(sim, whole.candidates, vectors, evidence), whole


def kappa(state, q, m, k):
    return 1.0 if m == k else 1 / (1 + np.exp(-state.same[q, m, k]))


def shows(state, q, posterior, k):
    return sum(p * kappa(state, q, m, k) for m, p in enumerate(posterior))


def expected(state, p_yes, q, k, value):
    """The mean `value` of query q's posterior after each kind of answer about candidate k."""
    now = np.exp(state.log_posterior(p_yes))[q]
    total = chances = 0.0
    for right, wrong in zip(ANSWERS.right, ANSWERS.wrong, strict=True):
        joint = [
            p * (kappa(state, q, m, k) * right + (1 - kappa(state, q, m, k)) * wrong)
            for m, p in enumerate(now)
        ]
        chance = sum(joint)
        total += chance * value(np.array(joint) / chance)
        chances += chance
    assert chances == pytest.approx(1)
    return total - value(now)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 999))
def test_expected_gains_are_those_of_enumerated_answers(seed):
    state, whole = state_of(seed)
    p_yes = np.where(
        np.random.default_rng(seed).random(whole.p_yes.shape) < 0.5, whole.p_yes, np.nan
    )
    depth = p_yes.shape[1]
    of_entropy = POLICIES["entropy"](state, p_yes, ANSWERS)
    of_rank1 = POLICIES["rank1"](state, p_yes, ANSWERS)
    assert np.array_equal(np.isnan(of_entropy), ~np.isnan(p_yes))
    assert np.array_equal(np.isnan(of_rank1), ~np.isnan(p_yes))
    for q in range(len(p_yes)):
        for k in np.flatnonzero(np.isnan(p_yes[q])):
            fall = expected(state, p_yes, q, k, lambda p: float((p * np.log(p)).sum()))
            assert of_entropy[q, k] == pytest.approx(fall, abs=1e-9)
            gain = expected(
                state, p_yes, q, k, lambda p, q=q: max(shows(state, q, p, j) for j in range(depth))
            )
            assert of_rank1[q, k] == pytest.approx(gain, abs=1e-9)
    for worth in (of_entropy, of_rank1):
        assert (worth[np.isnan(p_yes)] > -1e-9).all(), "an answer never misleads on average"


def test_expected_gains_allow_for_answers_that_repeat_each_other():
    evidence = Evidence(0.3, 1.2, 0.4, 6.0, 0.3, repetition=0.7)
    state, whole = state_of(seed=5, evidence=evidence)
    p_yes = whole.p_yes.copy()
    p_yes[:, 2:] = np.nan
    found = POLICIES["entropy"](state, p_yes, ANSWERS)
    now = np.exp(state.log_posterior(p_yes))
    for k in (2, 3):
        expected = (now * np.log(now)).sum(1) * -1
        chance = (now * state.kappa[:, :, k]).sum(1)
        for right, wrong in zip(ANSWERS.right, ANSWERS.wrong, strict=True):
            answered = p_yes.copy()
            answered[:, k] = expit(logit(0.4) + np.log(right / wrong) / 1.2)
            then = np.exp(state.log_posterior(answered))
            entropy = -(then * np.log(then)).sum(1)
            expected -= (chance * right + (1 - chance) * wrong) * entropy
        assert found[:, k] == pytest.approx(expected)


def test_the_simple_worths_are_read_off_the_posterior():
    state, whole = state_of()
    p_yes = whole.p_yes.copy()
    p_yes[:, 2:] = np.nan
    posterior = np.exp(state.log_posterior(p_yes))
    first = POLICIES["best_first"](state, p_yes, ANSWERS)
    chance = POLICIES["highest_posterior"](state, p_yes, ANSWERS)
    for q in range(len(p_yes)):
        for k in range(p_yes.shape[1]):
            assert first[q, k] == pytest.approx(posterior[q, k] / posterior[q].max())
            assert chance[q, k] == pytest.approx(shows(state, q, posterior[q], k))


def by_hand(name, state, whole, price):
    """A policy as a loop over single queries and questions."""
    out = np.full(whole.p_yes.shape, np.nan)
    for q in range(len(out)):
        for _ in range(out.shape[1]):
            worth = POLICIES[name](state, out, ANSWERS)[q]
            left = [k for k in range(out.shape[1]) if np.isnan(out[q, k])]
            best = max(left, key=lambda k: worth[k], default=None)
            if best is None or worth[best] < price:
                break
            out[q, best] = whole.p_yes[q, best]
    return out


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("price", [0.02, 0.2, -1, 2])
def test_a_policy_asks_what_a_plain_loop_asks(name, price):
    state, whole = state_of(seed=3, Q=12)
    expected = by_hand(name, state, whole, price)
    found = play(Policy(name, state, ANSWERS, price), whole)
    assert np.array_equal(found, expected, equal_nan=True)
    free = Policy(name, state, ANSWERS, -1)
    assert not np.isnan(play(free, whole)).any(), "at no price, everything is asked"
    assert np.array_equal(asked_at(free, whole, price), expected, equal_nan=True)


def test_asking_live_equals_replaying_all_answers(tmp_path):
    state, whole = state_of(Q=6)
    texts, paths = [f"text {q}" for q in range(6)], [f"{g}.jpg" for g in range(8)]
    columns = whole.candidates
    everything = interact(texts, columns, HashAnswerer(), 4, image_paths=paths, ask="all")
    policy = Policy("rank1", state, ANSWERS, 0.03)
    mllm = HashAnswerer()
    live = interact(texts, columns, mllm, 4, image_paths=paths, ask=policy, folder=tmp_path)
    replayed = play(Policy("rank1", state, ANSWERS, 0.03), everything)
    assert np.array_equal(live.p_yes, replayed, equal_nan=True)
    assert 0 < live.asked.sum() < everything.asked.sum()
    assert len(mllm.asked) == live.asked.sum()
    again = HashAnswerer()
    policy = Policy("rank1", state, ANSWERS, 0.03)
    interact(texts, columns, again, 4, image_paths=paths, ask=policy, folder=tmp_path)
    assert not again.asked, "a second run remembers"


def test_kinds_of_answers_are_counted_in_quantiles():
    p = np.linspace(0, 1, 400)
    found = Answers.measured(p, np.random.default_rng(0).random(400) < p, kinds=4)
    assert found.right.sum() == pytest.approx(1) and found.wrong.sum() == pytest.approx(1)
    assert (np.diff(found.ratio) > 0.3).all() and len(found.right) == 4
    words = Answers.measured(np.array([0.0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]))
    assert len(words.right) == 2, "an answer in plain words has two kinds"
    assert words.right == pytest.approx([1.5 / 4, 2.5 / 4])
    assert words.wrong == pytest.approx([1.5 / 3, 1.5 / 3])


def test_an_unknown_policy_names_the_nearest():
    state, _ = state_of()
    with pytest.raises(ValueError, match="entropy"):
        Policy("entropie", state, ANSWERS, 0)
