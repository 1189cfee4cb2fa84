"""The filter that leaves out the additions the MLLM believes least."""

import pandas as pd

from icl_lib import rda

ROWS = {
    1: {
        "enriched": "x",
        "sentences": ["said", "doubted", "believed"],
        "parts": [["a"], ["b", "c"], ["d"]],
    },
    2: {"enriched": "y", "sentences": ["doubted"], "parts": [["b", "c"]]},
}
TWO = pd.DataFrame({"caption_id": [1, 2], "path": ["p.jpg", "q.jpg"]})


def test_sub_sentences_are_listed_once_per_image_and_marked_if_a_caption_says_them():
    table = rda.sub_sentences(ROWS, TWO, [["said", "unheard of"], ["said"]])
    assert table.to_dict("list") == {
        "path": ["p.jpg"] * 3 + ["q.jpg"],
        "text": ["said", "doubted", "believed", "doubted"],
        "captioned": [True, False, False, False],
    }


def test_the_filter_keeps_what_a_caption_says_and_leaves_no_caption_empty():
    checked = rda.sub_sentences(ROWS, TWO, [["said"], []]).assign(p=[0.0, 0.1, 0.9, 0.2])
    left = rda.without_least(ROWS, TWO, checked, 0.5)
    assert left[1]["sentences"] == ["said", "believed"] and left[1]["parts"] == [["a"], ["d"]]
    assert left[2]["sentences"] == ["doubted"] and left[1]["enriched"] == "x"
    assert rda.without_least(ROWS, TWO, checked, 0.0) == ROWS
    assert rda.without_least(ROWS, TWO, checked, 1.0)[1]["sentences"] == ["said"]


def test_a_text_of_additions_only_keeps_the_most_believed_one():
    rows = {1: {"sentences": ["one", "two", "three"], "parts": [["1"], ["2"], ["3"]]}, 2: ROWS[2]}
    checked = rda.sub_sentences(rows, TWO, [[], []]).assign(p=[0.1, 0.3, 0.2, 0.9])
    assert rda.without_least(rows, TWO, checked, 0.9)[1]["sentences"] == ["two"]


def test_nothing_is_left_out_where_the_captions_say_everything():
    checked = rda.sub_sentences(ROWS, TWO, [["said", "doubted", "believed"], ["doubted"]]).assign(
        p=0.5
    )
    assert rda.without_least(ROWS, TWO, checked, 0.9) == ROWS
