"""The stand-ins repeat exactly, and each has its benchmark's layout and a character of its own."""

import hashlib
import json
import re

import numpy as np
import PIL
import pytest
from standin_fixtures import EACH, SIZES

from icl_lib.data import read_benchmark
from icl_lib.data.standin import make_standin, oracle, read_truth
from icl_lib.data.standin.cameras import CAMERAS
from icl_lib.data.standin.grammars import LEAST_WORDS
from icl_lib.params import load_params

TOP_FOLDERS = {
    "cuhk": {"CUHK01", "CUHK03", "Market", "cam_a", "cam_b", "train_query", "test_query"},
    "icfg": {"train", "test"},
}
# Of the stand-in of RSTPReid, seed 5, as the committed results were made from it.
GOLDEN = {"data_captions.json": "dcd2c43e83040ed4584898647e08c6cefacece8bf344a12bddfb6e99cdb8ac04",
          "standin_truth.json": "8c1b15e4c65661ceca6e1b7d81f7b7ead4077216c61227e06c2f8282634ef75f",
          "imgs": "3de873bcb599ce537a5e71a4043d43623e19104ee7dc54a87bf01f05b61a542a"}  # fmt: skip


def test_the_rstpreid_stand_in_has_the_files_and_keys_of_rstpreid(drawn):
    records = json.loads((drawn["rstp"] / "data_captions.json").read_text())
    assert len(records) == 9 * 5
    assert all(
        set(r) == {"id", "img_path", "captions", "split"} and len(r["captions"]) == 2
        for r in records
    )
    manifest = read_benchmark("rstp", drawn["rstp"], strict=True)
    assert manifest.groupby("split")["pid"].nunique().to_dict() == {"train": 4, "val": 2, "test": 3}
    assert manifest["image_id"].nunique() == 45 and len(manifest) == 90
    assert not any(manifest.attrs["report"].values())
    assert "no real person" in (drawn["rstp"] / "DATA_CARD.md").read_text()


def test_rstpreids_stand_in_keeps_its_bytes(drawn):
    for file in ("data_captions.json", "standin_truth.json"):
        assert hashlib.sha256((drawn["rstp"] / file).read_bytes()).hexdigest() == GOLDEN[file], file
    if (PIL.__version__, np.__version__) == (
        "13.0.0",
        "2.4.6",
    ):  # other versions may round and pack pixels otherwise
        pixels = hashlib.sha256()
        for path in sorted((drawn["rstp"] / "imgs").iterdir()):
            pixels.update(path.name.encode() + path.read_bytes())
        assert pixels.hexdigest() == GOLDEN["imgs"]


def test_the_same_seed_writes_the_same_bytes_and_another_seed_other_people(drawn, tmp_path):
    sizes = {"train": 4, "val": 2, "test": 3}
    make_standin("rstp", tmp_path / "again", sizes, seed=5, workers=2)
    make_standin("rstp", tmp_path / "other", sizes, seed=6, workers=1)
    for file in sorted(
        p.relative_to(drawn["rstp"]) for p in drawn["rstp"].rglob("*") if p.is_file()
    ):
        assert (drawn["rstp"] / file).read_bytes() == (tmp_path / "again" / file).read_bytes(), file
    assert (drawn["rstp"] / "data_captions.json").read_bytes() != (
        tmp_path / "other" / "data_captions.json"
    ).read_bytes()


@pytest.mark.parametrize("name", ["cuhk", "icfg", "ufine"])
def test_the_other_stand_ins_repeat_as_well(drawn, tmp_path, name):
    make_standin(name, tmp_path, SIZES[name], seed=5, images_per_id=EACH.get(name), workers=1)
    files = sorted(p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file())
    assert files == sorted(
        p.relative_to(drawn[name]) for p in drawn[name].rglob("*") if p.is_file()
    )
    assert all(
        (tmp_path / file).read_bytes() == (drawn[name] / file).read_bytes() for file in files
    )


@pytest.mark.parametrize("name", SIZES)
def test_each_has_its_benchmarks_files_keys_splits_and_numbers(drawn, name):
    data, root = load_params(name).data, drawn[name]
    records = json.loads((root / data.annotation).read_text())
    key = "img_path" if name == "rstp" else "file_path"
    tokens = {"processed_tokens"} if name in ("cuhk", "icfg") else set()
    assert all(set(record) == {"id", key, "captions", "split"} | tokens for record in records)
    assert {len(record["captions"]) for record in records} == {1 if name == "icfg" else 2}
    for record in records if tokens else []:
        assert [" ".join(t) for t in record["processed_tokens"]] == [
            " ".join(re.findall(r"[a-z0-9'-]+", text.lower())) for text in record["captions"]
        ]
    ids = [record["id"] for record in records]
    first = 1 if name == "cuhk" else 0
    assert sorted(set(ids)) == list(
        range(first, first + sum(SIZES[name].values()))
    ) and ids == sorted(ids)
    has = {
        split
        for split, count in zip(("train", "val", "test"), data.expected.ids, strict=True)
        if count
    }
    manifest = read_benchmark(name, root, strict=True, check_pictures=True)
    assert (
        manifest.groupby("split")["pid"].nunique().to_dict() == SIZES[name]
        and set(SIZES[name]) == has
    )
    assert {
        record[key].split("/")[0] for record in records if "/" in record[key]
    } >= TOP_FOLDERS.get(name, set())
    names = [record[key].rpartition("/")[2] for record in records]
    assert (
        len(set(names)) == len(names) == len(read_truth(root)["pictures"])
    )  # the truth is kept by file name
    assert oracle(root, manifest.loc[manifest["split"] == "test", "path"].unique().tolist()) > 50
    assert "no real person" in (root / "DATA_CARD.md").read_text()


def test_each_identity_is_seen_by_five_different_cameras(drawn):
    pictures = read_truth(drawn["rstp"])["pictures"]
    for pid in range(9):
        assert sorted(p["camera"] for p in pictures.values() if p["pid"] == pid) == list(
            range(len(CAMERAS))
        )


def test_captions_say_only_what_the_picture_shows_but_for_a_few_mistakes(drawn):
    wrong = total = 0
    for picture in read_truth(drawn["rstp"])["pictures"].values():
        for facts in picture["facts"]:
            assert set(facts) <= set(picture["seen"]) | {"sex"}
            total += 1
            wrong += any(picture["truth"][name] != value for name, value in facts.items())
    assert wrong <= 0.2 * total


@pytest.mark.parametrize("name", ["cuhk", "icfg", "ufine"])
def test_what_they_say_is_drawn_and_visible_but_for_a_few_mistakes(drawn, name):
    wrong = total = 0
    for picture in read_truth(drawn[name])["pictures"].values():
        for facts in picture["facts"]:
            assert set(facts) <= set(picture["seen"])
            bad = sum(picture["truth"][attribute] != value for attribute, value in facts.items())
            assert bad <= 1
            wrong, total = wrong + bad, total + 1
    assert wrong / total < 0.25


def test_stand_ins_differ_in_pictures_per_identity_and_in_picture_size(drawn):
    shapes, counts = {}, {}
    for name, root in drawn.items():
        table = read_benchmark(name, root)
        pictures = table.drop_duplicates("image_id")
        counts[name] = pictures.groupby("pid").size()
        shapes[name] = {PIL.Image.open(path).size for path in pictures["path"]}
    assert (
        counts["rstp"].unique().tolist() == [5]
        and counts["cuhk"].mean() == 3
        and counts["icfg"].mean() == 4
    )
    assert counts["icfg"].nunique() > 1 and counts["ufine"].nunique() > 1
    assert len(shapes["cuhk"]) >= 4 and all(
        len(shapes[name]) == 1 for name in ("rstp", "icfg", "ufine")
    )
    assert len(shapes["rstp"] | shapes["icfg"] | shapes["ufine"]) == 3


def texts_of(root):
    return [
        text for picture in read_truth(root)["pictures"].values() for text in picture["captions"]
    ]


def test_only_ufine_captions_are_long(drawn):
    words = {name: [len(text.split()) for text in texts_of(root)] for name, root in drawn.items()}
    assert min(words["ufine"]) > LEAST_WORDS >= max(words["icfg"])
    assert np.median(words["rstp"]) < np.median(words["icfg"]) and np.median(
        words["cuhk"]
    ) < np.median(words["icfg"])
    assert all(text.count(". ") >= 5 for text in texts_of(drawn["ufine"]))


def test_no_two_stand_ins_share_people_or_phrases(drawn):
    people = {
        name: {json.dumps(one, sort_keys=True) for one in read_truth(root)["people"]}
        for name, root in drawn.items()
    }
    threes = {}
    for name, root in drawn.items():
        words = [text.lower().split() for text in texts_of(root)]
        threes[name] = {tuple(own[i : i + 3]) for own in words for i in range(len(own) - 2)}
    for one in drawn:
        for other in drawn:
            if one < other:
                assert not people[one] & people[other]
                assert len(threes[one] & threes[other]) < 0.25 * min(
                    len(threes[one]), len(threes[other])
                )


@pytest.mark.parametrize(
    ("name", "identities", "told"),
    [
        ("rstpp", 20, "did you mean 'rstp'"),
        ("nowhere", 9, "nowhere"),
        ("rstp", {"train": 1}, "each of train, val, test"),
        ("rstp", 1, "at least one identity"),
        ("icfg", {"train": 3, "val": 1, "test": 1}, "each of train, test"),
        ("cuhk", {"train": 3, "test": 1}, "each of train, val, test"),
        ("ufine", 1, "at least one identity"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_written(tmp_path, name, identities, told):
    with pytest.raises(ValueError, match=told):
        make_standin(name, tmp_path / "x", identities)
    assert not (tmp_path / "x").exists()
