"""Variants: each against a plain transcription in loops, each Algorithm 1 at its neutral value; the rule over words."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_lib import load_params
from icl_lib.thi import Trace, replay, variants
from icl_lib.thi.contradictions import compare, read


def ranked(sim):
    return np.argsort(-sim, axis=1, kind="stable")


@st.composite
def worlds(draw):
    Q, G = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    levels = draw(st.integers(1, 6))  # few levels: many ties
    sim, refined, best = rng.integers(0, levels, (3, Q, G)) / levels
    p = rng.choice(
        [0.1, 0.4, 0.6, 0.7, 0.9],
        (Q, G),
        p=draw(
            st.sampled_from([[1, 0, 0, 0, 0], [0.4, 0.3, 0.1, 0.1, 0.1], [0, 0, 0.3, 0.3, 0.4]])
        ),
    )
    point = {
        "K": draw(st.integers(0, 9)),
        "xi": draw(st.sampled_from([-1.0, 0.0, 0.5, 1.0])),
        "lam": draw(st.sampled_from([0.0, 0.3, 1.0])),
    }
    return sim, refined, best, Trace(ranked(sim), p), rng.integers(0, 4, Q), point


def until_first_yes(whole):
    p = whole.p_yes.copy()
    for row, first in zip(p, whole.first_yes):
        row[first + 1 if first >= 0 else len(row) :] = np.nan
    return dataclasses.replace(whole, p_yes=p, seconds=np.zeros_like(p))


def plain(name, sim, refined, best, whole, against, K, xi, lam, value):
    """Algorithm 1 and Eq. 6 query by query, with one variant's change."""
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


def beside(name, whole, best, against):
    return {
        "argmax": {"whole": whole, "sim_best": best},
        "adding": {"contradictions": against},
    }.get(name, {})


@pytest.mark.parametrize("name", variants.VARIANTS)
@settings(max_examples=150, deadline=None)
@given(world=worlds(), pick=st.integers(0, 99))
def test_a_variant_is_its_plain_loop(name, world, pick):
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
        **beside(name, whole, best, against),
    )
    final, anchor = plain(name, sim, refined, best, whole, against, **point, value=value)
    assert np.array_equal(mine[1], anchor)
    assert np.allclose(mine[0], final, atol=1e-12)


@pytest.mark.parametrize("name", variants.VARIANTS)
@settings(max_examples=60, deadline=None)
@given(world=worlds())
def test_a_variant_at_its_neutral_value_is_algorithm_1(name, world):
    sim, refined, best, whole, against, point = world
    variant = variants.VARIANTS[name]
    assert variant.neutral in variant.values
    trace = until_first_yes(whole)
    mine = variant.replay(
        sim, refined, trace, **point, value=variant.neutral, **beside(name, whole, best, against)
    )
    for got, expected in zip(mine, replay(sim, refined, trace, **point)):
        assert np.array_equal(got, expected)


def test_argmax_refuses_a_trace_that_stopped_at_the_first_yes():
    sim, whole = np.array([[0.5, 0.4, 0.3]]), Trace([[0, 1, 2]], [[0.2, 0.6, 0.9]])
    final, anchor = variants.confident(sim, sim, whole, 3, 1.0, 0.5, 0.0, whole, sim)
    assert anchor.tolist() == [2]
    for short in (until_first_yes(whole), Trace([[0, 1]], [[0.2, 0.6]])):
        with pytest.raises(ValueError, match="ask='all'"):
            variants.confident(sim, sim, whole, 3, 1.0, 0.5, 0.0, short, sim)


def test_withdrawn_anchors_leave_the_ranking_and_inputs_alone():
    sim, refined = np.array([[0.5, 0.4], [0.5, 0.4]]), np.array([[0.2, 0.9], [0.2, 0.9]])
    trace, kept = Trace([[0, 1], [0, 1]], [[0.1, 0.6], [0.1, 0.9]]), sim.copy()
    final, anchor = variants.gate(sim, refined, trace, 2, 1.0, 0.5, 0.7)
    assert (
        anchor.tolist() == [-1, 1]
        and np.array_equal(final[0], sim[0])
        and np.array_equal(sim, kept)
    )


def test_an_unknown_variant_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'gate'"):
        variants.find("gatte")
    with pytest.raises(ValueError, match="did you mean 'second_look'"):
        load_params("rstp", variant="second-look")
    assert (
        load_params("rstp").thi.variant is None
        and load_params("rstp", variant="soft").thi.variant == "soft"
    )
    assert set(
        load_params.__globals__["Thi"].model_fields["variant"].annotation.__args__[0].__args__
    ) == set(variants.VARIANTS)


@pytest.mark.parametrize(
    "text, facts",
    [
        (
            "He wears blue jeans.",
            {
                "sex": {"sex": {"man"}},
                "lower body": {"there": {"yes"}, "colour": {"blue"}, "kind": {"trouser"}},
            },
        ),
        (
            "a GRAY plaid T-shirt",
            {
                "upper body": {"there": {"yes"}, "colour": {"grey"}},
                "pattern": {"pattern": {"checked"}},
            },
        ),
        (
            "a jacket with long sleeves, no hat",
            {
                "upper body": {"there": {"yes"}, "sleeves": {"long-sleeved"}},
                "hat": {"there": {"no"}},
            },
        ),
        (
            "knee-length white shorts",
            {
                "lower body": {
                    "there": {"yes"},
                    "colour": {"white"},
                    "length": {"knee-length"},
                    "kind": {"short"},
                }
            },
        ),
        (
            "short brown hair",
            {"hairstyle": {"there": {"yes"}, "colour": {"brown"}, "length": {"short"}}},
        ),
        (
            "denim pants and brown leather shoes",
            {
                "lower body": {"there": {"yes"}, "kind": {"trouser"}},
                "shoes": {"there": {"yes"}, "colour": {"brown"}},
            },
        ),
        ("", {}),
        ("in the rain", {}),
    ],
)
def test_what_a_text_states(text, facts):
    assert read(text) == facts


def test_answers_add_contradict_or_repeat():
    query = "A man in a black jacket and blue jeans with white trainers. He carries a red backpack."
    answers = {
        "sex": "a woman",
        "upper body": "a black jacket with long sleeves",
        "lower body": "dark blue jeans",
        "shoes": "black sneakers",
        "scarf": "a green scarf",
        "backpack": "no backpack",
        "hat": None,
        "action": "walking",
    }
    adds, against = compare(answers, query)
    assert adds == ["upper body", "scarf", "action"]
    assert against == ["sex", "shoes", "backpack"]
    assert compare(answers, query, lambda answer: bool(answer) and answer != "walking")[0] == [
        "upper body",
        "scarf",
    ]
    assert compare({"scarf": "no scarf"}, "a man without a scarf") == ([], [])
    assert compare({"shoes": "not visible"}, "white shoes", lambda answer: False) == ([], [])


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_read(answer, text):
    adds, against = compare({"hat": answer}, text)
    assert not set(adds) & set(against)
    assert compare({"hat": text, "bag": text, "sex": text}, text)[1] == []
