from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_doubles import Knowing, Models, unit

from icl_lib.retrieval.gallery import Gallery
from icl_lib.search.dialogue import Dialogue, Judged, Sentence, Told
from icl_lib.search.searcher import Searcher
from icl_lib.thi.cards import Facet
from icl_lib.thi.evidence import Evidence
from icl_lib.thi.policies import Answers, Rule

BAG = Facet("bag", "there")


def a_searcher(seed=0, images=8, evidence=None, mllm=None, rule=None, **options):
    vectors = unit(np.random.default_rng(seed).normal(size=(images, 3)))
    paths = [str(k) for k in range(images)]
    index = SimpleNamespace(vectors=vectors, gallery=Gallery(vectors), paths=paths)
    evidence = evidence or Evidence(temperature=0.1)
    return Searcher(index, Models(mllm, evidence, rule), **options)


START = Dialogue().add(Sentence("a man"))


def test_without_answers_the_ranking_is_that_of_the_similarity():
    searcher = a_searcher()
    ranking = searcher.rank(START)
    sim = searcher.index.vectors[:, 0]
    np.testing.assert_array_equal(ranking.columns, np.argsort(-sim, kind="stable"))
    np.testing.assert_allclose(ranking.scores, np.sort(sim)[::-1], rtol=1e-5)
    assert ranking.posterior.sum() == pytest.approx(1)
    assert np.isnan(ranking.p_yes).all() and np.isnan(ranking.person).all()


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.dictionaries(st.integers(0, 7), st.booleans(), max_size=5),
    st.dictionaries(st.integers(0, 7), st.floats(0.01, 0.99), max_size=5),
)
def test_answers_of_person_and_mllm_follow_bayes_rule(seed, person, mllm):
    evidence = Evidence(temperature=0.1, trust=0.7, neutral=0.4)  # no look-alikes: independent
    searcher = a_searcher(seed, evidence=evidence, person=0.9)
    turns = [Judged(c, yes) for c, yes in person.items()]
    turns += [Judged(c, p > 0.5, p_yes=p, text=START.text) for c, p in mllm.items()]
    ranking = searcher.rank(START.add(*turns))
    joint = np.exp(searcher.index.vectors[:, 0].astype(float) / 0.1)
    for column, yes in person.items():
        joint[column] *= 9 if yes else 1 / 9
    for column, p in mllm.items():
        joint[column] *= (p / (1 - p) / (0.4 / 0.6)) ** 0.7
    joint /= joint.sum()
    np.testing.assert_allclose(ranking.posterior, joint[ranking.columns], rtol=1e-4, atol=1e-9)
    np.testing.assert_array_equal(np.argsort(-joint, kind="stable"), ranking.columns)


def test_a_yes_raises_look_alikes_and_a_no_lowers_them():
    evidence = Evidence(temperature=0.1, steepness=30, alike=0.8)
    searcher = a_searcher(evidence=evidence)
    vectors = searcher.index.vectors
    vectors[3] = unit(vectors[4] + 0.05)
    before, yes, no = (
        searcher.rank(START.add(*turns))
        for turns in ([], [Judged(4, yes=True)], [Judged(4, yes=False)])
    )

    def of(ranking):
        return float(ranking.posterior[ranking.columns == 3][0])

    assert of(yes) > of(before) > of(no)


def test_a_filter_keeps_judged_pictures_outside_it_out():
    searcher = a_searcher()
    ranking = searcher.rank(START.add(Judged(5, yes=True)), keep=np.array([1, 2, 6]))
    assert set(ranking.columns.tolist()) == {1, 2, 6}


@pytest.mark.parametrize("fitted", [False, True])
def test_the_mllm_is_asked_until_no_question_is_worth_it(fitted):
    answers = Answers(np.array([0.1, 0.9]), np.array([0.9, 0.1]))
    evidence = Evidence(temperature=0.5)
    rule = Rule(evidence, answers, "rank1", 0.01) if fitted else None
    right = str(a_searcher(evidence=evidence).rank(START).columns[2])
    mllm = Knowing(right)
    searcher = a_searcher(evidence=evidence, mllm=mllm, rule=rule)
    after = searcher.ask(START, 8)
    assert len(mllm.asked) == len(set(mllm.asked)) == len(after.by_mllm) <= 8
    assert all(
        p == pytest.approx(0.95 if str(c) == right else 0.05) for c, p in after.by_mllm.items()
    )
    if not fitted:
        assert str(searcher.rank(after).columns[0]) == right
    assert searcher.ask(after, 0) == after


def test_a_question_about_the_cards_separates_the_leading_pictures():
    mllm = Knowing("0")
    searcher = a_searcher(evidence=Evidence(temperature=1.0), mllm=mllm)
    question = searcher.question(START)
    assert question.facet.characteristic == "bag"
    assert len(mllm.described) == 8
    after = START.add(Told(BAG, "yes"))

    def with_bag(said):
        ranking = searcher.rank(said)
        return ranking.posterior[ranking.columns % 2 == 1].sum()

    assert with_bag(after) > with_bag(START)
    assert BAG not in {getattr(searcher.question(after), "facet", None)}
    searcher.question(START)
    assert len(mllm.described) == 8  # cards are made once
    assert searcher.contradictions(1, "A man without a bag.") == {"bag": "a backpack"}


def test_without_an_mllm_the_search_by_similarity_works_and_asking_says_why():
    searcher = a_searcher()
    assert len(searcher.rank(START).columns) == 8
    for ask in (searcher.question, lambda said: searcher.ask(said, 1)):
        with pytest.raises(ValueError, match="The server does not answer"):
            ask(START)


def test_nothing_said_is_refused():
    with pytest.raises(ValueError, match="start with a sentence"):
        a_searcher().rank(Dialogue())


def test_a_person_who_guesses_is_refused():
    with pytest.raises(ValueError, match="between"):
        a_searcher(person=0.5)
