"""The table of checks: each number on a data set small enough to count by hand, and on real annotations."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from icl_lib.data import check, read_benchmark
from icl_lib.data.checks import duplicate_captions, identities_in_two_splits
from icl_lib.data.manifest import COLUMNS

REAL = Path(__file__).parents[2] / ".." / "shared" / "real"


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
    assert (row["published"], row["verdict"]) == (1000, "differs") and isinstance(row["published"], int)
    assert found(table, "captions shared by identities", "train") == 2
    assert found(table, "captions shared by identities", "test") == 0
    assert found(table, "identities in two splits") == 1
    assert found(table, "words a caption", "train") == "4 / 4 / 5"
    assert found(table, "unreadable pictures") == 1
    assert found(table, "picture width, pixels") == "10 / 11 / 12"


def test_own_pictures_have_nothing_to_compare_with(small):
    assert set(check(small)["published"]) == {""}


def test_skipped_records_are_in_the_table(small):
    small.attrs["report"] = {"no_captions": 3, "unsafe_path": 0}
    table = check(small)
    assert found(table, "skipped: no_captions") == 3 and "skipped: unsafe_path" not in set(table["check"])


def test_duplicates_name_the_persons(small):
    (row,) = duplicate_captions(small).to_dict("records")
    assert row == {"caption": "A man, in red.", "split": "train", "pids": [1, 2], "captions": 2}
    assert identities_in_two_splits(small) == [2]


def test_published_counts_are_recognised():
    rows = [
        ("test", i % 1000, i, f"{i}.jpg", 2 * i + j, f"text {i} {j}") for i in range(3074) for j in (0, 1)
    ]
    table = check(manifest(rows[:-2] + [(*rows[-1][:5], "x"), (*rows[-2][:5], "y")]), "cuhk")
    rows = table[table["split"] == "test"].set_index("check")["verdict"]
    assert rows["identities"] == "as published" and rows["images"] == "as published"
    assert rows["captions"] == "differs"  # 6,148 drawn here, 6,156 published


@pytest.mark.skipif(not REAL.is_dir(), reason="the real annotations are not beside this checkout")
def test_real_annotations_have_the_published_counts(tmp_path):
    """Val and test records of CUHK-PEDES; blank pictures stand where the real ones would be."""
    source = REAL / "annotations" / "cuhk_val_test_reid_raw.json"
    records = json.loads(source.read_text(encoding="utf-8"))
    Image.new("RGB", (4, 12)).save(tmp_path / "blank.png")
    for record in records:
        path = tmp_path / "CUHK-PEDES" / "imgs" / record["file_path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tmp_path / "blank.png", path)
    (tmp_path / "CUHK-PEDES" / "reid_raw.json").symlink_to(source.resolve())
    table = check(read_benchmark("cuhk", tmp_path, strict=True), "cuhk", sizes_of=10)
    counts = table[
        table["check"].isin(["identities", "images", "captions"]) & table["split"].isin(["val", "test"])
    ]
    assert len(counts) == 6 and set(counts["verdict"]) == {"as published"}
    assert found(table, "identities in two splits") == 0
    assert found(table, "captions shared by identities", "test") > 0
