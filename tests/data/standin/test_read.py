"""The reader of facts against texts whose facts are known."""

import random

import pytest
from standin_fixtures import random_facts

from icl_lib.data.standin import describe
from icl_lib.data.standin.attributes import VALUES
from icl_lib.data.standin.facts import choose_facts
from icl_lib.data.standin.phrases import groups_of
from icl_lib.data.standin.read import read_facts


@pytest.mark.parametrize(
    "text, facts",
    [
        ("A guy.", {"sex": "man"}),
        (
            "a female in a gray plaid tee",
            {"sex": "woman", "upper": "t-shirt", "upper_colour": "grey"},
        ),
        ("She has no red backpack.", {}),
        ("Her hair is short red.", {"hair_length": "short", "hair_colour": "red"}),
        ("sunglasses, a pair of knee-length black shorts", {"lower_length": "knee-length"}),
        ("A woolly creature with a hatchet and a recap", {}),
        ("", {}),
    ],
)
def test_facts_read_by_hand(text, facts):
    read = read_facts(text)
    assert facts.items() <= read.items()
    assert read == {} or facts != {}


def test_adjectives_belong_to_the_noun_right_behind_them():
    read = read_facts(
        "A man wears a red hat, black jeans and a white striped hoodie with long sleeves."
    )
    assert read == {
        "sex": "man",
        "hat_colour": "red",
        "lower": "jeans",
        "lower_colour": "black",
        "upper": "hoodie",
        "upper_colour": "white",
        "pattern": "striped",
        "sleeves": "long",
    }


def test_the_reader_agrees_with_the_writer():
    rng, wrong, total = random.Random(3), 0, 0
    for _ in range(300):
        facts = choose_facts(random_facts(rng), set(VALUES), rng)
        # What the writer itself does not say: "plain", and trousers where the kind was left out.
        if facts.get("pattern") == "plain" or ("lower_colour" in facts and "lower" not in facts):
            continue
        for text in (
            describe.caption(facts, rng, "street"),
            describe.caption(facts, rng, "generic"),
            describe.merged(facts),
            " ".join(describe.sentences(facts)),
            " ".join(describe.sentence(group, facts, rng) for group in groups_of(facts)),
        ):
            total += 1
            wrong += read_facts(text) != facts
    assert total > 1000 and wrong == 0
