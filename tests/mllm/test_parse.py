"""Ugly answers: what can be read is read, what cannot stays None and is never guessed."""

import pytest

from icl_lib.mllm.parse import parse_answers, parse_sentences, parse_text
from icl_lib.mllm.prompts import load_prompts
from icl_lib.params.paths import repo_root

NAMES = ["sex", "hairstyle", "upper body", "hat"]
QUESTIONS = [
    "Is the person a man or a woman?",
    "How long is the hair?",
    "What is on the upper body?",
    "A hat?",
]
WANTED = ["a woman", "long black hair", "a red coat, size 1.5", "no"]


def read(text):
    return list(parse_answers(text, NAMES, QUESTIONS).values())


@pytest.mark.parametrize(
    "text",
    [
        "1. a woman\n2. long black hair\n3. a red coat, size 1.5\n4. no",
        "1) a woman\n2) long black hair\n3) a red coat, size 1.5\n4) no",
        "(1) a woman\n(2) long black hair\n(3) a red coat, size 1.5\n(4) no",
        "**1.** a woman\n**2.** long black hair\n**3.** a red coat, size 1.5\n**4.** no",
        "- 1. a woman\n- 2. long black hair\n- 3. a red coat, size 1.5\n- 4. no",
        "1: a woman\n2: long black hair\n3: a red coat, size 1.5\n4: no",
        "\uff11\uff0ea woman\n\uff12\uff0elong black hair\n"
        "\uff13\uff0ea red coat, size 1.5\n\uff14\uff0eno",
        "1、a woman\n2、long black hair\n3、a red coat, size 1.5\n4、no",
        "1. a woman 2. long black hair 3. a red coat, size 1.5 4. no",
        "1. a woman; 2. long black hair; 3. a red coat, size 1.5; 4. no",
        "Here are the answers:\n\n1. a woman\n\n2. long black hair\n\n"
        "3. a red coat, size 1.5\n\n4. no\nBye.",
        "1. Is the person a man or a woman? a woman\n2. How long is the hair? long black hair\n"
        "3. What is on the upper body: a red coat, size 1.5\n4. A hat? no",
        "1. **Sex**: a woman\n2. **Hairstyle:** long black hair\n"
        "3. Upper body: a red coat, size 1.5\n4. Hat: no",
        "1. Answer: a woman\n2. Answer: long black hair\n"
        "3. Answer: a red coat, size 1.5\n4. Answer: no",
        "1. Is the person a man or a woman?\na woman\n2. How long is the hair?\nlong black hair\n"
        "3. What is on the upper body?\na red coat, size 1.5\n4. A hat?\nno",
        "1. Is the person a man or a woman?\n2. How long is the hair?\n"
        "3. What is on the upper body?\n4. A hat?\n\n"
        "1. a woman\n2. long black hair\n3. a red coat, size 1.5\n4. no",
        "sex: a woman\nhairstyle: long black hair\nupper body: a red coat, size 1.5\nhat: no",
        "- a woman\n- long black hair\n- a red coat, size 1.5\n- no",
        "a woman\nlong black hair\na red coat, size 1.5\nno",
        "1. a woman\n2. long black hair\n3. a red coat, size 1.5\n4. no\n"
        "This is what the picture shows.",
    ],
)
def test_every_shape_reads_the_same(text):
    assert [answer.rstrip(";") for answer in read(text)] == WANTED


def test_a_number_inside_an_answer_misleads_nobody():
    assert read("1. a man 2. bald, number 4. 3. a coat 4. no") == [
        "a man",
        "bald, number 4.",
        "a coat",
        "no",
    ]


def test_skipped_numbers_stay_unread():
    assert read("1. a man\n4. a blue cap") == ["a man", None, None, "a blue cap"]


def test_bullets_below_a_number_belong_to_it():
    text = "1. a man\n2. Hair:\n  - short\n  - black\n3. a coat\n4. no"
    assert read(text) == ["a man", "short, black", "a coat", "no"]


def test_numbers_beyond_the_questions_are_dropped():
    assert read("1. a man\n2. short\n3. a coat\n4. no\n5. something else") == [
        "a man",
        "short",
        "a coat",
        "no",
    ]


def test_a_one_word_question_does_not_eat_its_answer():
    text = "1. patterned shirt\n2. shoes of white\n3. hat: red"
    found = parse_answers(text, ["a", "b", "c"], ["pattern", "shoes", "hat"])
    assert list(found.values()) == ["patterned shirt", "shoes of white", "red"]


@pytest.mark.parametrize(
    "said",
    [
        "not visible",
        "Not visible.",
        "not visible in the image",
        "It is not visible.",
        "unclear",
        "N/A",
    ],
)
def test_not_visible_is_an_answer(said):
    """Something was read, so it is no gap; that it says nothing is for the prompts to tell."""
    assert read(f"1. a man\n2. {said}\n3. a coat\n4. no") == ["a man", said, "a coat", "no"]
    assert read(f"1. a man 2. {said} 3. a coat 4. no") == ["a man", said, "a coat", "no"]


def test_not_visible_stays_out_of_the_merged_text():
    prompts = load_prompts("full", repo_root() / "params" / "prompts")
    lines = "\n".join(f"{number}. not visible" for number in range(3, 16))
    answers = parse_answers(f"1. a man\n2. Not visible.\n{lines}", prompts.names)
    assert None not in answers.values() and len(answers) == 15
    assert "visible" not in prompts.answers_text(
        answers
    ).lower() and "a man" in prompts.answers_text(answers)


def test_bullets_of_every_kind_run_through_the_list():
    for mark in "-*•–":
        assert [
            answer.rstrip(";")
            for answer in read("\n".join(f"{mark} {answer}" for answer in WANTED))
        ] == WANTED


def test_other_languages_are_kept_as_they_are():
    assert read("1. 女人\n2. cheveux noirs\n3. ein roter Mantel\n4. нет") == [
        "女人",
        "cheveux noirs",
        "ein roter Mantel",
        "нет",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n ",
        "I'm sorry, but I can't help with that.",
        "I cannot see a person.",
        "Es tut mir leid, ich kann dabei nicht helfen.",
        "Lo siento, no puedo ayudar con eso.",
        "很抱歉\uff0c我无法识别图片中的人。",
        "申し訳ありませんが、お手伝いできません。",
        "A woman in a red coat stands on a street.",
        "1. ?\n2. *\n3. -\n4. ...",
        "1.\n2.\n3.\n4.",
        "\x00\ufffd",
        "1" * 5000,
    ],
)
def test_what_cannot_be_read_is_none(text):
    assert read(text) == [None] * 4


def test_a_refused_answer_is_unread_the_others_count():
    assert read("1. a woman\n2. I cannot determine the hair\n3. a coat\n4. no") == [
        "a woman",
        None,
        "a coat",
        "no",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "She has long hair.\nShe wears a coat.\nHer shoes are white.",
        "1. She has long hair.\n2. She wears a coat.\n3. Her shoes are white.",
        "- She has long hair.\n- She wears a coat.\n- Her shoes are white.",
        "Here are the sentences:\n1) She has long hair.\n2) She wears a coat.\n"
        "3) Her shoes are white.\n\nK",
        "1. She has long hair. 2. She wears a coat. 3. Her shoes are white.",
        "She has long hair. She wears a coat. Her shoes are white.",
        "Sure:\nShe has long hair.\nShe wears a coat.\n\nshe has long hair\nHer shoes are white.",
    ],
)
def test_sentences_of_every_shape(text):
    assert parse_sentences(text) == [
        "She has long hair.",
        "She wears a coat.",
        "Her shoes are white.",
    ]


def test_an_answer_without_a_sentence_is_an_empty_list():
    assert (
        parse_sentences("")
        == parse_sentences("I'm sorry, I can't.")
        == parse_sentences("...\n-\n")
        == []
    )


@pytest.mark.parametrize(
    "text",
    [
        "A woman in a red coat.",
        '"A woman in a red coat."',
        "Description: A woman in a red coat.".replace("Description", "Merged text"),
        "Here is the description:\n\nA woman in a red coat.",
        "Here is the description:\nA woman in a red coat.",
        "A woman in\na red coat.\n\nNote: I kept the colour.",
        "**A woman in a red coat.**",
    ],
)
def test_one_text_is_read_from_an_answer(text):
    assert parse_text(text) == "A woman in a red coat."


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I am unable to do so.",
        "Je suis désolé, je ne peux pas.",
        "对不起\uff0c我不能。",
        "我无法描述这张图片。",
    ],
)
def test_an_answer_without_a_text_is_none(text):
    assert parse_text(text) is None and parse_sentences(text) == []
