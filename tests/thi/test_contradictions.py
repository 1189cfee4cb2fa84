"""The rule over words: what an answer adds to a query, and what contradicts it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from icl_lib.thi.contradictions import compare, read


@pytest.mark.parametrize(
    "text, facts",
    [
        (
            "He wears blue jeans.",
            {
                "sex": {"sex": {"man"}},
                "lower body": {"there": {"yes"}, "colour": {"blue"}, "kind": {"trouser"}},
            },
        ),
        (
            "a GRAY plaid T-shirt",
            {
                "upper body": {"there": {"yes"}, "colour": {"grey"}},
                "pattern": {"pattern": {"checked"}},
            },
        ),
        (
            "a jacket with long sleeves, no hat",
            {
                "upper body": {"there": {"yes"}, "sleeves": {"long-sleeved"}},
                "hat": {"there": {"no"}},
            },
        ),
        (
            "knee-length white shorts",
            {
                "lower body": {
                    "there": {"yes"},
                    "colour": {"white"},
                    "length": {"knee-length"},
                    "kind": {"short"},
                }
            },
        ),
        (
            "short brown hair",
            {"hairstyle": {"there": {"yes"}, "colour": {"brown"}, "length": {"short"}}},
        ),
        (
            "denim pants and brown leather shoes",
            {
                "lower body": {"there": {"yes"}, "kind": {"trouser"}},
                "shoes": {"there": {"yes"}, "colour": {"brown"}},
            },
        ),
        ("", {}),
        ("in the rain", {}),
    ],
)
def test_what_a_text_states(text, facts):
    assert read(text) == facts


def test_answers_add_contradict_or_repeat():
    query = "A man in a black jacket and blue jeans with white trainers. He carries a red backpack."
    answers = {
        "sex": "a woman",
        "upper body": "a black jacket with long sleeves",
        "lower body": "dark blue jeans",
        "shoes": "black sneakers",
        "scarf": "a green scarf",
        "backpack": "no backpack",
        "hat": None,
        "action": "walking",
    }
    adds, against = compare(answers, query)
    assert adds == ["upper body", "scarf", "action"]
    assert against == ["sex", "shoes", "backpack"]
    assert compare(answers, query, lambda answer: bool(answer) and answer != "walking")[0] == [
        "upper body",
        "scarf",
    ]
    assert compare({"scarf": "no scarf"}, "a man without a scarf") == ([], [])
    assert compare({"shoes": "not visible"}, "white shoes", lambda answer: False) == ([], [])


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80), st.text(max_size=80))
def test_any_text_is_read(answer, text):
    adds, against = compare({"hat": answer}, text)
    assert not set(adds) & set(against)
    assert compare({"hat": text, "bag": text, "sex": text}, text)[1] == []
