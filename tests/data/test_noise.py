"""Noise indices: read, drawn, and applied to the train split alone; broken files are refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from icl_lib.data.manifest import COLUMNS
from icl_lib.data.noise import apply_noise, draw_noise, read_noise


def manifest(people=6, pictures=2, captions=2):
    """A manifest of `people` train identities, and one more in val and in test."""
    rows, image, number = [], 0, 0
    for pid in range(people + 2):
        split = "train" if pid < people else "val" if pid == people else "test"
        for _ in range(pictures):
            for k in range(captions):
                rows.append(
                    (
                        split,
                        10 + pid,
                        image,
                        f"/x/{image}.jpg",
                        number,
                        f"picture {image}, text {k}",
                    )
                )
                number += 1
            image += 1
    return pd.DataFrame(rows, columns=COLUMNS)


def test_reading_what_was_written(tmp_path):
    index = draw_noise(np.arange(20) // 2, 0.5, 3)
    for dtype in (np.int32, np.uint16, np.int64):
        np.save(tmp_path / "again.npy", index.astype(dtype))
        found = read_noise(tmp_path / "again.npy", 20)
        assert found.dtype == np.int64 and np.array_equal(found, index)


@pytest.mark.parametrize(("content", "told"), [
    (np.arange(5), "has 5 entries but the train split has 4"),
    (np.arange(4.0), "whole numbers but is float64"),
    (np.arange(4).reshape(2, 2), r"shape \(2, 2\)"),
    (np.array([0, 1, 2, 4]), "entry 3 is 4, outside 0 … 3"),
    (np.array([0, 1, -1, 2]), "entry 2 is -1"),
    (np.array([0, 1, 1, 2]), "names pair 1 more than once"),
    (np.array([True] * 4), "whole numbers but is bool"),
    (np.array([0, "a", None, 2], dtype=object), "objects and pickles are refused")])  # fmt: skip
def test_a_file_that_is_not_a_noise_index_is_refused_by_name(tmp_path, content, told):
    np.save(tmp_path / "bad.npy", content, allow_pickle=True)
    with pytest.raises(ValueError, match=told) as error:
        read_noise(tmp_path / "bad.npy", 4)
    assert "bad.npy" in str(error.value)


def test_files_that_hold_something_else_are_refused(tmp_path):
    np.savez(tmp_path / "several.npz", a=np.arange(4))
    (tmp_path / "text.npy").write_text("0 1 2 3")
    (tmp_path / "empty.npy").write_bytes(b"")
    for name in ("several.npz", "text.npy", "empty.npy"):
        with pytest.raises(ValueError, match=name):
            read_noise(tmp_path / name, 4)
    with pytest.raises(FileNotFoundError, match="draw one"):
        read_noise(tmp_path / "gone.npy", 4)


def test_a_pickle_in_the_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "owned"), "w"))

    np.save(tmp_path / "evil.npy", np.array([Evil()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="refused"):
        read_noise(tmp_path / "evil.npy", 1)
    assert not (tmp_path / "owned").exists()


@given(
    people=st.integers(2, 12),
    each=st.integers(1, 5),
    share=st.sampled_from([0, 0.2, 0.5, 0.73, 1]),
    seed=st.integers(0, 99),
)
def test_a_draw_is_a_permutation_of_the_asked_share(people, each, share, seed):
    pids = np.repeat(np.arange(people), each)
    index = draw_noise(pids, share, seed)
    assert sorted(index) == list(range(len(pids)))
    assert np.array_equal(index, draw_noise(pids, share, seed))
    moved = index != np.arange(len(pids))
    assert moved.sum() <= round(share * len(pids))
    most = np.bincount(pids[moved], minlength=1).max()
    if moved.sum() >= 2 * most + 2:  # room enough: nobody moved has a caption of their own
        assert (pids[index] != pids)[moved].all()


def test_enough_people_give_exactly_the_share_and_nobody_their_own():
    pids = np.repeat(np.arange(200), 10)
    for share in (0.2, 0.5, 1):
        index = draw_noise(pids, share, 1)
        wrong = pids[index] != pids
        assert wrong.sum() == share * 2000 and (index != np.arange(2000)).sum() == wrong.sum()
    assert not np.array_equal(draw_noise(pids, 0.2, 1), draw_noise(pids, 0.2, 2))


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan"), True, "0.2"])
def test_shares_outside_0_to_1_are_refused(share):
    with pytest.raises(ValueError, match="from 0 to 1"):
        draw_noise([1, 2, 3], share)


@given(share=st.sampled_from([0.2, 0.5, 1.0]), seed=st.integers(0, 20))
def test_applied_to_train_alone_and_the_truth_is_kept(share, seed):
    table = manifest()
    noisy, clean = apply_noise(table, share, seed)
    train, before = noisy[noisy["split"] == "train"], table[table["split"] == "train"]
    assert list(noisy.columns) == COLUMNS and clean.dtype == bool and len(clean) == len(train) == 24
    assert noisy[noisy["split"] != "train"].equals(table[table["split"] != "train"])
    for column in ("split", "caption_id", "caption"):  # captions stay where they are …
        assert noisy[column].equals(table[column])
    # … and pictures move whole: every row's pid, image_id and path are still one picture's.
    pictures = set(before[["pid", "image_id", "path"]].itertuples(index=False, name=None))
    assert set(train[["pid", "image_id", "path"]].itertuples(index=False, name=None)) <= pictures
    assert sorted(train["image_id"]) == sorted(before["image_id"])
    said_of = train["caption"].str.extract(r"picture (\d+)")[0].astype(int).to_numpy()
    assert np.array_equal(clean, said_of == train["image_id"].to_numpy())
    # Six people and few chosen pairs: now and then somebody must keep a picture of their own.
    assert (
        round(share * 24) - 2
        <= (~clean).sum()
        == noisy.attrs["noise"]["wrong"]
        <= round(share * 24)
    )


def test_an_entry_is_the_caption_that_the_picture_gets(tmp_path):
    table = manifest(people=4, pictures=1, captions=1)
    index = np.array([1, 2, 0, 3])  # no involution, so the direction shows
    np.save(tmp_path / "index.npy", index)
    for given_as in (index, index.tolist(), str(tmp_path / "index.npy"), tmp_path / "index.npy"):
        noisy, clean = apply_noise(table, given_as)
        train = noisy[noisy["split"] == "train"]
        caption_of = dict(zip(train["image_id"], train["caption"], strict=True))
        assert [caption_of[i] for i in range(4)] == [f"picture {j}, text 0" for j in index]
        assert clean.tolist() == [False, False, False, True]


def test_captions_that_change_places_at_their_own_picture_stay_clean():
    table = manifest(people=2, pictures=1, captions=2)
    noisy, clean = apply_noise(table, [1, 0, 2, 3])
    assert clean.all() and noisy.equals(table)


def test_a_share_of_zero_changes_nothing_and_an_unfit_index_is_refused():
    table = manifest()
    assert apply_noise(table, 0)[0].equals(table) and apply_noise(table, 0)[1].all()
    with pytest.raises(ValueError, match="train split has no captions"):
        apply_noise(table[table["split"] == "test"], 0.2)
    with pytest.raises(ValueError, match="of another benchmark"):
        apply_noise(table, np.arange(7))


def test_the_given_manifest_is_left_alone():
    table = manifest()
    before = table.copy()
    apply_noise(table, 1.0)
    assert table.equals(before) and "noise" not in table.attrs
