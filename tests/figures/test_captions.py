"""Figures of a data set: what they count, and that they hold up with little or nothing to show."""

import pandas as pd
import pytest
from PIL import Image

from icl_lib.data.checks import duplicate_pairs, word_counts
from icl_lib.data.manifest import COLUMNS
from icl_lib.figures.captions import PLAIN, caption_tokens, side_by_side, words


@pytest.fixture
def table(tmp_path):
    rows = []
    for i, (split, pid, text) in enumerate([
            ("train", 1, "A man in a red coat."), ("train", 2, "a man in a RED coat"), ("train", 2, "red, red shoes"),
            ("train", 3, "a man in a red coat!"), ("test", 4, "a man in a red coat"), ("test", 5, "word " * 100)]):  # fmt: skip
        path = tmp_path / f"{i}.png"
        Image.new("RGB", (10, 30), (40 * i, 0, 0)).save(path)
        rows.append((split, pid, i, str(path), i, text))
    return pd.DataFrame(rows, columns=COLUMNS)


def test_word_counts():
    counts = word_counts(["A red coat", "red, RED-ish coat", ""])
    assert (
        counts.to_dict() == {"coat": 2, "red": 2, "a": 1, "red-ish": 1}
        and counts.index[0] == "coat"
    )
    assert word_counts([]).empty


def test_bars_are_uses_in_100_captions_without_plain_words(table):
    left, right = words(table, "train").axes
    bars = {
        label.get_text(): bar.get_width()
        for label, bar in zip(left.get_yticklabels(), left.patches)
    }
    assert bars == {"red": 125, "coat": 75, "man": 75, "shoes": 25} and not set(bars) & PLAIN
    assert "6 different words, 21 in all" in right.get_title()


def test_the_legend_tells_what_is_cut_off(table):
    (ax,) = caption_tokens(table, 77).axes
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert (
        told[0].startswith("train: median 8")
        and told[0].endswith(" 0.0% cut off")
        and told[1].endswith("50.0% cut off")
    )


def test_duplicates_are_shown_a_row_a_person(table):
    found = duplicate_pairs(table, people=2)
    assert found["pid"].tolist() == [1, 2] and list(found.columns) == ["path", "caption", "pid"]
    assert duplicate_pairs(table, people=9)["pid"].tolist() == [1, 2, 3]
    assert duplicate_pairs(table[table["split"] == "test"]).empty


def test_a_row_a_data_set_with_its_typical_caption(table):
    figure = side_by_side({"One": table, "Other": table[table["pid"] < 2]}, pictures=3)
    first, second = figure.axes
    assert "3 people" not in first.get_title(loc="left") and "2 people" in first.get_title(
        loc="left"
    )
    assert (
        "one person" in second.get_title(loc="left")
        and len(second.images) == 1
        and len(first.images) == 3
    )
    assert first.texts[0].get_text().replace("\n", " ").startswith("“")
