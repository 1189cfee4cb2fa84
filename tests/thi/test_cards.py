import numpy as np

from icl_lib.thi.cards import FACETS, VALUES, Facet, codes, facts, rates, text_facts

CARD = {
    "sex": "a woman",
    "hairstyle": "tied brown hair",
    "upper body": "a green t-shirt with short sleeves",
    "lower body": "long blue jeans",
    "patterns": "dotted",  # the name in params/prompts/full.yaml
    "shoes": "black sneakers",
    "glasses": "not visible",
    "bag": "no bag",
    "hat": None,
    "action": "walking",
}


def test_a_card_is_read_into_one_value_per_facet():
    assert facts(CARD) == {
        Facet("sex", "sex"): "woman",
        Facet("hairstyle", "colour"): "brown",
        Facet("hairstyle", "length"): "tied",
        Facet("upper body", "kind"): "t-shirt",
        Facet("upper body", "colour"): "green",
        Facet("upper body", "sleeves"): "short-sleeved",
        Facet("lower body", "kind"): "jeans",
        Facet("lower body", "colour"): "blue",
        Facet("lower body", "length"): "long",
        Facet("pattern", "pattern"): "dotted",
        Facet("shoes", "kind"): "sneakers",
        Facet("shoes", "colour"): "black",
        Facet("bag", "there"): "none",
        Facet("bag", "kind"): "none",
        Facet("bag", "colour"): "none",
    }


def test_a_caption_is_read_in_the_same_way():
    said = text_facts("A man with a red backpack and black trousers; he wears no hat.")
    assert said[Facet("sex", "sex")] == "man"
    assert said[Facet("bag", "kind")] == "backpack"
    assert said[Facet("bag", "colour")] == "red"
    assert said[Facet("lower body", "colour")] == "black"
    assert said[Facet("hat", "colour")] == "none"


def test_two_words_for_one_facet_leave_it_open():
    assert Facet("upper body", "colour") not in facts({"upper body": "a black or blue shirt"})


def test_every_fact_has_a_code_and_what_is_open_has_minus_one():
    said = codes([facts(CARD), {}])
    assert said.shape == (2, len(FACETS))
    assert (said[1] == -1).all()
    pairs = zip(FACETS, VALUES, said[0], strict=True)
    known = {facet: values[code] for facet, values, code in pairs if code >= 0}
    assert known == facts(CARD)


def test_rates_are_shares_of_the_cards_that_say_something():
    sex = FACETS.index(Facet("sex", "sex"))
    said = np.full((5, len(FACETS)), -1)
    said[:3, sex] = [0, 0, 1]
    np.testing.assert_allclose(rates(said)[sex], [3 / 5, 2 / 5])
    assert all(np.isclose(share.sum(), 1) and (share > 0).all() for share in rates(said))


def test_every_facet_has_a_question_and_distinct_values():
    for facet, values in zip(FACETS, VALUES, strict=True):
        assert facet.question.endswith("?")
        assert len(values) == len(set(values)) >= 2
