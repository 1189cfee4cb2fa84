"""The posterior of answers against a brute-force Bayes, and what it does to a ranking."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thi_answers import ranked

from icl_lib.thi import Trace
from icl_lib.thi.evidence import Evidence, Hypotheses, fit, rank_by_evidence


def small_world(seed=0, Q=3, G=7, depth=3, dims=4):
    """Similarities [Q, G], unit vectors [G, dims] and a trace of all first `depth` candidates."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(G, dims))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sim = rng.uniform(-1, 1, (Q, G))
    return sim, vectors, Trace(ranked(sim)[:, :depth], rng.uniform(0.05, 0.95, (Q, depth)))


def bayes(sim, vectors, trace, evidence, q):
    """P(v | q, answers) of all images v, image by image and answer by answer."""
    weights = []
    for v in range(sim.shape[1]):
        support, count = 0.0, 0.0
        for u, p in zip(trace.candidates[q].tolist(), trace.p_yes[q].tolist(), strict=True):
            if math.isnan(p):
                continue
            odds = (p / (1 - p)) / (evidence.neutral / (1 - evidence.neutral))
            kappa = 1.0
            if u != v and evidence.alike is None:
                kappa = 0.0
            elif u != v:
                z = evidence.steepness * (float(vectors[u] @ vectors[v]) - evidence.alike)
                kappa = 1 / (1 + math.exp(-z))
            support += math.log(1 - kappa + kappa * odds**evidence.trust)
            count += kappa
        support /= 1 + evidence.repetition * max(0.0, count - 1)
        weights.append(math.exp(sim[q, v] / evidence.temperature + support))
    return np.array(weights) / sum(weights)


parameters = st.builds(
    Evidence,
    temperature=st.floats(0.05, 2),
    trust=st.floats(0, 3),
    neutral=st.floats(0.05, 0.95),
    steepness=st.floats(0, 20),
    alike=st.one_of(st.floats(-1, 1), st.none()),
    repetition=st.floats(0, 1),
)


@settings(max_examples=60, deadline=None)
@given(parameters, st.integers(0, 999))
def test_the_posterior_is_bayes_rule(evidence, seed):
    sim, vectors, trace = small_world(seed)
    trace.p_yes[0, 1] = np.nan
    state = Hypotheses(sim, trace.candidates, vectors, evidence)
    found = np.exp(state.log_posterior(trace.p_yes))
    final = rank_by_evidence(sim, trace, vectors, evidence)
    for q in range(len(sim)):
        expected = bayes(sim, vectors, trace, evidence, q)
        assert found[q] == pytest.approx(expected[state.columns[q]], rel=1e-6, abs=1e-12)
        scores = np.exp((final[q] - final[q].max()) / evidence.temperature)
        assert scores / scores.sum() == pytest.approx(expected, rel=1e-4, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(parameters, st.floats(0, 2), st.integers(0, 999))
def test_the_spread_raises_what_shows_the_person_by_plain_summation(evidence, spread, seed):
    sim, vectors, trace = small_world(seed)
    wide = replace(evidence, spread=spread)
    raised = rank_by_evidence(sim, trace, vectors, wide)
    raised = raised - rank_by_evidence(sim, trace, vectors, evidence)
    for q in range(len(sim)):
        posterior = bayes(sim, vectors, trace, evidence, q)
        for v in range(sim.shape[1]):
            shows = posterior[v]
            for u in set(range(sim.shape[1])) - {v}:
                if evidence.alike is not None:
                    z = evidence.steepness * (float(vectors[u] @ vectors[v]) - evidence.alike)
                    shows += posterior[u] / (1 + math.exp(-z))
            expected = spread * evidence.temperature * math.log(shows)
            assert raised[q, v] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_only_the_first_images_of_the_posterior_spread(monkeypatch):
    sim, vectors, trace = small_world(Q=5, G=9)
    evidence = Evidence(0.1, steepness=5.0, alike=0.2, spread=1.0)
    plain = rank_by_evidence(sim, trace, vectors, replace(evidence, spread=0.0))
    monkeypatch.setattr("icl_lib.thi.evidence._FIRST", 2)
    raised = rank_by_evidence(sim, trace, vectors, evidence) - plain
    kappa = 1 / (1 + np.exp(-5 * (vectors @ vectors.T - 0.2)))
    np.fill_diagonal(kappa, 1)
    for q in range(5):
        best = np.argsort(-plain[q])[:2]
        weight = np.exp((plain[q, best] - plain[q, best[0]]) / 0.1)
        expected = 0.1 * np.log(weight / weight.sum() @ kappa[best])
        assert raised[q] == pytest.approx(expected, abs=1e-6)


def test_images_about_which_nothing_is_said_keep_their_similarity():
    sim, vectors, trace = small_world()
    plain = Evidence(0.1)
    nothing = Trace(trace.candidates, np.full(trace.p_yes.shape, np.nan))
    assert np.array_equal(rank_by_evidence(sim, nothing, vectors, plain), sim)
    final = rank_by_evidence(sim, trace, vectors, plain)
    asked = np.zeros(sim.shape, dtype=bool)
    np.put_along_axis(asked, trace.candidates, True, axis=1)
    assert np.array_equal(final[~asked], sim[~asked]) and (final[asked] != sim[asked]).all()


def test_a_yes_lifts_and_a_no_lowers_an_image_and_its_look_alike():
    sim = np.array([[0.5, 0.4, 0.3]])
    vectors = np.array([[1.0, 0], [1, 0], [0, 1]])
    evidence = Evidence(0.1, steepness=20.0, alike=0.5)
    for p, sign in ((0.9, 1), (0.1, -1)):
        trace = Trace(np.array([[0]]), np.array([[p]]))
        change = rank_by_evidence(sim, trace, vectors, evidence) - sim
        assert (sign * change[0, :2] > 0.1).all() and abs(change[0, 2]) < 1e-3
        alone = rank_by_evidence(sim, trace, vectors, Evidence(0.1)) - sim
        assert sign * alone[0, 0] > 0.1 and (alone[0, 1:] == 0).all()


def test_a_gallery_is_ranked_in_parts_as_in_one(monkeypatch):
    sim, vectors, trace = small_world(Q=9)
    evidence = Evidence(0.1, steepness=5.0, alike=0.2, spread=0.5)
    whole = rank_by_evidence(sim, trace, vectors, evidence)
    monkeypatch.setattr("icl_lib.thi.evidence._CELLS", 50)
    assert np.allclose(rank_by_evidence(sim, trace, vectors, evidence), whole)


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0}, {"trust": -1}, {"neutral": 1}, {"spread": -1}]
)
def test_parameters_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Evidence(**{"temperature": 1, **wrong})


def test_a_trace_of_paths_or_of_another_gallery_is_refused():
    sim, vectors, trace = small_world()
    paths = Trace(trace.candidates.astype(str), trace.p_yes)
    with pytest.raises(ValueError, match="image_paths"):
        rank_by_evidence(sim, paths, vectors, Evidence(1))
    with pytest.raises(ValueError, match="beyond the gallery"):
        rank_by_evidence(sim[:, :2], trace, vectors[:2], Evidence(1))


def people(seed, P=40, each=3, depth=6):
    """People with `each` images and queries, and an answerer whose odds are 3 times too extreme."""
    rng = np.random.default_rng(seed)
    person = rng.normal(size=(P, 16))
    pids = np.repeat(np.arange(P), each)

    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    vectors = unit(person[pids] + 0.8 * rng.normal(size=(len(pids), 16)))
    sim = unit(person[pids] + 1.2 * rng.normal(size=(len(pids), 16))) @ vectors.T
    columns = ranked(sim)[:, :depth]
    sign = np.where(pids[columns] == pids[:, None], 1, -1)
    p = 1 / (1 + np.exp(-3 * (sign + rng.normal(size=sign.shape))))
    return sim, Trace(columns, p), vectors, pids


def test_fitted_parameters_discount_an_overconfident_answerer_and_help_other_people():
    from icl_lib.retrieval.metrics import retrieval_metrics

    sim, trace, vectors, pids = people(0)
    found = {way: fit(sim, trace, vectors, pids, pids, way) for way in (True, False)}
    assert found[False].alike is None and found[True].alike < 1
    # Answers normal around ±1 with deviation 1 have a log ratio of twice their value, logit / 3.
    sim, trace, vectors, pids = people(0, P=300, each=1)
    assert fit(sim, trace, vectors, pids, pids, False).trust == pytest.approx(2 / 3, abs=0.15)
    sim, trace, vectors, pids = people(1)
    scores = {"none": retrieval_metrics(sim, pids, pids)}
    for way, evidence in found.items():
        scores[way] = retrieval_metrics(rank_by_evidence(sim, trace, vectors, evidence), pids, pids)
    assert scores["none"]["rank1"] + 10 < scores[False]["rank1"]
    assert scores[False]["mAP"] + 5 < scores[True]["mAP"]


def test_plain_words_count_with_the_rates_at_which_they_are_right_on_val():
    sim, trace, vectors, pids = people(0, P=600, each=1)
    right = pids[trace.candidates] == pids[:, None]
    yes = np.random.default_rng(0).random(right.shape) < np.where(right, 0.8, 0.3)
    words = Trace(trace.candidates, yes.astype(float))
    evidence = fit(sim, words, vectors, pids, pids, False)
    assert evidence.ratio(1.0) == pytest.approx(math.log(0.8 / 0.3), abs=0.3)
    assert evidence.ratio(0.0) == pytest.approx(math.log(0.2 / 0.7), abs=0.3)


def test_a_fit_without_any_right_image_is_refused():
    sim, vectors, trace = small_world()
    with pytest.raises(ValueError, match="no query has an image of its person"):
        fit(sim, trace, vectors, np.arange(3), np.full(7, -1))
