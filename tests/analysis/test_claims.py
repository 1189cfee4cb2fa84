"""Studies: the reader against texts whose facts are known, the marks against answers marked by hand."""

import json
import random

import numpy as np
import pandas as pd
import pytest

from icl_lib.analysis import claims, vqa
from icl_lib.data.standin import describe, phrases
from icl_lib.data.standin import facts as facts_standin
from icl_lib.data.standin import read as read_standin
from icl_lib.data.standin.attributes import VALUES
from icl_lib.mllm import yes_no

NAMES = [
    "sex",
    "hair",
    "upper",
    "lower",
    "pattern",
    "shoes",
    "glasses",
    "scarf",
    "held",
    "bag",
    "hat",
    "belt",
    "action",
    "background",
    "others",
]
PERSON = {
    "sex": "woman",
    "hair_length": "long",
    "hair_colour": "brown",
    "upper": "t-shirt",
    "upper_colour": "grey",
    "sleeves": "short",
    "pattern": "striped",
    "lower": "jeans",
    "lower_colour": "blue",
    "lower_length": "long",
    "shoes": "sneakers",
    "shoes_colour": "white",
    "bag": "backpack",
    "bag_colour": "red",
    "hat": "none",
    "hat_colour": "none",
    "glasses": "glasses",
    "scarf": "none",
    "held": "nothing",
    "belt": "black",
    "action": "walking",
    "background": "park",
    "bystanders": "nobody",
}


@pytest.fixture
def root(tmp_path):
    """Two pictures of one woman: one shows everything, the other neither shoes nor glasses."""
    seen = set(VALUES)
    hidden = seen - {"shoes", "shoes_colour", "glasses"}
    pictures = {
        "a.jpg": {"pid": 1, "truth": PERSON, "seen": sorted(seen), "facts": []},
        "b.jpg": {"pid": 1, "truth": PERSON, "seen": sorted(hidden), "facts": []},
    }
    (tmp_path / "standin_truth.json").write_text(
        json.dumps({"people": [PERSON], "pictures": pictures})
    )
    return tmp_path


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
    read = read_standin.read_facts(text)
    assert facts.items() <= read.items()
    assert read == {} or facts != {}


def test_adjectives_belong_to_the_noun_right_behind_them():
    read = read_standin.read_facts(
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
        facts = facts_standin.choose_facts(facts_standin.random_facts(rng), set(VALUES), rng)
        # What the writer itself does not say: "plain", and trousers where the kind was left out.
        if facts.get("pattern") == "plain" or ("lower_colour" in facts and "lower" not in facts):
            continue
        for text in (
            describe.caption(facts, rng, "street"),
            describe.caption(facts, rng, "generic"),
            describe.merged(facts),
            " ".join(describe.sentences(facts)),
            " ".join(describe.sentence(group, facts, rng) for group in phrases._groups_of(facts)),
        ):
            total += 1
            wrong += read_standin.read_facts(text) != facts
    assert total > 1000 and wrong == 0


def test_claims_fit_are_contradicted_or_not_shown(root):
    text = "A woman in a pink t-shirt and white boots carries a rucksack."
    table = claims.claims([text, text], root, [root / "imgs" / "a.jpg", "elsewhere/b.jpg"])
    verdicts = table.set_index(["text", "attribute"])["verdict"]
    assert verdicts[0, "sex"] == verdicts[0, "bag"] == verdicts[0, "shoes_colour"] == "fits"
    assert verdicts[0, "upper_colour"] == verdicts[0, "shoes"] == "contradicted"
    assert verdicts[1, "shoes"] == verdicts[1, "shoes_colour"] == "not shown"
    assert verdicts[1, "upper_colour"] == "contradicted"


def test_a_thing_that_the_person_does_not_have_is_contradicted(root):
    assert claims.claims(["a black scarf"], root, ["a.jpg"])["verdict"].tolist() == ["contradicted"]


def test_claim_table_counts_what_is_added_and_what_is_kept(root):
    steps = {
        "caption": ["A woman in blue jeans."],
        "next": ["A woman in black jeans with a red backpack."],
    }
    table = claims.claim_table(steps, root, ["a.jpg"])
    assert table.loc["caption"].tolist() == [3, 100, 0, 0, 100]
    assert table.loc["next", "facts a text"] == 5
    assert table.loc["next", "contradicted"] == pytest.approx(20)
    assert table.loc["next", "kept"] == pytest.approx(200 / 3)


def test_vqa_accuracy_marks_what_is_visible(root):
    true = describe.answers(PERSON, set(VALUES))
    first = dict(zip(NAMES, true)) | {"upper": "A gray tee with short sleeves.", "belt": None}
    second = dict(zip(NAMES, true)) | {"sex": "a man", "glasses": "not visible"}
    table = vqa.vqa_accuracy([first, second], root, ["a.jpg", "b.jpg"])
    assert table.index.tolist() == NAMES
    assert table.loc["upper", "right"] == 100, "spelling, article and synonym do not count"
    assert table.loc["sex", "right"] == 50 and table.loc["belt", "right"] == 50
    assert table.loc["shoes", ["visible", "right", "hidden", "invented"]].tolist() == [
        1,
        100,
        1,
        100,
    ]
    assert table.loc["glasses", "invented"] == 0
    assert np.isnan(table.loc["sex", "invented"])
    assert table.loc["sex", "commonest"] == 100


def test_bad_input_is_named(root):
    with pytest.raises(ValueError, match="no picture c.jpg"):
        claims.claims(["a man"], root, ["c.jpg"])
    with pytest.raises(ValueError, match="15"):
        vqa.vqa_accuracy([{"sex": "a man"}], root, ["a.jpg"])
    with pytest.raises(ValueError):
        claims.claims(["one", "two"], root, ["a.jpg"])
    with pytest.raises(ValueError, match="p in"):
        yes_no.reliability([0, 1], [0.5, 1.5])


def test_unread_counts_what_was_left_as_it_was():
    captions = pd.DataFrame({"caption_id": [4, 5], "image_id": [1, 1], "caption": ["a", "b"]})
    texts = {
        4: {
            "vqa": {"sex": None, "hat": "no"},
            "enriched": "a",
            "sentences": ["a"],
            "parts": [["a"]],
        },
        5: {
            "vqa": {"sex": None, "hat": "no"},
            "enriched": "c",
            "sentences": ["d", "a"],
            "parts": [["e"], ["a"]],
        },
    }
    table = vqa.unread(texts, captions)
    assert table["asked"].tolist() == [2, 2, 2, 2], "a picture's answers count once"
    assert table["left"].tolist() == [1, 1, 1, 1]
    assert table["share"].tolist() == [50, 50, 50, 50]


def test_calibration():
    rng = np.random.default_rng(0)
    p = rng.random(20000)
    labels = rng.random(20000) < p
    assert yes_no.calibration_error(labels, p) < 1.5
    assert yes_no.calibration_error(np.ones(10), np.zeros(10)) == 100
    table = yes_no.reliability([0, 1, 1, 1], [0.0, 0.05, 1.0, 0.99], bins=10)
    assert table["pairs"].tolist() == [2, 2] and table["true"].tolist() == [50, 100]
    assert table["said"].tolist() == pytest.approx([2.5, 99.5])


def test_by_rank():
    judged = pd.DataFrame({"rank": [1, 1, 2, 2], "label": [1, 0, 0, 0], "p": [0.9, 0.6, 0.7, 0.1]})
    table = yes_no.by_rank(judged, 0.5)
    assert table.loc[1].tolist() == [2, 50, 50, 100, 100]
    assert table.loc[2, ["accuracy", "false"]].tolist() == [50, 50] and np.isnan(
        table.loc[2, "recall"]
    )


def test_answers_by_what_the_pictures_differ_in(root):
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
        pairs, [False, True, False, True], [True, False, False, True], root
    )
    assert table.loc["upper_colour"].tolist() == [1, 0, 100, 1, 0]
    assert table.loc["sex"].tolist() == [1, 100, 0, 0, 1]
    assert (
        table.loc["(contradicts nothing)", "pairs"] == table.loc["(the right person)", "pairs"] == 1
    )
    assert table.loc["(the right person)", "raw right"] == 100
