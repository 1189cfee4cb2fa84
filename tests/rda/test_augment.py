"""The four steps of RDA, made once, and where a killed run goes on."""

import os

import numpy as np
import pytest

from icl_lib.mllm.base import MLLM
from icl_lib.mllm.prompts import load_prompts
from icl_lib.params.paths import repo_root
from icl_lib.rda import augment, draw
from icl_lib.results import Journal


class Writer(MLLM):
    """INSTRUMENT, no model: writes by rules, so that each step's outcome is known."""

    name = writer_name = "writer"
    batch_size, max_new_tokens = 4, 64

    def __init__(self, fail_after=None):
        super().__init__()
        self.prompts = load_prompts("full", repo_root() / "params" / "prompts")
        self.asked, self.fail_after = [], fail_after

    def p_yes(self, images, texts):
        raise AssertionError("RDA asks no Yes/No")

    def write(self, prompts, images=None):
        if self.fail_after is not None and len(self.asked) + len(prompts) > self.fail_after:
            raise KeyboardInterrupt
        self.asked += prompts
        return [
            self.reply(prompt, image)
            for prompt, image in zip(prompts, images or [None] * len(prompts), strict=True)
        ]

    def reply(self, prompt, image):
        if image is not None:
            return f"1. person of {os.path.basename(image)}\n3. a coat"
        last = prompt.strip().splitlines()[-1]
        if last.startswith("Description: "):
            return "\n".join(
                part.strip() + "."
                for part in last.removeprefix("Description: ").split(".")
                if part.strip()
            )
        if last.startswith("Sentence: "):
            return "\n".join(
                f"{i}. {last.removeprefix('Sentence: ')[:-1]} in words {i}." for i in (1, 2, 3, 4)
            )
        witness = next(line for line in prompt.splitlines()[::-1] if line.startswith("Witness: "))
        return f"{witness.removeprefix('Witness: ')} It was seen. Same for all."


def test_captions_go_through_the_four_steps(captions, tmp_path):
    mllm = Writer()
    found = augment(captions, mllm, tmp_path / "rda", m=2)
    assert list(found) == [0, 1, 2, 3, 4, 5]
    one = found[3]
    assert one["vqa"]["sex"] == "person of 0001_c1.jpg" and one["vqa"]["hat"] is None
    assert one["enriched"] == "Caption 1 1. It was seen. Same for all."
    assert one["sentences"] == ["Caption 1 1.", "It was seen.", "Same for all."]
    assert one["parts"][0] == ["Caption 1 1 in words 1.", "Caption 1 1 in words 2."]
    # 3 images, 6 mergings, 6 decompositions, and 6 + 2 distinct sub-sentences.
    assert len(mllm.asked) == 3 + 6 + 6 + 8


def test_a_second_run_asks_nothing(captions, tmp_path):
    first = augment(captions, Writer(), tmp_path / "rda", m=2)
    again = Writer()
    assert augment(captions, again, tmp_path / "rda", m=2) == first and again.asked == []


@pytest.mark.parametrize("fail_after", range(0, 22, 3))
def test_a_run_stopped_anywhere_goes_on_and_ends_the_same(
    captions, tmp_path, monkeypatch, fail_after
):
    complete = Journal.complete
    monkeypatch.setattr(
        Journal, "complete", lambda self, *args, **kw: complete(self, *args, **kw, portion=2)
    )
    whole = augment(captions, Writer(), tmp_path / "whole", m=3)
    with pytest.raises(KeyboardInterrupt):
        augment(captions, Writer(fail_after), tmp_path / "rda", m=3)
    for journal in (tmp_path / "rda").glob("*.jsonl"):
        with journal.open("a") as stream:
            stream.write('{"key": ["merging", 1], "res')  # as a kill in the middle of a write does
    rest = Writer()
    assert augment(captions, rest, tmp_path / "rda", m=3) == whole
    assert len(rest.asked) <= 23 - fail_after + 2


def test_other_captions_and_another_mllm_are_asked_anew(captions, tmp_path):
    first = augment(captions, Writer(), tmp_path / "rda", m=2)
    changed, other = captions.copy(), Writer()
    changed.loc[0, "caption"] = "Another one."
    found = augment(changed, Writer(), tmp_path / "rda", m=2)
    assert found[0]["enriched"].startswith("Another one.") and found[5] == first[5]
    other.writer_name = "another writer"
    augment(captions, other, tmp_path / "rda", m=2)
    assert len(other.asked) == 23
    again = Writer()
    assert augment(captions, again, tmp_path / "rda", m=2) == first and again.asked == []


def test_another_number_of_rewritings_is_asked_anew(captions, tmp_path):
    augment(captions, Writer(), tmp_path / "rda", m=2)
    more = Writer()
    assert len(augment(captions, more, tmp_path / "rda", m=4)[0]["parts"][0]) == 4
    assert len(more.asked) == 8


def test_a_moved_data_set_asks_nothing_again(captions, tmp_path):
    first = augment(captions, Writer(), tmp_path / "rda", m=2)
    moved = captions.assign(path=captions["path"].str.replace("RSTPReid", "elsewhere"))
    again = Writer()
    assert augment(moved, again, tmp_path / "rda", m=2) == first and again.asked == []


def test_draw_reorders_the_sub_sentences_and_picks_one_rewriting_of_each():
    parts = [["a1", "a2"], ["b"], ["c1", "c2", "c3"]]
    texts = {draw(parts, np.random.default_rng(seed)) for seed in range(400)}
    assert len(texts) == 6 * 2 * 3
    for text in texts:
        assert sorted(word[0] for word in text.split(" ")) == ["a", "b", "c"]
    assert draw(parts, np.random.default_rng(7)) == draw(parts, np.random.default_rng(7))
    assert draw([], np.random.default_rng(0)) == ""
    assert draw([[], ["x"]], np.random.default_rng(0)) == "x"
