"""The index of a folder of pictures: complete, kept up to date, and never wrong after a kill."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from layouts import picture

from icl_lib.search import index as module
from icl_lib.search.index import open_index
from icl_lib.search.listing import groups_of, listed

NAMES = ["a.png", "b.jpg", "gate/c.jpg", "gate/d.png", "hall/1/e.jpg", "hall/f.jpg", "z.JPG"]


@pytest.fixture
def opened(folder, pixels, tmp_path):
    """A function that opens the folder's index and checks every vector against its picture."""

    def open_(**options):
        index = open_index(folder, pixels, "pixels", tmp_path / "cache", **options)
        assert len(index.paths) == len(index.names) == len(index.groups) == len(index.gallery)
        assert [os.path.relpath(path, folder) for path in index.paths] == index.names
        own = type(pixels)().encode_images(index.paths)
        np.testing.assert_array_equal(index.vectors, own)
        np.testing.assert_array_equal(index.gallery.search(own, 1)[1][:, 0], range(len(own)))
        return index

    return open_


def test_a_folder_is_encoded_once(opened, pixels):
    index = opened()
    assert index.names == NAMES and index.title == "mine" and index.skipped == []
    assert index.groups == ["", "", "gate", "gate", "hall", "hall", ""]
    assert isinstance(index.vectors, np.memmap) and not index.vectors.flags.writeable
    assert len(pixels.encoded) == 7
    opened()
    assert len(pixels.encoded) == 7


def test_only_new_and_changed_pictures_are_encoded_and_removed_ones_leave(opened, folder, pixels):
    opened()
    picture(folder / "b.jpg", seed=90)  # changed
    picture(folder / "gate" / "new.jpg", seed=91)
    (folder / "a.png").unlink()
    (folder / "z.JPG").rename(folder / "moved.jpg")
    pixels.encoded.clear()
    index = opened()
    assert {os.path.relpath(path, folder) for path in pixels.encoded} == {
        "b.jpg",
        "gate/new.jpg",
        "moved.jpg",
    }
    left = [name for name in NAMES if name not in ("a.png", "z.JPG")]
    assert index.names == sorted([*left, "gate/new.jpg", "moved.jpg"])


def test_a_picture_replaced_by_one_of_equal_size_is_noticed_by_its_time(opened, folder, pixels):
    path = folder / "a.bmp"  # a BMP's size depends on its sides only
    picture(path, seed=90)
    opened()
    pixels.encoded.clear()
    size = path.stat().st_size
    picture(path, seed=91)
    os.utime(path, (1, 1))
    assert path.stat().st_size == size
    opened()
    assert [os.path.basename(path) for path in pixels.encoded] == ["a.bmp"]


@pytest.mark.parametrize("killed_by", [KeyboardInterrupt, RuntimeError])
def test_a_killed_run_goes_on_where_it_stopped(opened, pixels, monkeypatch, killed_by):
    monkeypatch.setattr(module, "PORTION", 2)
    encode, calls = pixels.encode_images, []

    def dies(paths):
        calls.append(paths)
        if len(calls) == 3:
            raise killed_by("killed")
        return encode(paths)

    monkeypatch.setattr(pixels, "encode_images", dies)
    with pytest.raises(killed_by):
        opened()
    assert len(pixels.encoded) == 4
    monkeypatch.setattr(pixels, "encode_images", encode)
    assert opened().names == NAMES
    assert len(pixels.encoded) == len(set(pixels.encoded)) == 7


def test_a_run_killed_between_vectors_and_their_list_keeps_the_old_index(
    opened, folder, pixels, monkeypatch
):
    opened()
    picture(folder / "new.jpg", seed=92)
    monkeypatch.setattr(module, "atomic_write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opened()
    monkeypatch.undo()
    pixels.encoded.clear()
    assert "new.jpg" in opened().names and pixels.encoded == []
    picture(folder / "newer.jpg", seed=93)
    assert "newer.jpg" in opened().names


def test_a_broken_picture_is_listed_and_left_out_until_it_is_mended(opened, folder, pixels):
    whole = (folder / "b.jpg").read_bytes()
    (folder / "b.jpg").write_bytes(
        whole[: len(whole) // 2] + b"\xff\xd9"
    )  # header and end are fine
    (folder / "gate" / "d.png").write_text("no picture")
    index = opened()
    assert index.names == [name for name in NAMES if name not in ("b.jpg", "gate/d.png")]
    assert len(index.skipped) == 2
    assert index.skipped[0].startswith("b.jpg: not readable as a picture (OSError")
    assert index.skipped[1].startswith("gate/d.png: not readable as a picture")
    assert len(opened().skipped) == 2  # said each time
    (folder / "b.jpg").write_bytes(whole)
    assert "b.jpg" in opened().names


def test_a_picture_that_vanishes_while_others_are_encoded_is_left_out(
    opened, folder, pixels, monkeypatch
):
    monkeypatch.setattr(module, "PORTION", 3)
    encode = pixels.encode_images

    def removes(paths):
        (folder / "hall" / "f.jpg").unlink(missing_ok=True)
        return encode(paths)

    monkeypatch.setattr(pixels, "encode_images", removes)
    index = opened()
    assert "hall/f.jpg" not in index.names and len(index.names) == 6
    assert index.skipped[0].startswith("hall/f.jpg: ")


def test_nothing_outside_the_folder_is_taken_and_nothing_twice(opened, folder, tmp_path):
    picture(tmp_path / "secret" / "s.jpg", seed=94)
    (folder / "link.jpg").symlink_to(tmp_path / "secret" / "s.jpg")
    (folder / "up.jpg").symlink_to("../secret/s.jpg")
    (folder / "secret").symlink_to(tmp_path / "secret", target_is_directory=True)
    (folder / "again.png").symlink_to("a.png")
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    picture(folder / ".hidden" / "h.jpg", seed=95)
    (folder / "shown.jpg").symlink_to(".hidden/h.jpg")
    os.mkfifo(folder / "pipe.jpg")
    index = opened()
    assert index.names == sorted([*NAMES, "shown.jpg"])
    assert index.skipped == [
        "link.jpg: a symbolic link that leads out of the folder",
        "up.jpg: a symbolic link that leads out of the folder",
    ]


def test_a_name_that_is_no_text_is_named_and_left_out(opened, folder):
    shutil.copyfile(folder / "b.jpg", os.path.join(os.fsencode(folder), b"n\xff.jpg"))
    index = opened()
    assert index.names == NAMES
    assert index.skipped == ["n\\xff.jpg: the name is not UTF-8, rename the file"]


def test_each_model_recipe_and_source_has_an_index_of_its_own(folder, pixels, opened, tmp_path):
    opened()
    cache = tmp_path / "cache"
    assert opened(factory="HNSW8", options="efSearch=9").gallery.options == "efSearch=9"
    assert opened().gallery.factory == "Flat" and len(pixels.encoded) == 7
    open_index(folder, pixels, "another", cache)
    assert len(pixels.encoded) == 14
    with pytest.raises(ValueError, match="FAISS cannot make an index 'Nonsense'"):
        opened(factory="Nonsense")


def test_a_damaged_index_file_is_made_again(opened, pixels, tmp_path):
    opened()
    (file,) = (tmp_path / "cache").glob("search-*/index-*.faiss")
    file.write_bytes(b"damaged")
    opened()
    assert len(pixels.encoded) == 7


def test_a_table_keeps_its_own_order(folder, pixels, tmp_path):
    paths = [str(folder / name) for name in ("z.JPG", "a.png", "hall/f.jpg")]
    table = pd.DataFrame({"path": [*paths, paths[0], str(folder / "gone.jpg")]})
    index = open_index(table, pixels, "pixels", tmp_path / "cache", title="some")
    assert index.paths == paths and index.names == ["z.JPG", "a.png", "hall/f.jpg"]
    assert index.title == "some" and index.skipped == ["gone.jpg: No such file or directory"]


def test_folders_without_a_picture_are_refused(tmp_path, pixels):
    with pytest.raises(FileNotFoundError, match="No folder"):
        open_index(tmp_path / "nowhere", pixels, "pixels", tmp_path / "cache")
    (tmp_path / "notes.txt").write_text("no picture")
    with pytest.raises(ValueError, match=r"There is no picture \(\.bmp"):
        open_index(tmp_path, pixels, "pixels", tmp_path / "cache")
    (tmp_path / "bad.jpg").write_text("no picture")
    with pytest.raises(ValueError, match=r"can be read\. First: bad\.jpg"):
        open_index(tmp_path, pixels, "pixels", tmp_path / "cache")
    assert listed(tmp_path).rows[0][0] == "bad.jpg"


def test_pictures_are_grouped_by_camera_or_else_by_subfolder():
    names = ["0026_c14_0000.jpg", "day/0002_c1s1_000451.jpg", "gate/x.jpg", "x.jpg"]
    assert groups_of(names) == ["camera 14", "camera 1", "gate", ""]
    people = [f"{number:04}/x.jpg" for number in range(200)]
    assert set(groups_of(people)) == {""}  # a folder for each person is no filter
