import pytest

from icl_lib.search.dialogue import Dialogue, Judged, Sentence, Told
from icl_lib.thi.cards import Facet

BAG = Facet("bag", "kind")


def test_sentences_are_joined_taken_back_and_said_again():
    said = Dialogue().add(Sentence("A woman in a red coat"), Sentence(" She  has a bag. "))
    assert said.text == "A woman in a red coat. She has a bag."
    back = said.add(Sentence("A woman in a red coat", kept=False))
    assert back.text == "She has a bag."
    assert back.add(Sentence("A woman in a red coat")).sentences[-1] == "A woman in a red coat"


def test_undo_gives_the_dialogue_before():
    first = Dialogue().add(Sentence("a man"))
    second = first.add(Judged(3, yes=False))
    assert second.undo() == first
    assert first.undo() == Dialogue() == Dialogue().undo()


def test_undo_takes_back_all_answers_of_the_mllm_in_a_row():
    first = Dialogue().add(Sentence("a man"), Judged(1, yes=False))
    asked = first.add(*(Judged(k, yes=False, p_yes=0.2, text="a man.") for k in (4, 5)))
    assert asked.undo() == first


def test_the_last_answer_about_a_picture_or_a_characteristic_counts():
    said = Dialogue().add(Judged(1, yes=True), Judged(2, yes=True), Judged(1, yes=False))
    assert said.by_person == {1: False, 2: True}
    said = said.add(Told(BAG, "handbag"), Told(BAG, None))
    assert said.told == {BAG: None}


def test_the_mllms_answers_belong_to_the_description_that_it_judged():
    said = Dialogue().add(Sentence("a man"))
    said = said.add(Judged(1, yes=True, p_yes=0.9, text=said.text))
    assert said.by_mllm == {1: 0.9}
    assert said.add(Sentence("he has a bag")).by_mllm == {}
    assert said.add(Sentence("he has a bag")).undo().by_mllm == {1: 0.9}


def test_what_the_sentences_say_is_not_asked_again():
    said = Dialogue().add(Sentence("A man with a red backpack."), Told(Facet("hat", "there"), None))
    assert {BAG, Facet("bag", "colour"), Facet("hat", "there")} <= said.answered


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_sentence_is_refused(text):
    with pytest.raises(ValueError, match="describe the person"):
        Sentence(text)


def test_an_unknown_answer_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="backpack"):
        Told(BAG, "red")
