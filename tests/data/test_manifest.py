"""The manifest: its views, its fingerprint, and a val split held out of train."""

import shutil

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import layout, picture, record

from icl_lib import load_params, stages
from icl_lib.data import captions, check, fingerprint, hold_out, images, read_benchmark
from icl_lib.data.checks import identities_in_two_splits
from icl_lib.data.manifest import COLUMNS


def test_fingerprint_follows_content_not_place(tmp_path):
    records = [record("cam/a.jpg"), record("b.jpg", "test", 3)]
    layout(tmp_path / "one", records)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    one, two = (read_benchmark("rstp", tmp_path / place) for place in ("one", "two"))
    assert fingerprint(one) == fingerprint(two) == fingerprint(one.merge(one))
    test = one[one["split"] == "test"]
    assert fingerprint(test) == fingerprint(two[two["split"] == "test"]) != fingerprint(one)
    assert fingerprint(one.assign(caption="other")) != fingerprint(one)
    picture(tmp_path / "two/RSTPReid/imgs/b.jpg", size=(16, 44))
    assert fingerprint(two) != fingerprint(one)


def test_images_and_captions_views(tmp_path):
    layout(
        tmp_path,
        [record("a.jpg"), record("b.jpg", "test", 3, ("one",)), record("c.jpg", "test", 3)],
    )
    table = read_benchmark("rstp", tmp_path).sample(frac=1, random_state=0)
    assert images(table, "test")["image_id"].tolist() == [1, 2] and len(images(table)) == 3
    assert (
        captions(table, "test")["caption_id"].tolist() == [2, 3, 4]
        and len(captions(table, "val")) == 0
    )
    with pytest.raises(ValueError, match="unknown split"):
        images(table, "validation")


def manifest(rows):
    return pd.DataFrame(rows, columns=COLUMNS)


def people(train=10, test=2):
    rows = []
    for number in range(2 * (train + test)):
        pid = number // 2
        split = "train" if pid < train else "test"
        rows.append((split, pid, number, f"{number}.jpg", number, f"text {number}"))
    return manifest(rows)


@given(train=st.integers(2, 20), share=st.floats(0, 0.99), seed=st.integers(0, 5))
def test_holding_out_moves_whole_identities(train, share, seed):
    before = people(train)
    wanted = int(share * train)
    after = hold_out(before, wanted, seed)
    assert after.drop(columns="split").equals(before.drop(columns="split"))
    assert after.loc[
        after["split"] == "val", "pid"
    ].nunique() == wanted and not identities_in_two_splits(after)
    assert (after["split"] == "test").equals(before["split"] == "test")
    assert after.equals(hold_out(before, wanted, seed))
    if wanted:
        assert after.attrs["held_out"] == {
            "identities": wanted,
            "images": 2 * wanted,
            "captions": 2 * wanted,
            "seed": seed,
        }


def test_held_out_identities_stand_in_the_table_and_in_the_published_counts():
    published = load_params("icfg").data.expected
    rows = [("train", i % 3102, i, f"{i}.jpg", i, "a text") for i in range(published.images[0])]
    table = check(hold_out(manifest(rows), 200), "icfg").set_index(["check", "split"])
    assert table.loc[("identities", "train"), "found"] == 2902
    for what in ("identities", "images", "captions"):
        assert table.loc[(what, "train"), "verdict"].startswith("as published, with ")
        assert "held out of train" in table.loc[(what, "val"), "verdict"]
    assert table.loc[("identities", "val"), "found"] == 200


def test_holding_out_refuses_impossible_numbers():
    with pytest.raises(
        ValueError, match=r"10 identities cannot be held out of the 10.*data\.val_from_train"
    ):
        hold_out(people(), 10)
    with pytest.raises(ValueError, match="val split of its own"):
        hold_out(hold_out(people(), 2), 2)
    assert hold_out(people(), 0).equals(people())


@pytest.mark.parametrize("name", ["icfg", "ufine", "rstp", "cuhk"])
def test_the_pipeline_has_a_val_split_for_every_benchmark(tmp_path, monkeypatch, name):
    monkeypatch.setenv("ICL_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))
    sizes = {"ids_train": 4, "ids_val": 2, "ids_test": 1, "images_per_id": 1}
    table = stages.data(load_params(name, **sizes))
    assert table.groupby("split")["pid"].nunique().to_dict() == {"train": 4, "val": 2, "test": 1}
    own = name in ("rstp", "cuhk")
    assert ("held_out" in table.attrs) != own
    again = stages.data(load_params(name, **sizes, seed=3))
    assert again["split"].equals(table["split"])  # the same people for every seed
    more = stages.data(load_params(name, **sizes, val_from_train=1))
    assert more.groupby("split")["pid"].nunique().to_dict()["val"] == (2 if own else 1)
    if not own:
        with pytest.raises(
            ValueError, match=r"the val split has no captions.*data\.val_from_train"
        ):
            stages.candidates(load_params(name, **sizes, val_from_train=0), "val")


def test_the_paper_profile_holds_200_out_where_there_is_no_val():
    wanted = {
        name: load_params(name, "paper").data.val_from_train
        for name in ("cuhk", "icfg", "rstp", "ufine")
    }
    assert wanted == {"cuhk": None, "icfg": 200, "rstp": None, "ufine": 200}
