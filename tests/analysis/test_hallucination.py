"""What RDA makes up of two pictures whose facts are all known, against counts by hand."""

import random

import numpy as np
import pandas as pd
import pytest
from standin_fixtures import random_facts, write_truth

from icl_lib.analysis import hallucination
from icl_lib.analysis.hallucination import (
    by_step,
    compared_checks,
    separation,
    trade,
    verdicts,
    without_contradicted,
)
from icl_lib.data.standin.attributes import VALUES
from icl_lib.mllm.base import MLLM

PERSON = random_facts(random.Random(0)) | {
    "sex": "woman",
    "upper": "t-shirt",
    "upper_colour": "grey",
    "sleeves": "short",
    "pattern": "plain",
    "lower": "jeans",
    "lower_colour": "blue",
    "lower_length": "long",
    "bag": "backpack",
    "bag_colour": "red",
    "hat": "none",
    "hat_colour": "none",
    "scarf": "none",
    "shoes": "boots",
    "shoes_colour": "black",
}


@pytest.fixture
def root(tmp_path):
    """Two pictures of one woman; the second shows no shoes."""
    seen = {"a.jpg": set(VALUES), "b.jpg": set(VALUES) - {"shoes", "shoes_colour"}}
    return write_truth(tmp_path, PERSON, seen)


CAPTIONS = pd.DataFrame(
    {
        "caption_id": [1, 2],
        "image_id": [10, 11],
        "path": ["a.jpg", "b.jpg"],
        "caption": ["A woman in a grey t-shirt.", "A lady in blue jeans."],
    }
)
TEXTS = {
    1: {
        "vqa": {
            "sex": "a woman",
            "upper body": "a pink t-shirt with short sleeves",
            "hat": "a red cap",
            "scarf": "no scarf",
            "belt": None,
        },
        "enriched": "A woman wears a grey t-shirt with short sleeves and a red cap.",
        "sentences": [
            "The woman wears a grey t-shirt with short sleeves.",
            "The woman wears a red cap.",
        ],
        "parts": [
            ["The lady has a grey t-shirt with long sleeves on."],
            ["The lady wears a red baseball cap.", "The lady has a cap."],
        ],
    },
    2: {
        "vqa": {"sex": "a man", "shoes": "white sneakers"},
        "enriched": "A woman wears blue jeans and white sneakers.",
        "sentences": ["The woman wears blue jeans.", "The woman wears white sneakers."],
        "parts": [["a lady in blue jeans"], ["a lady in white trainers"]],
    },
}


class Judge(MLLM):
    """P(Yes) 0.9 for a text without `word`, else 0.1."""

    def __init__(self, word):
        super().__init__()
        self.word = word

    def p_yes(self, images, texts):
        return np.array([0.1 if self.word in text else 0.9 for text in texts])

    def write(self, prompts, images=None):
        raise AssertionError("nothing is written here")


def test_falsehood_is_found_at_the_step_where_it_enters(root):
    table = by_step(TEXTS, CAPTIONS, root)
    assert table.loc["all", "caption"] == 0
    # First picture: 1 of 3 facts about the upper body is wrong, and hat and its colour are.
    # Second picture: the sex is wrong, and the shoes are not shown.
    assert table.loc["upper", "VQA"] == pytest.approx(100 / 3) and table.loc["sex", "VQA"] == 50
    assert table.loc["all", "VQA"] == pytest.approx(100 * 4 / 9)
    assert table.loc["hat", "aggregation"] == table.loc["hat", "decomposition"] == 100
    assert table.loc["upper", "decomposition"] == 0 and table.loc[
        "upper", "rewriting"
    ] == pytest.approx(100 / 3)
    assert table.loc["shoes"].drop("facts").dropna().tolist() == [0, 0, 0, 0], (
        "not shown is not contradicted"
    )
    assert table.loc["hat", "facts"] == 3 and np.isnan(table.loc["scarf", "rewriting"])


def test_verdicts_of_sub_sentences(root):
    pairs = pd.DataFrame(
        [
            ("a.jpg", "The woman wears a red cap."),
            ("b.jpg", "The woman wears white sneakers."),
            ("b.jpg", "The woman wears blue jeans."),
            ("a.jpg", "Xyzzy."),
            ("a.jpg", "This is a man."),
        ],
        columns=["path", "text"],
    )
    table = verdicts(pairs, root)
    assert table.index.tolist() == [0, 1, 2, 4]
    assert table["verdict"].tolist() == ["contradicted", "not shown", "fits", "contradicted"]
    assert table["characteristic"].tolist() == ["hat", "shoes", "lower", "sex"]


def test_separation_by_hand():
    table = pd.DataFrame(
        {"verdict": ["fits", "fits", "contradicted", "not shown"], "p": [0.9, 0.2, 0.5, 0.0]}
    )
    assert separation(table) == {"sentences": 3, "contradicted": pytest.approx(100 / 3), "AUC": 50}
    assert np.isnan(separation(table.head(2))["AUC"])
    assert separation(table.head(0))["sentences"] == 0


def test_the_trade_of_a_check_that_knows_and_of_a_captions_word():
    table = pd.DataFrame(
        {
            "verdict": ["fits"] * 4 + ["contradicted"] * 4,
            "p": [0.9] * 4 + [0.1] * 4,
            "captioned": False,
        }
    )
    told = trade(table, (0, 0.5))
    assert told.loc[0].tolist() == [50, 100] and told.loc[50].tolist() == [0, 100]
    spared = trade(table.assign(captioned=True), (0.5,))
    assert spared.loc[50].tolist() == [50, 100], "what a caption said stays, whatever P(Yes)"


def test_the_oracle_leaves_no_contradiction_and_no_empty_text(root):
    left = without_contradicted(TEXTS, CAPTIONS, root)
    assert (
        left[1]["sentences"] == ["The woman wears a grey t-shirt with short sleeves."]
        and len(left[1]["parts"]) == 1
    )
    assert left[2] == TEXTS[2]
    bad = {1: {**TEXTS[1], "sentences": ["The woman wears a red cap."], "parts": [["a cap"]]}}
    assert without_contradicted(bad, CAPTIONS.head(1), root)[1]["parts"] == [["a cap"]]


def test_own_claims_are_compared_with_those_of_other_pictures(root):
    pairs = pd.DataFrame(
        [
            ("a.jpg", "The woman wears a red cap."),
            ("a.jpg", "The woman wears blue jeans."),
            ("b.jpg", "The woman wears black jeans."),
        ],
        columns=["path", "text"],
    )
    table = compared_checks(pairs, {"sees hats": Judge("cap"), "sees nothing": Judge("?")}, root)
    own = table.loc["its own claims"]
    assert own["sentences"] == 3 and own["contradicted"] == pytest.approx(200 / 3)
    assert own["AUC sees hats"] == 75 and own["AUC sees nothing"] == 50
    assert set(hallucination.others_sentences(pairs, 20)["text"]) <= set(pairs["text"])
