import re
from pathlib import Path

import pytest
import yaml

from icl_lib.mllm import load_prompts
from icl_lib.params.paths import repo_root

FOLDER = repo_root() / "params" / "prompts"
THE_15 = [
    "sex",
    "hairstyle",
    "upper body",
    "lower body",
    "patterns",
    "shoes",
    "glasses",
    "scarf",
    "thing in hand",
    "backpack",
    "hat",
    "belt",
    "action",
    "background",
    "other people",
]


@pytest.fixture
def full():
    return load_prompts("full", FOLDER)


@pytest.fixture
def content():
    return yaml.safe_load((FOLDER / "full.yaml").read_text())


def written(tmp_path, content) -> Path:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_full_asks_the_paper_s_fifteen_characteristics_and_its_question(full):
    assert full.names == THE_15
    assert full.ask_match("A man.").startswith("Can this text accurately describe the image?")
    assert "A man." in full.ask_match("A man.")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_file_is_whole(path):
    prompts = load_prompts(path.stem, FOLDER)
    assert len(prompts.characteristics) == 15
    filled = [
        prompts.ask_match("T"),
        prompts.ask_answers(),
        prompts.ask_merged({prompts.names[0]: "A"}, "T"),
        prompts.ask_parts("T"),
        prompts.ask_rewritten("T", 3),
    ]
    assert not any(
        re.search(r"\{(text|questions|answers|count|name|answer)\}", text) for text in filled
    )


def test_questions_are_numbered_and_the_query_is_not_among_them(full):
    asked = full.ask_answers()
    for number, item in enumerate(full.characteristics, 1):
        assert f"{number}. {item.question}" in asked
    assert "{" not in asked


def test_answers_that_say_nothing_are_left_out(full):
    answers = dict.fromkeys(THE_15) | {
        "sex": "a woman.",
        "hat": "No",
        "scarf": "No, she does not.",
        "glasses": "None",
        "belt": "not visible in the picture",
        "shoes": "navy shoes",
        "backpack": "No backpack visible.",
        "action": "northbound walk",
    }
    assert (
        full.answers_text(answers)
        == "- sex: a woman\n- shoes: navy shoes\n- action: northbound walk"
    )


def test_braces_in_a_caption_are_text(full):
    assert "{answers} and {text}" in full.ask_merged({"sex": "a man"}, "{answers} and {text}")


def test_missing_placeholder_is_named(tmp_path, content):
    content["aggregate"] = "Merge {text}."
    with pytest.raises(ValueError, match=r"aggregate lacks the placeholder \{answers\}"):
        load_prompts(written(tmp_path, content), FOLDER)


def test_unknown_placeholder_is_named_with_the_nearest(tmp_path, content):
    content["loc"] = "{text} {txet}"
    with pytest.raises(
        ValueError, match=r"loc has an unknown placeholder \{txet\} \(did you mean text\?\)"
    ):
        load_prompts(written(tmp_path, content), FOLDER)


def test_missing_and_unknown_keys_are_all_named(tmp_path, content):
    content["decompse"] = content.pop("decompose")
    content["characteristics"][2].pop("question")
    with pytest.raises(ValueError) as error:
        load_prompts(written(tmp_path, content), FOLDER)
    for part in (
        "the key decompose is missing",
        "unknown key decompse (did you mean decompose?)",
        "the key characteristics.2.question is missing",
    ):
        assert part in str(error.value)


def test_a_characteristic_named_twice_is_refused(tmp_path, content):
    content["characteristics"].append(content["characteristics"][0])
    with pytest.raises(ValueError, match="named twice: sex"):
        load_prompts(written(tmp_path, content), FOLDER)


def test_unknown_file_gives_the_names_there_are():
    with pytest.raises(FileNotFoundError, match="did you mean full"):
        load_prompts("ful", FOLDER)


def test_broken_yaml_is_named(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("loc: [")
    with pytest.raises(ValueError, match=r"broken.yaml is not readable YAML"):
        load_prompts(path, FOLDER)


def test_hash_follows_the_wording(tmp_path, full, content):
    content["loc"] += " Please."
    assert load_prompts(written(tmp_path, content), FOLDER).hash != full.hash
