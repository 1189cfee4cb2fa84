"""Claims of texts get the verdicts that a reader would give by hand."""

import pandas as pd
import pytest

from icl_lib.analysis import claims


def test_claims_fit_are_contradicted_or_not_shown(two_pictures):
    text = "A woman in a pink t-shirt and white boots carries a rucksack."
    table = claims.claims(
        [text, text], two_pictures, [two_pictures / "imgs" / "a.jpg", "elsewhere/b.jpg"]
    )
    verdicts = table.set_index(["text", "attribute"])["verdict"]
    assert verdicts[0, "sex"] == verdicts[0, "bag"] == verdicts[0, "shoes_colour"] == "fits"
    assert verdicts[0, "upper_colour"] == verdicts[0, "shoes"] == "contradicted"
    assert verdicts[1, "shoes"] == verdicts[1, "shoes_colour"] == "not shown"
    assert verdicts[1, "upper_colour"] == "contradicted"


def test_a_thing_that_the_person_does_not_have_is_contradicted(two_pictures):
    assert claims.claims(["a black scarf"], two_pictures, ["a.jpg"])["verdict"].tolist() == [
        "contradicted"
    ]


def test_claim_table_counts_what_is_added_and_what_is_kept(two_pictures):
    steps = {
        "caption": ["A woman in blue jeans."],
        "next": ["A woman in black jeans with a red backpack."],
    }
    table = claims.claim_table(steps, two_pictures, ["a.jpg"])
    assert table.loc["caption"].tolist() == [3, 100, 0, 0, 100]
    assert table.loc["next", "facts per text"] == 5
    assert table.loc["next", "contradicted"] == pytest.approx(20)
    assert table.loc["next", "kept"] == pytest.approx(200 / 3)


def test_answers_by_what_the_pictures_differ_in(two_pictures):
    texts = [
        "A woman in a pink t-shirt.",
        "A man in a grey t-shirt.",
        "A woman in blue jeans.",
        "A man.",
    ]
    pairs = pd.DataFrame(
        {"path": "a.jpg", "caption": texts, "label": [0, 0, 0, 1]}, index=[7, 8, 9, 10]
    )
    table = claims.by_difference(
        pairs, [False, True, False, True], [True, False, False, True], two_pictures
    )
    assert table.loc["upper_colour"].tolist() == [1, 0, 100, 1, 0]
    assert table.loc["sex"].tolist() == [1, 100, 0, 0, 1]
    assert (
        table.loc["(contradicts nothing)", "pairs"] == table.loc["(the right person)", "pairs"] == 1
    )
    assert table.loc["(the right person)", "raw right"] == 100


def test_a_foreign_picture_and_lists_of_different_length_are_refused(two_pictures):
    with pytest.raises(ValueError, match=r"no picture c\.jpg"):
        claims.claims(["a man"], two_pictures, ["c.jpg"])
    with pytest.raises(ValueError):
        claims.claims(["one", "two"], two_pictures, ["a.jpg"])
