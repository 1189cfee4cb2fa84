"""The table of checks: each number on a data set small enough to count by hand."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_clip.tokenizer import SimpleTokenizer
from PIL import Image

from icl_lib.data import check
from icl_lib.data.checks import (
    duplicate_captions,
    duplicate_pairs,
    identities_in_two_splits,
    token_lengths,
    word_counts,
)
from icl_lib.data.manifest import COLUMNS

OPENAI = SimpleTokenizer()


def manifest(rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def found(table, what, split="all"):
    (value,) = table.loc[(table["check"] == what) & (table["split"] == split), "found"]
    return value


@pytest.fixture
def small(tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(4)]
    for i, path in enumerate(paths[:3]):
        Image.new("RGB", (10 + i, 30)).save(path)
    return manifest(
        [
            ("train", 1, 0, paths[0], 0, "A man, in red."),
            ("train", 1, 0, paths[0], 1, "one two three four five"),
            ("train", 2, 1, paths[1], 2, "a man in RED"),
            ("test", 2, 2, paths[2], 3, "a man in red"),
            ("test", 3, 3, paths[3], 4, "somebody else"),
        ]
    )


def test_counts_by_hand(small):
    table = check(small, "rstp")
    assert (found(table, "identities", "train"), found(table, "images", "train")) == (2, 2)
    assert (found(table, "captions", "train"), found(table, "captions", "val")) == (3, 0)
    row = table[(table["check"] == "images") & (table["split"] == "test")].iloc[0]
    assert (row["published"], row["verdict"]) == (1000, "differs") and isinstance(
        row["published"], int
    )
    assert found(table, "captions shared by identities", "train") == 2
    assert found(table, "captions shared by identities", "test") == 0
    assert found(table, "identities in two splits") == 1
    assert found(table, "words per caption", "train") == "4 / 4 / 5"
    assert found(table, "unreadable pictures") == 1
    assert found(table, "picture width, pixels") == "10 / 11 / 12"


def test_own_pictures_have_nothing_to_compare_with(small):
    assert set(check(small)["published"]) == {""}


def test_skipped_records_are_in_the_table(small):
    small.attrs["report"] = {"no_captions": 3, "unsafe_path": 0}
    table = check(small)
    assert found(table, "skipped: no_captions") == 3 and "skipped: unsafe_path" not in set(
        table["check"]
    )


def test_duplicates_name_the_persons(small):
    (row,) = duplicate_captions(small).to_dict("records")
    assert row == {"caption": "A man, in red.", "split": "train", "pids": [1, 2], "captions": 2}
    assert identities_in_two_splits(small) == [2]


def test_published_counts_are_recognised():
    rows = [
        ("test", i % 1000, i, f"{i}.jpg", 2 * i + j, f"text {i} {j}")
        for i in range(3074)
        for j in (0, 1)
    ]
    table = check(manifest([*rows[:-2], (*rows[-1][:5], "x"), (*rows[-2][:5], "y")]), "cuhk")
    rows = table[table["split"] == "test"].set_index("check")["verdict"]
    assert rows["identities"] == "as published" and rows["images"] == "as published"
    assert rows["captions"] == "differs"  # 6,148 drawn here, 6,156 published


def test_tokens_are_openais_and_the_limit_is_the_benchmarks(small):
    assert token_lengths(["", "a man in red.", "a man in red."]).tolist() == [2, 7, 7]
    long = small.assign(caption=["word " * n for n in (75, 76, 166, 167, 3)])
    seventy_seven, stretched = check(long, "rstp"), check(long, "ufine")
    assert found(seventy_seven, "captions over 77 tokens", "train") == 2
    assert found(seventy_seven, "captions over 77 tokens", "test") == 1
    assert found(stretched, "captions over 168 tokens", "train") == 0
    assert found(stretched, "captions over 168 tokens", "test") == 1
    assert found(check(long), "captions over 77 tokens", "train") == 2


@given(st.lists(st.text(max_size=40), max_size=5))
def test_token_lengths_are_the_tokenizers(texts):
    ids = OPENAI(texts, context_length=400) if texts else []
    assert token_lengths(texts).tolist() == [
        int((row != 0).sum()) + int((row[1 : row.argmax()] == 0).sum()) for row in ids
    ]


def test_paths_that_leave_are_in_the_table_even_if_there_are_none(small):
    assert "paths that leave the folder" not in set(check(small)["check"])  # no reader has looked
    small.attrs["report"] = {"unsafe_path": 0}
    assert found(check(small), "paths that leave the folder") == 0
    small.attrs["report"] = {"unsafe_path": 2}
    assert found(check(small), "paths that leave the folder") == 2


def test_an_empty_manifest_is_described_not_refused():
    table = check(manifest([]), "cuhk")
    assert found(table, "captions", "train") == 0 and found(table, "picture width, pixels") == "–"


def test_word_counts_ignore_case_and_punctuation():
    counts = word_counts(["A red coat", "red, RED-ish coat", ""])
    assert counts.to_dict() == {"coat": 2, "red": 2, "a": 1, "red-ish": 1}
    assert counts.index[0] == "coat"
    assert word_counts([]).empty


def test_duplicates_are_shown_with_one_row_per_person():
    texts = ["A man in a red coat.", "a man in a RED coat", "red shoes", "a man in a red coat!"]
    rows = [("train", pid, pid, "path", pid, text) for pid, text in enumerate(texts)]
    table = manifest([*rows, ("test", 4, 4, "path", 4, "a man in a red coat")])
    found = duplicate_pairs(table, people=2)
    assert found["pid"].tolist() == [0, 1]
    assert list(found.columns) == ["path", "caption", "pid"]
    assert duplicate_pairs(table, people=9)["pid"].tolist() == [0, 1, 3]
    assert duplicate_pairs(table[table["split"] == "test"]).empty
