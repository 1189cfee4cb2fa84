import json
import os

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from icl_lib import rda
from icl_lib.mllm.base import MLLM
from icl_lib.mllm.prompts import load_prompts
from icl_lib.params.paths import repo_root
from icl_lib.rda import augment, draw, read_diversity, write_diversity
from icl_lib.results import journal


class Writer(MLLM):
    """Writes by rules, so that every step's outcome is known; counts what it was asked."""

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
            for prompt, image in zip(prompts, images or [None] * len(prompts))
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


@pytest.fixture
def captions(tmp_path):
    folder = tmp_path / "RSTPReid" / "imgs"
    folder.mkdir(parents=True)
    rows = []
    for image in range(3):
        path = folder / f"{image:04d}_c1.jpg"
        Image.new("RGB", (4, 8), (60 * image, 0, 0)).save(path)
        rows += [
            ("train", image // 2, image, str(path), 2 * image + k, f"Caption {image} {k}.")
            for k in (0, 1)
        ]
    table = pd.DataFrame(
        rows, columns=["split", "pid", "image_id", "path", "caption_id", "caption"]
    )
    table.attrs["root"] = str(tmp_path / "RSTPReid")
    return table


def test_the_four_steps(captions, tmp_path):
    mllm = Writer()
    found = augment(captions, mllm, tmp_path / "rda", m=2)
    assert list(found) == [0, 1, 2, 3, 4, 5]
    one = found[3]
    assert one["vqa"]["sex"] == "person of 0001_c1.jpg" and one["vqa"]["hat"] is None
    assert one["enriched"] == "Caption 1 1. It was seen. Same for all."
    assert one["sentences"] == ["Caption 1 1.", "It was seen.", "Same for all."]
    assert one["parts"][0] == ["Caption 1 1 in words 1.", "Caption 1 1 in words 2."]
    # 3 pictures, 6 mergings, 6 decompositions, and 6 + 2 distinct sub-sentences.
    assert len(mllm.asked) == 3 + 6 + 6 + 8


def test_a_second_run_asks_nothing(captions, tmp_path):
    first = augment(captions, Writer(), tmp_path / "rda", m=2)
    again = Writer()
    assert augment(captions, again, tmp_path / "rda", m=2) == first and again.asked == []


@pytest.mark.parametrize("fail_after", range(0, 22, 3))
def test_stopped_anywhere_it_goes_on(captions, tmp_path, monkeypatch, fail_after):
    monkeypatch.setattr(journal, "PORTION", 2)
    whole = augment(captions, Writer(), tmp_path / "whole", m=3)
    with pytest.raises(KeyboardInterrupt):
        augment(captions, Writer(fail_after), tmp_path / "rda", m=3)
    last = max((tmp_path / "rda").glob("*.jsonl"), key=lambda file: file.stat().st_mtime_ns)
    with last.open("a") as stream:
        stream.write('{"key": 1, "giv')  # what a kill in the middle of a write leaves
    rest = Writer()
    assert augment(captions, rest, tmp_path / "rda", m=3) == whole
    assert len(rest.asked) <= 23 - fail_after + 2


def test_other_captions_are_refused(captions, tmp_path):
    augment(captions, Writer(), tmp_path / "rda", m=2)
    captions.loc[0, "caption"] = "Another one."
    with pytest.raises(ValueError, match="made from other captions.*Another one"):
        augment(captions, Writer(), tmp_path / "rda", m=2)


def test_a_moved_data_set_is_the_same(captions, tmp_path):
    first = augment(captions, Writer(), tmp_path / "rda", m=2)
    moved = captions.assign(path=captions["path"].str.replace("RSTPReid", "elsewhere"))
    assert augment(moved, Writer(), tmp_path / "rda", m=2) == first


def test_a_damaged_line_is_named(captions, tmp_path):
    augment(captions, Writer(), tmp_path / "rda", m=2)
    (tmp_path / "rda" / "vqa.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="vqa.jsonl, line 1 is damaged"):
        augment(captions, Writer(), tmp_path / "rda", m=2)


def test_draw_reorders_and_picks():
    parts = [["a1", "a2"], ["b"], ["c1", "c2", "c3"]]
    texts = {draw(parts, np.random.default_rng(seed)) for seed in range(400)}
    assert len(texts) == 6 * 2 * 3
    for text in texts:
        assert sorted(word[0] for word in text.split(" ")) == ["a", "b", "c"]
    assert draw(parts, np.random.default_rng(7)) == draw(parts, np.random.default_rng(7))
    assert (
        draw([], np.random.default_rng(0)) == ""
        and draw([[], ["x"]], np.random.default_rng(0)) == "x"
    )


def test_diversity_file_round_trip(captions, tmp_path):
    parts = {
        i: one["parts"] for i, one in augment(captions, Writer(), tmp_path / "rda", m=2).items()
    }
    file = tmp_path / "diversity.json"
    write_diversity(captions, parts, file)
    record = json.loads(file.read_text())[1]
    assert record["img_path"] == "0001_c1.jpg" and record["id"] == 0 and record["split"] == "train"
    assert record["captions"] == ["Caption 1 0.", "Caption 1 1."]
    assert record["diversity_captions"][1] == parts[3]
    assert read_diversity(file, captions) == parts


def test_the_authors_file_is_read_by_path_and_text(captions, tmp_path):
    file = tmp_path / "theirs.json"
    records = [
        {
            "id": 0,
            "file_path": "imgs/0000_c1.jpg",
            "split": "train",
            "processed_tokens": [],
            "captions": ["Caption 0 1.", "not in the manifest"],
            "diversity_captions": [[["x", "y"]], [["z"]]],
        },
        {
            "id": 9,
            "file_path": "imgs/unknown.jpg",
            "split": "test",
            "captions": ["q"],
            "diversity_captions": [[["q"]]],
        },
    ]
    file.write_text(json.dumps(records))
    assert read_diversity(file, captions) == {1: [["x", "y"]]}


@pytest.mark.parametrize(
    "record, told",
    [
        ({"captions": ["a"]}, "record 0 has neither img_path nor file_path"),
        ({"img_path": "a.jpg", "captions": ["a"], "diversity_captions": []}, "equally long"),
        (
            {"img_path": "a.jpg", "captions": ["a"], "diversity_captions": [["a"]]},
            "non-empty lists of texts",
        ),
        (
            {"img_path": "a.jpg", "captions": ["a"], "diversity_captions": [[[]]]},
            "non-empty lists of texts",
        ),
        (
            {"img_path": "a.jpg", "captions": ["a"], "diversity_captions": [[["b"]]]},
            "None of the 1 records",
        ),
        ("text", "record 0 has neither"),
    ],
)
def test_malformed_records_are_named(captions, tmp_path, record, told):
    file = tmp_path / "bad.json"
    file.write_text(json.dumps([record]))
    with pytest.raises(ValueError, match=told):
        read_diversity(file, captions)


ROWS = {
    1: {
        "enriched": "x",
        "sentences": ["said", "doubted", "believed"],
        "parts": [["a"], ["b", "c"], ["d"]],
    },
    2: {"enriched": "y", "sentences": ["doubted"], "parts": [["b", "c"]]},
}
TWO = pd.DataFrame({"caption_id": [1, 2], "path": ["p.jpg", "q.jpg"]})


def test_sub_sentences_once_a_picture_and_whether_a_caption_said_them():
    table = rda.sub_sentences(ROWS, TWO, [["said", "unheard of"], ["said"]])
    assert table.to_dict("list") == {
        "path": ["p.jpg"] * 3 + ["q.jpg"],
        "text": ["said", "doubted", "believed", "doubted"],
        "captioned": [True, False, False, False],
    }


def test_the_filter_spares_what_a_caption_said_and_leaves_no_caption_empty():
    checked = rda.sub_sentences(ROWS, TWO, [["said"], []]).assign(p=[0.0, 0.1, 0.9, 0.2])
    left = rda.without_least(ROWS, TWO, checked, 0.5)
    assert left[1]["sentences"] == ["said", "believed"] and left[1]["parts"] == [["a"], ["d"]]
    assert left[2]["sentences"] == ["doubted"] and left[1]["enriched"] == "x"
    assert rda.without_least(ROWS, TWO, checked, 0.0) == ROWS
    assert rda.without_least(ROWS, TWO, checked, 1.0)[1]["sentences"] == ["said"]


def test_a_text_of_additions_alone_keeps_the_most_believed():
    rows = {1: {"sentences": ["one", "two", "three"], "parts": [["1"], ["2"], ["3"]]}, 2: ROWS[2]}
    checked = rda.sub_sentences(rows, TWO, [[], []]).assign(p=[0.1, 0.3, 0.2, 0.9])
    assert rda.without_least(rows, TWO, checked, 0.9)[1]["sentences"] == ["two"]


def test_nothing_is_dropped_where_captions_said_all():
    checked = rda.sub_sentences(ROWS, TWO, [["said", "doubted", "believed"], ["doubted"]]).assign(
        p=0.5
    )
    assert rda.without_least(ROWS, TWO, checked, 0.9) == ROWS
