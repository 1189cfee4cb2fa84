"""Answers about characteristics get the marks that a reader would give by hand."""

import numpy as np
import pandas as pd
import pytest
from standin_fixtures import PERSON

from icl_lib.analysis import vqa
from icl_lib.data.standin import describe
from icl_lib.data.standin.attributes import VALUES

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


def test_vqa_accuracy_marks_what_is_visible(two_pictures):
    true = describe.answers(PERSON, set(VALUES))
    first = dict(zip(NAMES, true, strict=True)) | {
        "upper": "A gray tee with short sleeves.",
        "belt": None,
    }
    second = dict(zip(NAMES, true, strict=True)) | {"sex": "a man", "glasses": "not visible"}
    table = vqa.vqa_accuracy([first, second], two_pictures, ["a.jpg", "b.jpg"])
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


def test_other_than_15_answers_are_refused(two_pictures):
    with pytest.raises(ValueError, match="15"):
        vqa.vqa_accuracy([{"sex": "a man"}], two_pictures, ["a.jpg"])
