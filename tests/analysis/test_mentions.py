"""The keyword reader: what is claimed, what is denied, and the two lists side by side."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_lib.analysis import mentions
from icl_lib.analysis.mentions import WORDS, characteristics, claimed


@pytest.mark.parametrize(
    "text, found",
    [
        ("A lady in khaki slacks", {"sex", "colour", "lower body"}),
        ("wearing a t-shirt and jeans", {"upper body", "lower body"}),
        ("She has two shopping bags.", {"sex", "bag"}),
        ("He is in his mid-twenties and looks serious.", {"sex", "age", "face, mood"}),
        ("short-sleeved blouse, striped", {"sleeves", "upper body", "pattern"}),
        ("an umbrella on a sidewalk with other people", {"in hand", "background", "other people"}),
        ("", set()),
    ],
)
def test_by_hand(text, found):
    read = characteristics(text)
    assert found <= read
    assert read - found <= {"lower body", "sex"}, (
        read
    )  # "short-sleeved" reads as shorts; "his" as a sex


@pytest.mark.parametrize(
    "text",
    ["The man has no hat.", "without a hat", "He is not wearing any hat", "he has no bag or hat"],
)
def test_what_is_absent_is_no_claim(text):
    assert "hat" not in characteristics(text) and "bag" not in characteristics(text)


def test_a_denial_ends_at_the_next_clause():
    assert "lower body" in characteristics("without a bag or hat, in jeans")
    assert "hat" in characteristics("He has no bag but a cap.")
    assert "shoes" in characteristics("There is no bag. Sneakers are red.")


def test_no_word_is_found_inside_another():
    assert characteristics("capable stopping beltway manage") == set()


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(WORDS)), st.text("abcxyz ,.", max_size=30))
def test_every_first_word_is_read_in_any_case(name, around):
    word = WORDS[name].split("|")[0]
    assert name in characteristics(f"{around}. {word.upper()}!")


def test_two_describers():
    table = claimed(
        ["a man in jeans", "a woman with a bag"], ["a man with a hat", "a lady with a hat, no bag"]
    )
    assert table.loc["hat"].tolist() == [0, 100, 100, 0]
    assert table.loc["bag"].tolist() == [50, 0, 0, 50]
    assert table.loc["sex"].tolist() == [100, 100, 0, 0]
    assert table.index[0] == "hat" and set(table.index) == set(WORDS)


@pytest.mark.parametrize("human, machine", [([], []), (["one"], [])])
def test_lists_that_do_not_pair_are_refused(human, machine):
    with pytest.raises(ValueError, match="pair"):
        claimed(human, machine)


def test_the_file_is_read_where_it_is_and_its_absence_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("ICL_REAL", str(tmp_path))
    assert mentions.human_and_mllm() is None
    assert "ICL_REAL" in capsys.readouterr().out
    file = tmp_path / mentions.HUMAN_AND_MLLM
    file.parent.mkdir()
    file.write_text(json.dumps([{"caption": "a man", "mllm_caption": "a man with a cap"}]))
    assert mentions.human_and_mllm() == (["a man"], ["a man with a cap"])
