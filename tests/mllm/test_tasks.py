import pytest

from icl_lib.mllm import aggregate, decompose, describe, rewrite


def test_describe_reads_answers_and_counts_what_it_could_not(scripted, pictures):
    replies = {
        pictures[0]: "1. a woman\n2. long black hair\n15. no",
        pictures[1]: "I'm sorry, I cannot help.",
    }
    mllm = scripted(reply=lambda prompt, image: replies[image])
    first, second = describe(mllm, pictures[:2])
    assert first["sex"] == "a woman" and first["other people"] == "no" and first["hat"] is None
    assert list(first) == mllm.prompts.names and set(second.values()) == {None}
    assert mllm.parse_report == {
        "vqa answers asked": 30,
        "vqa answers unread": 27,
        "vqa texts refused": 1,
    }


def test_aggregate_merges_only_what_was_said(scripted):
    mllm = scripted(
        reply=lambda prompt, image: "A woman in a red coat." if "red" in prompt else "I'm sorry."
    )
    answers = [{"upper body": "a red coat", "hat": "no"}, {"hat": "no"}, {"shoes": "white shoes"}]
    assert aggregate(mllm, answers, ["A woman.", "A man.", "A child."]) == [
        "A woman in a red coat.",
        "A man.",
        "A child.",
    ]
    assert len(mllm.written) == 2 and "hat" not in mllm.written[0].rpartition("Notes:")[2]
    assert mllm.parse_report == {
        "merged texts asked": 2,
        "merged texts unread": 1,
        "texts with nothing to merge": 1,
    }


def test_decompose_falls_back_on_the_text(scripted):
    mllm = scripted(
        reply=lambda prompt, image: (
            "She has long hair.\nShe wears a coat." if "long" in prompt else ""
        )
    )
    assert decompose(mllm, ["long hair, coat", "A man."]) == [
        ["She has long hair.", "She wears a coat."],
        ["A man."],
    ]
    assert mllm.parse_report["decompositions unread"] == 1


def test_rewrite_asks_equal_sentences_once_and_keeps_at_most_m(scripted):
    mllm = scripted(
        reply=lambda prompt, image: "1. A\n2. B\n3. b.\n4. C" if "coat" in prompt else "..."
    )
    found = rewrite(mllm, ["a coat", "a hat", "a coat"], 2)
    assert found == [["A", "B"], ["a hat"], ["A", "B"]] and len(mllm.written) == 2
    found[0].append("changed")
    assert found[2] == ["A", "B"]
    assert mllm.parse_report == {"rewritings asked": 2, "rewritings unread": 1}
    with pytest.raises(ValueError, match="at least one"):
        rewrite(mllm, ["a coat"], 0)


def test_the_real_pipeline_runs_on_a_random_model(make_local, pictures):
    mllm = make_local(max_new_tokens=40)
    answers = describe(mllm, pictures[:3])
    merged = aggregate(mllm, answers, ["a", "b", "c"])
    parts = decompose(mllm, merged)
    assert len(parts) == 3 and all(part for own in parts for part in own)
    assert all(1 <= len(lines) <= 2 for own in parts for lines in rewrite(mllm, own, 2))
    assert mllm.parse_report["vqa answers asked"] == 45
