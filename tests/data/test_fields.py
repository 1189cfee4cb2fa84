"""Every value that has one plain meaning is read; what has none, or two, is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_lib.data.fields import match_names, plain_captions, plain_id, plain_path, plain_split
from icl_lib.data.problems import Fault

SPLITS = {
    "train": ["train", "Train", "TRAIN", " train ", "training", "Training"],
    "val": ["val", "Val", "VAL", "valid", "Valid", "validation", "dev", "DEV", "development"],
    "test": ["test", "Test", "TEST", "testing", "test\n"],
}


@pytest.mark.parametrize(
    ("split", "spelling"), [(split, text) for split, texts in SPLITS.items() for text in texts]
)
def test_splits_have_many_spellings(split, spelling):
    assert plain_split(spelling) == split


@pytest.mark.parametrize("value", ["", "trainval", "train,val", "eval", "query", "gallery", "0"])
def test_an_unclear_split_is_refused(value):
    with pytest.raises(Fault, match="is none of train, val, test") as fault:
        plain_split(value)
    assert fault.value.kind == "unknown_split"


@given(st.integers(-(10**17), 10**17), st.integers(0, 3))
def test_a_whole_number_is_an_id_however_it_is_written(number, zeros):
    sign, digits = "-" if number < 0 else "", str(abs(number))
    padded = sign + ("0" * zeros + digits)[-18:].rjust(len(digits), "0")
    for written in (number, str(number), f" {number}\n", padded, f"{number}.0", f"{number}.00"):
        read = plain_id(written)
        assert read == number and type(read) is int
    assert abs(number) >= 10**15 or plain_id(float(number)) == number


@given(st.text(max_size=8) | st.floats() | st.booleans() | st.none() | st.lists(st.integers()))
def test_an_id_that_is_no_whole_number_is_refused(value):
    try:
        whole = not isinstance(value, bool) and float(value) == int(float(value))
    except (TypeError, ValueError, OverflowError):
        whole = False
    try:
        read = plain_id(value)
    except Fault as fault:
        assert fault.kind == "wrong_type"
        return
    assert whole and read == float(value)


def test_a_caption_may_be_a_text_or_a_list():
    assert plain_captions("a man") == ["a man"]
    assert plain_captions(["a man", "a boy"]) == ["a man", "a boy"]
    for value in (None, 3, {"0": "a man"}):
        with pytest.raises(Fault, match="captions should be a list of texts"):
            plain_captions(value)


def test_names_of_columns_may_differ_in_case_and_blanks():
    fields = {"file": ("file",), "caption": ("caption", "captions")}
    assert match_names([" File ", "CAPTION"], fields) == {"file": " File ", "caption": "CAPTION"}
    assert match_names(["captions", "other", ""], fields) == {"caption": "captions"}
    for twice in (["caption", "Caption"], ["caption", "captions"], ["file", "caption", " caption"]):
        with pytest.raises(Fault, match="both mean the caption"):
            match_names(twice, fields)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "Title" / "imgs"
    (folder / "cam").mkdir(parents=True)
    (folder / "cam" / "a.jpg").touch()
    (folder / "bare").mkdir()
    return folder


@pytest.mark.parametrize(
    "written",
    [
        "cam/a.jpg",
        "./cam/a.jpg",
        "cam//a.jpg",
        " cam/a.jpg ",
        "cam\\a.jpg",
        ".\\cam\\a.jpg",
        "imgs/cam/a.jpg",
        "./imgs/cam/a.jpg",
        "imgs\\cam\\a.jpg",
        "Title/imgs/cam/a.jpg",
        "Title\\imgs\\cam\\a.jpg",
    ],
)
def test_paths_to_one_picture(folder, written):
    assert plain_path(written, folder, "file", "test") == "cam/a.jpg"


def test_a_path_that_may_be_two_pictures_is_refused(folder):
    (folder / "imgs" / "cam").mkdir(parents=True)
    (folder / "imgs" / "cam" / "a.jpg").touch()
    assert plain_path("cam/a.jpg", folder, "file", "test") == "cam/a.jpg"
    with pytest.raises(Fault, match="both files exist") as fault:
        plain_path("imgs/cam/a.jpg", folder, "file", "test")
    assert fault.value.kind == "two_meanings"


@pytest.mark.parametrize(
    ("written", "kind", "told"),
    [
        ("cam/b.jpg", "missing_picture", "there is no picture imgs/cam/b.jpg"),
        ("imgs/cam/b.jpg", "missing_picture", "there is no picture imgs/cam/b.jpg"),
        ("b.jpg", "missing_picture", "there is no picture imgs/b.jpg"),
        ("gone/b.jpg", "missing_folder", "imgs/gone"),
        ("imgs/gone/b.jpg", "missing_folder", "imgs/gone"),
        ("gone/deep/b.jpg", "missing_folder", "imgs/gone"),
        ("cam/deep/b.jpg", "missing_folder", "imgs/cam/deep"),
        ("bare/b.jpg", "missing_folder", "imgs/bare (empty)"),
        ("imgs\\bare\\deep\\b.jpg", "missing_folder", "imgs/bare (empty)"),
        ("imgs/../../a.jpg", "unsafe_path", "has '..' in it"),
        (" /etc/passwd", "unsafe_path", "leads out of imgs/"),
    ],
)
def test_a_picture_that_is_not_there_is_named_by_its_topmost_missing_folder(
    folder, written, kind, told
):
    with pytest.raises(Fault) as fault:
        plain_path(written, folder, "file", "val", "imgs")
    assert fault.value.kind == kind and told in str(fault.value)


@pytest.mark.parametrize("written", ["x" * 5000, "cam/" + "x" * 5000, "y" * 5000 + "/x.jpg"])
def test_a_path_of_any_length_makes_a_short_message(folder, written):
    with pytest.raises(Fault) as fault:
        plain_path(written, folder, "file", "val", "imgs")
    assert len(str(fault.value)) < 300
