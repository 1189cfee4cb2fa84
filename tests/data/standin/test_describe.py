"""Captions and canonical sentences state the facts, and nothing else."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from standin_fixtures import person

from icl_lib.data.standin.describe import answers, caption, merged, sentence, sentences
from icl_lib.data.standin.facts import choose_facts, merge_facts
from icl_lib.data.standin.phrases import GROUPS


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["street", "generic"]))
def test_every_caption_is_a_nonempty_line_that_never_speaks_of_skin_or_build(seed, grammar):
    truth, seen, rng = person(seed)
    facts = choose_facts(truth, seen, rng)
    text = caption(facts, rng, grammar)
    assert text.strip() == text and "\n" not in text and "none" not in text and "  " not in text
    assert not any(
        word in text.lower().split() for word in ("skin", "slim", "fat", "build", "height")
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_canonical_language_keeps_every_attribute(seed):
    truth, seen, rng = person(seed)
    facts = merge_facts(choose_facts(truth, seen, rng), truth, seen)
    text, parts = merged(facts), sentences(facts)
    assert len(parts) == sum(any(n in facts for n in names) for names in GROUPS.values())
    for name in (
        "upper_colour",
        "lower_colour",
        "hair_colour",
        "bag_colour",
        "hat_colour",
        "scarf",
    ):
        if name in facts:
            assert facts[name] in text and any(facts[name] in part for part in parts)
    assert len(answers(truth, seen)) == 15
    group = next(g for g, names in GROUPS.items() if any(n in facts for n in names))
    assert len({sentence(group, facts, random.Random(i)) for i in range(30)}) > 1
