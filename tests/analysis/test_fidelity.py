"""A writer without faults is exact, and every kind of fault is found and named."""

import random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standin_fixtures import random_facts

from icl_lib.analysis import fidelity
from icl_lib.data.standin import describe, phrases
from icl_lib.data.standin.attributes import VALUES
from icl_lib.data.standin.facts import choose_facts, merge_facts
from icl_lib.mllm.prompts import load_prompts
from icl_lib.params.paths import repo_root

PROMPTS = load_prompts("short", repo_root() / "params" / "prompts")
ANSWERS = {
    "upper body": "a grey striped sweater with long sleeves",
    "pattern": "striped",
    "bag": "no bag",
    "scarf": "a red scarf",
    "action": "walking",
    "hat": None,
}


def perfect(said: dict, truth: dict, seen: set, rng) -> dict:
    """What RDA's four steps give if the MLLM does exactly what it was taught."""
    facts = merge_facts(said, truth, seen)
    sentences = describe.sentences(facts)
    groups = [
        group for group, names in phrases.GROUPS.items() if any(name in facts for name in names)
    ]
    return {
        "vqa": dict(zip(PROMPTS.names, describe.answers(truth, seen), strict=True)),
        "enriched": describe.merged(facts),
        "sentences": sentences,
        "parts": [[describe.sentence(group, facts, rng) for _ in range(3)] for group in groups],
    }


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_writer_without_faults_is_exact(seed):
    rng = random.Random(seed)
    said = choose_facts(random_facts(rng), set(VALUES), rng)
    if said.get("pattern") == "plain":
        del said["pattern"]  # no caption says it in words
    texts = {7: perfect(said, random_facts(rng), set(VALUES), rng)}
    captions = pd.DataFrame({"caption_id": [7], "caption": [describe.caption(said, rng, "street")]})
    table = fidelity.compared(texts, captions, PROMPTS)
    assert table["exact"].all(), table.loc[~table["exact"], ["written", "wanted", "read"]].to_dict(
        "records"
    )
    assert fidelity.exactness(table)["exact"].tolist() == [100, 100, 100]


def test_the_caption_wins_and_answers_add():
    facts = fidelity.merged_facts("A woman in a blue sweater.", ANSWERS, PROMPTS)
    assert facts == {
        "sex": "woman",
        "upper": "sweater",
        "upper_colour": "blue",
        "sleeves": "long",
        "pattern": "striped",
        "scarf": "red",
    }


def test_each_fault_is_named():
    caption = "A woman in a blue sweater."
    row = {
        "vqa": ANSWERS,
        "enriched": "A woman wears a blue striped sweater with long sleeves and a grey scarf.",
        "sentences": [
            "The woman wears a blue striped sweater with long sleeves.",
            "The woman holds a cup.",
        ],
        "parts": [
            [
                "The lady has a blue striped jumper with long sleeves on.",
                "The lady wears a green park.",
            ],
            ["The lady holds a cup."],
        ],
    }
    table = fidelity.compared(
        {1: row}, pd.DataFrame({"caption_id": [1], "caption": [caption]}), PROMPTS
    )
    aggregated, split, *rewritten = table.itertuples()
    assert fidelity.difference(aggregated.wanted, aggregated.read) == [
        ("changed", "scarf", "red", "grey")
    ]
    assert fidelity.difference(split.wanted, split.read) == [
        ("lost", "scarf", "grey", "–"),
        ("added", "held", "–", "cup"),
    ]
    assert [row.exact for row in rewritten] == [True, False, True]
    told = fidelity.exactness(table)
    assert told["exact"].tolist() == pytest.approx([0, 0, 200 / 3])
    assert told.loc["aggregation", ["kept", "changed", "lost", "added"]].tolist() == pytest.approx(
        [500 / 6, 100 / 6, 0, 0]
    )
    ways = fidelity.ways(table)
    assert ways[ways["step"] == "aggregation"].iloc[0].tolist() == [
        "aggregation",
        "changed",
        "scarf",
        "red → grey",
        100,
    ]
    assert ways.groupby("step").size().to_dict() == {
        "aggregation": 1,
        "decomposition": 2,
        "rewriting": 5,
    }


def test_equal_sub_sentences_count_once_and_a_missing_text_is_an_error():
    row = {
        "vqa": {},
        "enriched": "A man.",
        "sentences": ["This is a man."],
        "parts": [["This is a guy."]],
    }
    captions = pd.DataFrame({"caption_id": [1, 2], "caption": ["A man.", "A guy."]})
    table = fidelity.compared({1: row, 2: row}, captions, PROMPTS)
    assert table["step"].value_counts().to_dict() == {
        "aggregation": 2,
        "decomposition": 2,
        "rewriting": 1,
    }
    assert table["exact"].all()
    with pytest.raises(KeyError):
        fidelity.compared({1: row}, captions, PROMPTS)


def test_a_lone_pattern_is_a_fact_and_plain_is_none():
    assert fidelity.read_answer("Plaid.") == {"pattern": "checked"}
    assert fidelity.stated(["The man wears a plain red t-shirt."]) == {
        "sex": "man",
        "upper": "t-shirt",
        "upper_colour": "red",
    }
