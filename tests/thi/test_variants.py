"""The variants against plain loops, and against Algorithm 1 at their neutral values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thi_answers import ranked, until_first_yes

from icl_lib import load_params
from icl_lib.thi import Trace, replay, variants


@st.composite
def worlds(draw):
    Q, G = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.integers(1, 6))  # few levels: many ties
    sim, refined, best = rng.integers(0, levels, (3, Q, G)) / levels
    shares = [[1, 0, 0, 0, 0], [0.4, 0.3, 0.1, 0.1, 0.1], [0, 0, 0.3, 0.3, 0.4]]
    p = rng.choice([0.1, 0.4, 0.6, 0.7, 0.9], (Q, G), p=draw(st.sampled_from(shares)))
    point = {
        "K": draw(st.integers(0, 9)),
        "xi": draw(st.sampled_from([-1.0, 0.0, 0.5, 1.0])),
        "lam": draw(st.sampled_from([0.0, 0.3, 1.0])),
    }
    return sim, refined, best, Trace(ranked(sim), p), rng.integers(0, 4, Q), point


def plain(name, sim, refined, best, whole, against, K, xi, lam, value):
    """Algorithm 1 and Eq. 6 query by query, with the change that one variant makes."""
    finals, anchors = [], []
    for q in range(len(sim)):
        columns, G = whole.candidates[q], len(sim[q])
        top, anchor, p, text, rank = sim[q][columns[0]], -1, 0.0, refined[q], None
        for k in range(min(K, G)):
            if whole.p_yes[q, k] > whole.threshold:
                rank = k
                break
        if rank is not None and (rank == 0) == (top > xi):
            anchor, p = columns[rank], whole.p_yes[q, rank]
        weight = 1.0
        if name == "argmax" and rank is not None and top <= xi:
            surest = max(range(min(K, G)), key=lambda k: (whole.p_yes[q, k], -k))
            if whole.p_yes[q, surest] > whole.p_yes[q, rank] + value:
                anchor, text = columns[surest], best[q]
        if anchor >= 0:
            if name == "soft":
                weight = p**value
            if name == "gate" and p <= value:
                anchor = -1
            if name == "second_look" and sum(text[v] > text[anchor] for v in range(G)) + 1 > value:
                anchor = -1
            if name == "adding" and against[q] > value:
                anchor = -1
        row = []
        for v in range(G):
            bar = weight + (1 - weight) * text[v] if v == anchor else text[v]
            row.append(sim[q][v] if anchor < 0 else lam * sim[q][v] + (1 - lam) * bar)
        finals.append(row)
        anchors.append(anchor)
    return np.array(finals), np.array(anchors)


def others(name, whole, best, against):
    """What the variant's replay takes besides Algorithm 1's arguments and its value."""
    return {
        "argmax": {"whole": whole, "sim_best": best},
        "adding": {"contradictions": against},
    }.get(name, {})


@pytest.mark.parametrize("name", variants.VARIANTS)
@settings(max_examples=150, deadline=None)
@given(world=worlds(), pick=st.integers(0, 99))
def test_each_variant_equals_its_plain_loops(name, world, pick):
    sim, refined, best, whole, against, point = world
    values = {
        "gate": (0.0, 0.6, 0.7, 1.0),
        "second_look": (1, 2, np.inf),
        "soft": (0.0, 1.0, 3.0),
    }.get(name, variants.VARIANTS[name].values)
    value = values[pick % len(values)]
    mine = variants.VARIANTS[name].replay(
        sim,
        refined,
        until_first_yes(whole),
        **point,
        value=value,
        **others(name, whole, best, against),
    )
    final, anchor = plain(name, sim, refined, best, whole, against, **point, value=value)
    assert np.array_equal(mine[1], anchor)
    assert np.allclose(mine[0], final, atol=1e-12)


@pytest.mark.parametrize("name", variants.VARIANTS)
@settings(max_examples=60, deadline=None)
@given(world=worlds())
def test_each_variant_at_its_neutral_value_equals_algorithm_1(name, world):
    sim, refined, best, whole, against, point = world
    variant = variants.VARIANTS[name]
    assert variant.neutral in variant.values
    trace = until_first_yes(whole)
    mine = variant.replay(
        sim, refined, trace, **point, value=variant.neutral, **others(name, whole, best, against)
    )
    for got, expected in zip(mine, replay(sim, refined, trace, **point), strict=True):
        assert np.array_equal(got, expected)


def test_argmax_refuses_a_trace_that_stops_at_the_first_yes():
    sim, whole = np.array([[0.5, 0.4, 0.3]]), Trace([[0, 1, 2]], [[0.2, 0.6, 0.9]])
    _, anchor = variants.confident(sim, sim, whole, 3, 1.0, 0.5, 0.0, whole, sim)
    assert anchor.tolist() == [2]
    for short in (until_first_yes(whole), Trace([[0, 1]], [[0.2, 0.6]])):
        with pytest.raises(ValueError, match="ask='all'"):
            variants.confident(sim, sim, whole, 3, 1.0, 0.5, 0.0, short, sim)


def test_a_withdrawn_anchor_leaves_the_ranking_and_the_inputs_as_they_were():
    sim, refined = np.array([[0.5, 0.4], [0.5, 0.4]]), np.array([[0.2, 0.9], [0.2, 0.9]])
    trace, kept = Trace([[0, 1], [0, 1]], [[0.1, 0.6], [0.1, 0.9]]), sim.copy()
    final, anchor = variants.gate(sim, refined, trace, 2, 1.0, 0.5, 0.7)
    assert anchor.tolist() == [-1, 1]
    assert np.array_equal(final[0], sim[0]) and np.array_equal(sim, kept)


def test_an_unknown_variant_is_refused_and_the_nearest_name_is_told():
    with pytest.raises(ValueError, match="did you mean 'gate'"):
        variants.find("gatte")
    with pytest.raises(ValueError, match="did you mean 'second_look'"):
        load_params("rstp", variant="second-look")
    assert load_params("rstp").thi.variant is None
    for name in variants.VARIANTS:
        assert load_params("rstp", variant=name).thi.variant == name
