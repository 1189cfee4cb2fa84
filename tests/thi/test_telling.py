import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax

from icl_lib.thi.cards import FACETS, VALUES, Facet
from icl_lib.thi.telling import HIGH, Belief, reliabilities

SEX = FACETS.index(Facet("sex", "sex"))
BAG = FACETS.index(Facet("bag", "there"))


def a_case(seed: int, images: int = 6):
    rng = np.random.default_rng(seed)
    said = np.stack([rng.integers(-1, len(v), size=(2, images)) for v in VALUES], axis=-1)
    log_p = log_softmax(rng.normal(size=(2, images)) * 2, axis=1)
    belief = Belief.of(said.reshape(-1, len(FACETS)), rng.uniform(0, 1, len(FACETS)))
    return log_p, said, belief


def entropy(p):
    return -sum(x * np.log(x) for x in p if x > 0)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(0, len(FACETS) - 1))
def test_the_gain_is_that_of_enumerating_every_answer(seed, facet):
    log_p, said, belief = a_case(seed)
    p, expected = np.exp(log_p[0]), 0.0
    for value in range(len(VALUES[facet])):
        joint = [p[v] * belief.tables[facet][said[0, v, facet], value] for v in range(len(p))]
        expected += sum(joint) * entropy(np.array(joint) / sum(joint))
    visible = p[said[0, :, facet] >= 0].sum()
    found = belief.gains(log_p, said)[0, facet]
    assert found == pytest.approx((entropy(p) - expected) * visible, abs=1e-9)
    assert found >= -1e-12


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6))
def test_an_answer_changes_the_posterior_by_bayes_rule(seed):
    log_p, said, belief = a_case(seed)
    after = log_softmax(log_p + belief.support(said, [SEX, BAG], [1, -1]), axis=1)
    joint = np.exp(log_p[0]) * [belief.tables[SEX][code, 1] for code in said[0, :, SEX]]
    np.testing.assert_allclose(np.exp(after[0]), joint / joint.sum(), rtol=1e-9)
    np.testing.assert_allclose(after[1], log_p[1])  # "not sure"


def test_every_row_of_a_belief_is_a_distribution_and_its_own_value_is_likeliest():
    _, _, belief = a_case(1)
    for table in belief.tables:
        np.testing.assert_allclose(table.sum(1), 1)
        assert (table[:-1].argmax(1) == np.arange(len(table) - 1)).all()


def test_the_most_telling_question_separates_the_leading_images():
    said = np.full((4, len(FACETS)), -1)
    said[:, SEX] = 0  # all alike
    said[:, BAG] = [0, 0, 1, 1]
    belief = Belief.of(said, 0.9)
    log_p = np.log(np.full(4, 0.25))
    question = belief.most_telling(log_p, said)
    assert question.facet == FACETS[BAG]
    assert set(question.options) == {"yes", "none"}
    assert 0 < question.gain < np.log(2)
    assert belief.most_telling(log_p, said, asked={FACETS[BAG]}) is None  # nothing else pays


def test_a_sure_posterior_needs_no_question():
    said = np.full((2, len(FACETS)), -1)
    said[:, BAG] = [0, 1]
    log_p = np.log([1 - 1e-9, 1e-9])
    assert Belief.of(said, 0.9).most_telling(log_p, said) is None


def test_reliability_is_the_agreement_of_captions_and_cards():
    described, said = (np.full((100, len(FACETS)), -1) for _ in range(2))
    described[:, BAG], said[:, BAG] = 0, 0
    said[:10, BAG] = 1  # the card errs about ten pictures
    theta = reliabilities(described, said)
    assert theta[BAG] == pytest.approx(0.9, abs=0.01)
    assert theta[SEX] == pytest.approx(theta[BAG], abs=0.02)  # never mentioned: the average
    assert reliabilities(described, np.full_like(said, -1))[BAG] == pytest.approx(0.5)


def test_no_reliability_is_taken_for_certain_or_for_less_than_chance():
    said = np.zeros((3, len(FACETS)), int)
    for given_theta in (0.0, 1.0):
        for table in Belief.of(said, given_theta).tables:
            assert table[0, 0] > 1 / table.shape[1]
            assert table[0, 0] <= HIGH + 1e-12
