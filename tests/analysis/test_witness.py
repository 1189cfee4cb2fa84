"""Simulated witnesses err as dialled, all policies meet the same ones, and the game is Bayes'."""

from dataclasses import replace

import numpy as np
import pytest

from icl_lib.analysis import witness as w
from icl_lib.data.standin import read_truth
from icl_lib.retrieval.metrics import per_query_metrics
from icl_lib.thi.cards import FACETS, VALUES, Facet
from icl_lib.thi.evidence import Evidence, spread_out
from icl_lib.thi.telling import Belief

SEX = FACETS.index(Facet("sex", "sex"))
BAG = FACETS.index(Facet("bag", "colour"))


def a_game(people: int = 30, seed: int = 0, theta: float = 0.95):
    """A gallery with one picture of each person, cards that differ, and similarities of noise."""
    rng = np.random.default_rng(seed)
    cards = np.stack([rng.integers(0, len(values), people) for values in VALUES], axis=1)
    sim = rng.normal(size=(people, people)) + 0.5 * np.eye(people)
    vectors = np.eye(people)
    evidence, belief = Evidence(temperature=1.0), Belief.of(cards, theta)
    everything = np.ones(cards.shape, bool)
    pids = np.arange(people)
    return w.Game(sim, vectors, evidence, cards, belief, everything, pids, pids)


def test_a_witness_knows_what_was_drawn_and_seen(two_pictures):
    drawn = list(read_truth(two_pictures)["pictures"].values())
    known = w.knowledge(drawn)
    for picture, row in zip(drawn, known, strict=True):
        truth, seen = picture["truth"], picture["seen"]
        assert VALUES[SEX][row[SEX]] == truth["sex"]
        if "bag_colour" in seen and truth["bag"] != "none":
            assert VALUES[BAG][row[BAG]] == truth["bag_colour"]
        hidden = FACETS.index(Facet("shoes", "colour"))
        assert (row[hidden] >= 0) == ("shoes_colour" in seen)


def test_witnesses_forget_and_err_at_the_dialled_rates():
    truth = np.stack([np.arange(20_000) % len(values) for values in VALUES], axis=1)
    truth[::10] = -1
    told, known = w.witness(truth, forget=0.2, err=0.3, seed=1), truth >= 0
    assert (told[~known] == -1).all()
    assert (told[known] == -1).mean() == pytest.approx(0.2, abs=0.01)
    sure = known & (told >= 0)
    assert (told != truth)[sure].mean() == pytest.approx(0.3, abs=0.01)
    # All other values are named alike, and the true one by no error.
    wrong = sure[:, BAG] & (told != truth)[:, BAG] & (truth[:, BAG] == 0)
    shares = np.bincount(told[wrong, BAG], minlength=len(VALUES[BAG])) / wrong.sum()
    assert shares[0] == 0
    assert shares[1:] == pytest.approx(np.full(len(shares) - 1, 1 / (len(shares) - 1)), abs=0.05)


def test_a_less_honest_witness_is_the_same_one_with_more_gaps_and_errors():
    truth = a_game(200).cards
    mild, bad = w.witness(truth, 0.1, 0.1, 3), w.witness(truth, 0.3, 0.4, 3)
    assert (bad[mild == -1] == -1).all()
    both = (mild >= 0) & (bad >= 0)
    assert (bad == mild)[both & (mild != truth)].all()
    assert np.array_equal(mild, w.witness(truth, 0.1, 0.1, 3))
    assert np.array_equal(w.witness(truth, 0, 0), truth)


def test_the_reliability_of_a_known_liar_is_the_chance_of_naming_what_the_card_says():
    rng = np.random.default_rng(0)
    n, theta, err = len(VALUES[BAG]), 0.8, 0.4
    truth = rng.integers(0, n, (100_000, 1))
    other = (truth + rng.integers(1, n, truth.shape)) % n
    card = np.where(rng.random(truth.shape) < theta, truth, other)
    told = w.witness(np.repeat(truth, len(FACETS), 1), 0, err)[:, [BAG]]
    expected = w.as_honest(np.full(len(FACETS), theta), err)[BAG]
    assert (told == card).mean() == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("policy", w.POLICIES)
def test_honest_witnesses_and_unlike_cards_end_at_rank_1(policy):
    game = a_game()
    played = w.play(game, game.cards, policy, len(FACETS))
    assert (played.first[0] > 1).any() and (played.first[-1] == 1).all()
    assert (np.sort(played.facet, axis=0) == np.arange(len(FACETS))[:, None]).all(), "once each"


def test_telling_questions_find_people_sooner_than_random_ones():
    game = a_game(60)
    ranks = {p: w.play(game, game.cards, p, 2).first[-1] for p in w.POLICIES}
    assert (ranks["most telling"] == 1).mean() > (ranks["random"] == 1).mean() + 0.1


def test_policies_meet_equal_witnesses_and_no_closed_facet_is_asked():
    game = a_game()
    game.open[:, ::2] = False
    told = w.witness(game.cards, 0.3, 0.3)
    closed = np.flatnonzero(~game.open[0])
    for policy in w.POLICIES:
        played = w.play(game, told, policy, 4)
        assert not np.isin(played.facet, closed).any()
        added = np.zeros((len(told), len(told)))
        for facet in played.facet:  # the ranking is that of all answers at once
            value = told[np.arange(len(told)), facet]
            added += game.belief.support(game.cards[game.hypotheses()], facet, value)
        final = game.ranked(game.hypotheses(), added)
        first = per_query_metrics(final, game.query_pids, game.gallery_pids)["first"]
        assert np.array_equal(first, played.first[-1])


def test_without_an_answer_the_ranking_is_that_of_evidence():
    game = a_game()
    evidence = Evidence(1.0, steepness=5.0, alike=0.5, spread=0.7)
    game = replace(game, evidence=evidence)
    columns = game.hypotheses()
    final = game.ranked(columns, np.zeros(columns.shape))
    np.testing.assert_allclose(final, spread_out(game.base, game.vectors, evidence))
    unsure = np.full(game.cards.shape, -1)
    played = w.play(game, unsure, "most telling", 2)
    assert (played.first == played.first[0]).all()


def test_pictures_beyond_the_hypotheses_stay_behind(monkeypatch):
    monkeypatch.setattr(w, "FIRST", 4)
    game = a_game()
    columns = game.hypotheses()
    assert columns.shape == (30, 4)
    final = game.ranked(columns, -np.random.default_rng(0).random(columns.shape) * 9)
    assert (np.sort(np.argsort(-final, 1)[:, :4], 1) == np.sort(columns, 1)).all()


def test_no_open_facet_no_cards_and_a_single_picture_change_nothing():
    game = a_game()
    shut = replace(game, open=np.zeros_like(game.open))
    played = w.play(shut, game.cards, "most telling", 2)
    assert (played.facet == -1).all() and (played.first == played.first[0]).all()
    blank = np.full_like(game.cards, -1)
    blank_game = replace(game, cards=blank, belief=Belief.of(blank, 0.9))
    played = w.play(blank_game, game.cards, "most telling", 2)
    assert (played.first == played.first[0]).all()
    one = a_game(1)
    assert (w.play(one, one.cards, "most telling", 2).first == 1).all()
    assert w.play(game, game.cards, "random", 0).first.shape == (1, 30)


def test_the_last_round_alone_is_the_last_of_all_rounds():
    game = a_game()
    told = w.witness(game.cards, 0.2, 0.2)
    every, last = (w.play(game, told, "random", 3, each=each).first for each in (True, False))
    assert np.array_equal(every[-1:], last)
    with pytest.raises(ValueError, match="most telling"):
        w.play(game, told, "most_telling", 1)
