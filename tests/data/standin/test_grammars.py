"""Each grammar states every fact that it is given."""

import random
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from standin_fixtures import person

from icl_lib.data.standin.characters import CHARACTERS
from icl_lib.data.standin.describe import caption
from icl_lib.data.standin.facts import choose_facts
from icl_lib.data.standin.grammars import LEAST_WORDS


@given(seed=st.integers(0, 10_000), name=st.sampled_from(["cuhk", "icfg", "ufine"]))
@settings(max_examples=80)
def test_every_grammar_names_every_group_it_is_given(seed, name):
    truth, seen, rng = person(seed)
    grammar = CHARACTERS[name].grammar
    facts = choose_facts(truth, seen, rng, **CHARACTERS[name].facts)
    text = caption(facts, rng, grammar, rng.choice(["front", "side", "back", None]))
    for attribute in (
        "upper_colour",
        "lower_colour",
        "hair_colour",
        "bag_colour",
        "hat_colour",
        "scarf",
        "belt",
        "shoes_colour",
    ):
        value = facts.get(attribute, "none")
        if value not in ("none", "grey"):
            assert value in text.lower(), (attribute, text)
    assert "{" not in text and "  " not in text and "none" not in text.split()
    if grammar == "long":
        assert len(text.split()) > LEAST_WORDS
        for thing, noun in (("hat", "hat"), ("bag", "bag"), ("scarf", "scarf")):
            if facts.get(thing) == "none":
                assert re.search(rf"(neither|nor|no sign of) a {noun}", text)


def test_the_long_grammar_reaches_its_length_with_hardly_anything_to_say():
    for seed in range(20):
        text = caption({"sex": "woman"}, random.Random(seed), "long")
        assert len(text.split()) > LEAST_WORDS
