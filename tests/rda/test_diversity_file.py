"""The file of RDA's texts in the authors' form."""

import json

import pytest

from icl_lib.rda import read_diversity, write_diversity


def test_what_is_written_is_read_back(captions, tmp_path):
    parts = {i: [[f"{i} one", f"{i} two"], ["three"]] for i in range(6)}
    file = tmp_path / "diversity.json"
    write_diversity(captions, parts, file)
    record = json.loads(file.read_text())[1]
    assert record["img_path"] == "0001_c1.jpg" and record["id"] == 0 and record["split"] == "train"
    assert record["captions"] == ["Caption 1 0.", "Caption 1 1."]
    assert record["diversity_captions"][1] == parts[3]
    assert read_diversity(file, captions) == parts


def test_the_authors_records_are_matched_by_path_and_text(captions, tmp_path):
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
