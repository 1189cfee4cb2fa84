"""Readers: the benchmarks' own layouts, records broken in every way we know of, one's own pictures."""

import json
import os
import re
import shutil
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from icl_lib.data import captions, check, fingerprint, images, read_benchmark, read_folder
from icl_lib.data.benchmarks import PATH_KEYS
from icl_lib.data.checks import identities_in_two_splits
from icl_lib.data.manifest import COLUMNS, nonempty
from icl_lib.data.problems import inside
from icl_lib.params import load_params
from icl_lib.retrieval.load import load_backbone


def picture(path, seed=0, size=(16, 40)):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def record(name, split="train", pid=0, texts=("a man", "a person in red"), key="img_path"):
    return {"split": split, "captions": list(texts), key: name, "id": pid}


def layout(root, records, name="rstp"):
    """Writes a benchmark with these records below `root`; pictures are drawn for the sound ones."""
    data, key = load_params(name).data, PATH_KEYS[name]
    folder = root / data.title
    folder.mkdir(parents=True, exist_ok=True)
    for index, entry in enumerate(records):
        path = entry.get(key) if isinstance(entry, dict) else None
        drawn = isinstance(path, str) and re.fullmatch(r"[\w./]+\.(jpg|png)", path)
        if (
            drawn
            and ".." not in path
            and not path.startswith("/")
            and not (folder / "imgs" / path).exists()
        ):
            picture(folder / "imgs" / path, seed=index)
    (folder / "imgs").mkdir(exist_ok=True)
    (folder / data.annotation).write_text(json.dumps(records), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", sorted(PATH_KEYS))
def test_each_benchmark_reads_its_own_layout(tmp_path, name):
    key = PATH_KEYS[name]
    folder = layout(
        tmp_path,
        [record("cam_a/0.jpg", "train", 1, key=key), record("1.png", "test", 9, key=key)],
        name,
    )
    table = read_benchmark(name, tmp_path)
    assert list(table.columns) == COLUMNS
    assert table["split"].tolist() == ["train", "train", "test", "test"]
    assert table["pid"].tolist() == [1, 1, 9, 9]
    assert table["image_id"].tolist() == [0, 0, 1, 1] and table["caption_id"].tolist() == [
        0,
        1,
        2,
        3,
    ]
    assert table["path"].tolist()[::2] == [
        str(folder / "imgs/cam_a/0.jpg"),
        str(folder / "imgs/1.png"),
    ]
    assert sum(table.attrs["report"].values()) == 0
    # The benchmark's own folder, and its full title, do as well.
    assert read_benchmark(load_params(name).data.title, folder).equals(table)


BAD = {
    "no_captions": [{"split": "train", "img_path": "bad.jpg", "id": 5}, record("bad.jpg", texts=())],
    "empty_caption": [record("bad.jpg", texts=("  ",))],
    "missing_key": [{"captions": ["x"], "img_path": "bad.jpg", "id": 5}, {}],
    "unknown_split": [record("bad.jpg", split="validation")],
    "unsafe_path": [record("../bad.jpg"), record("/etc/passwd"), record("C:\\bad.jpg"),
                    record("a\\..\\bad.jpg"), record("imgs/../../bad.jpg"), record(""), record("a\0b.jpg")],
    "wrong_type": [record("bad.jpg", pid="5"), record("bad.jpg", pid=True), record("bad.jpg", pid=None),
                   record(7), 3, None, ["x"], "record", {**record("bad.jpg"), "captions": "a man"},
                   {**record("bad.jpg"), "split": 1}, record("bad.jpg", texts=(None,)),
                   record("bad.jpg", texts=("\ud800",))],
    "duplicate_picture": [record("good.jpg"), record("./good.jpg"), record("good.jpg", "train", 77)],
    "id_in_two_splits": [record("bad.jpg", "test", 0)],
    "missing_picture": [record("gone.jpg"), record("sub")],
}  # fmt: skip


@pytest.mark.parametrize(
    "kind, bad", [(kind, bad) for kind, several in BAD.items() for bad in several]
)
def test_bad_record_is_counted_or_fatal_and_named(tmp_path, kind, bad):
    good, last = record("good.jpg", "train", 0), record("last.jpg", "train", 1)
    folder = layout(tmp_path, [good, bad, last])
    (folder / "imgs/sub").mkdir()
    (folder / "imgs/gone.jpg").unlink(missing_ok=True)
    with pytest.warns(UserWarning, match="record 1"):
        table = read_benchmark("rstp", tmp_path)
    assert table["caption_id"].tolist() == [0, 1, 2, 3] and table["image_id"].tolist() == [
        0,
        0,
        1,
        1,
    ]
    assert {kind: n for kind, n in table.attrs["report"].items() if n} == {kind: 1}
    assert "data_captions.json, record 1:" in table.attrs["problems"][0]
    with pytest.raises(ValueError, match=r"data_captions\.json, record 1:"):
        read_benchmark("rstp", tmp_path, strict=True)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("damage", ["cut", "empty", "text", "folder"])
def test_damaged_pictures_are_found(tmp_path, suffix, damage):
    folder = layout(tmp_path, [record("good.jpg"), record(f"bad.{suffix}", pid=1)])
    bad = folder / "imgs" / f"bad.{suffix}"
    content = bad.read_bytes()
    bad.unlink()
    if damage == "folder":
        bad.mkdir()
    else:
        bad.write_bytes(
            {"cut": content[: len(content) * 2 // 3], "empty": b"", "text": b"no picture"}[damage]
        )
    with pytest.warns(UserWarning, match=f"bad.{suffix}"):
        report = read_benchmark("rstp", tmp_path).attrs["report"]
    assert sum(report.values()) == 1
    assert report["missing_picture" if damage == "folder" else "unreadable_picture"] == 1


def test_jpeg_without_end_mark_but_whole_is_kept(tmp_path):
    folder = layout(tmp_path, [record("good.jpg")])
    path = folder / "imgs/good.jpg"
    path.write_bytes(path.read_bytes() + b"camera's own trailer" * 20)
    assert len(read_benchmark("rstp", tmp_path, strict=True)) == 2


def png(width, height, pixels):
    """A PNG whose checksums are right whatever `pixels` are."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
        (b"IDAT", pixels),
        (b"IEND", b""),
    ]
    made = [
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def test_check_pictures_decodes_what_the_quick_look_trusts(tmp_path):
    folder = layout(tmp_path, [record("good.jpg"), record("odd.png", pid=1)])
    rows = zlib.compress(np.random.default_rng(0).bytes(8 * 9))
    (folder / "imgs/odd.png").write_bytes(png(8, 8, rows[: len(rows) // 2]))
    assert len(read_benchmark("rstp", tmp_path)) == 4
    with pytest.warns(UserWarning, match="odd.png"):
        assert len(read_benchmark("rstp", tmp_path, check_pictures=True)) == 2


def test_symbolic_links_that_leave_imgs_are_refused(tmp_path):
    secret = tmp_path / "elsewhere" / "secret.jpg"
    picture(secret)
    folder = layout(tmp_path, [record("good.jpg")])
    os.symlink(secret, folder / "imgs/link.jpg")
    os.symlink(secret.parent, folder / "imgs/cam")
    os.symlink("good.jpg", folder / "imgs/alias.jpg")
    layout(
        tmp_path,
        [record("good.jpg"), record("link.jpg"), record("cam/secret.jpg"), record("alias.jpg")],
    )
    with pytest.warns(UserWarning):
        report = read_benchmark("rstp", tmp_path).attrs["report"]
    assert report["unsafe_path"] == 2 and report["duplicate_picture"] == 1


def test_imgs_itself_may_be_a_link_to_another_disk(tmp_path):
    folder = layout(tmp_path, [record("good.jpg")])
    shutil.move(folder / "imgs", tmp_path / "disk")
    os.symlink(tmp_path / "disk", folder / "imgs")
    assert len(read_benchmark("rstp", tmp_path, strict=True)) == 2


def test_one_bad_caption_leaves_the_other(tmp_path):
    layout(tmp_path, [record("good.jpg", texts=("", "a man", 5))])
    with pytest.warns(UserWarning):
        table = read_benchmark("rstp", tmp_path)
    assert table["caption"].tolist() == ["a man"]
    assert table.attrs["report"]["empty_caption"] == table.attrs["report"]["wrong_type"] == 1


def test_nothing_usable_says_why(tmp_path):
    layout(tmp_path, [record("../a.jpg"), record("../b.jpg")])
    with pytest.raises(ValueError, match="2 unsafe_path.*record 0"):
        read_benchmark("rstp", tmp_path)


@pytest.mark.parametrize(
    "content", [b"[{", b"\xff\xfe\x00", b"{}", b"[]", b'"x"', b"3", b"[" * 100_000]
)
def test_annotation_that_is_no_list_of_records(tmp_path, content):
    layout(tmp_path, [record("good.jpg")])
    (tmp_path / "RSTPReid/data_captions.json").write_bytes(content)
    with pytest.raises(ValueError, match="data_captions.json"):
        read_benchmark("rstp", tmp_path)


def test_missing_benchmark_says_what_where_and_how(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        read_benchmark("rstp", tmp_path)
    for word in (
        "data_captions.json",
        "imgs/",
        str(tmp_path),
        "img_path",
        "icl data standin rstp",
        "downloaded",
    ):
        assert word in str(error.value)


def test_caption_all_is_told_apart_from_reid_raw(tmp_path):
    (tmp_path / "imgs").mkdir()
    (tmp_path / "caption_all.json").write_text("[]")
    with pytest.raises(FileNotFoundError, match="no split"):
        read_benchmark("cuhk", tmp_path)


@pytest.mark.parametrize(
    "wrong, right", [("rstpreidd", "rstp"), ("chuk", "cuhk"), ("ICFG", "icfg")]
)
def test_unknown_name_gets_the_nearest(tmp_path, wrong, right):
    with pytest.raises(ValueError, match=f"did you mean '{right}'"):
        read_benchmark(wrong, tmp_path)


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


def test_read_folder_with_and_without_captions(tmp_path):
    for index, name in enumerate(
        ["b.png", "a.jpg", "deep/c.JPG", ".hidden/d.jpg", "notes.txt.jpg"]
    ):
        picture(tmp_path / name, seed=index)
    (tmp_path / "notes.txt.jpg").write_text("no picture")
    with pytest.warns(UserWarning, match="notes.txt.jpg"):
        table = read_folder(tmp_path)
    assert [Path(p).name for p in table["path"]] == ["a.jpg", "b.png", "c.JPG"]
    assert (
        table["pid"].tolist() == [0, 1, 2]
        and set(table["split"]) == {"test"}
        and len(captions(table)) == 0
    )
    rows = ['file,caption,person', 'a.jpg,"a man, in\nred",Anna', 'deep/c.JPG,a tall man,Anna',
            "a.jpg,a man again,Anna", 'gone.jpg,x,', '../b.png,x,', 'b.png,,Bo', 'a.jpg,x,Bo']  # fmt: skip
    (tmp_path / "captions.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    (tmp_path / "notes.txt.jpg").unlink()
    with pytest.warns(UserWarning):
        table = read_folder(tmp_path)
    assert table["pid"].tolist() == [0, 0, 1, 0] and table.attrs["persons"] == {0: "Anna", 1: "Bo"}
    assert captions(table)["caption"].tolist() == ["a man, in\nred", "a man again", "a tall man"]
    assert len(images(table)) == 3 and fingerprint(table)
    counted = {kind: n for kind, n in table.attrs["report"].items() if n}
    assert counted == {"missing_picture": 1, "unsafe_path": 1, "empty_caption": 1, "wrong_type": 1}
    with pytest.raises(ValueError, match="captions.csv, line"):
        read_folder(tmp_path, strict=True)


def test_read_folder_refusals(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_folder(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="not one usable picture"):
        read_folder(tmp_path)
    picture(tmp_path / "a.jpg")
    (tmp_path / "captions.csv").write_text("name;text\na.jpg;x\n")
    with pytest.raises(ValueError, match="needs the columns file, caption"):
        read_folder(tmp_path)


# caption_all.json, emptied splits, odd pictures and texts ----------------------------------------


def flat(name, pid, caption, key="captions"):
    return {"file_path": name, "id": pid, key: caption}


@pytest.mark.parametrize("key", ["caption", "captions"])
def test_caption_all_is_read_as_test_and_says_what_it_lacks(tmp_path, key):
    records = [flat("CUHK01/a.png", 1, "one", key), flat("Market/b.jpg", 2, "two", key),
               flat("CUHK01/a.png", 1, ["three"], key), flat("CUHK01/a.png", 9, "of another person", key),
               flat("Market/b.jpg", 2, None, key), flat("../c.png", 3, "x", key), "no record"]  # fmt: skip
    if key == "caption":
        records[2] = flat("CUHK01/a.png", 1, "three", key)
    folder = layout(
        tmp_path,
        [record("CUHK01/a.png", key="file_path"), record("Market/b.jpg", key="file_path")],
        "cuhk",
    )
    (folder / "reid_raw.json").rename(folder / "elsewhere.json")
    (folder / "caption_all.json").write_text(json.dumps(records))
    with pytest.raises(
        FileNotFoundError,
        match="names no split and has one record a caption.*annotation='caption_all.json'",
    ):
        read_benchmark("cuhk", tmp_path)
    with pytest.warns(UserWarning, match="need reid_raw.json|4 skipped"):
        table = read_benchmark("cuhk", tmp_path, annotation="caption_all.json")
    assert table["caption"].tolist() == ["one", "three", "two"] and table["image_id"].tolist() == [
        0,
        0,
        1,
    ]
    assert table["pid"].tolist() == [1, 1, 2] and set(table["split"]) == {"test"}
    counted = {kind: n for kind, n in table.attrs["report"].items() if n}
    assert counted == {"wrong_type": 3, "unsafe_path": 1}
    told = " ".join(table.attrs["problems"])
    assert "record 3" in told and "record 5" in told and "record 6" in told
    shown = check(table, "cuhk").set_index("check")
    assert shown.loc["split named in the file", "found"] == "no"
    with pytest.raises(ValueError, match="caption_all.json, record 3"):
        read_benchmark("cuhk", tmp_path, annotation="caption_all.json", strict=True)


def test_a_split_that_lost_every_record_is_named(tmp_path):
    layout(
        tmp_path,
        [record("a.jpg", "train", 0), record("b.jpg", "test", 0), record("c.jpg", "test", 0)],
    )
    with pytest.warns(UserWarning, match="not one of the 2 records of split 'test' is usable"):
        table = read_benchmark("rstp", tmp_path)
    assert table.attrs["emptied"] == {"test": 2}
    shown = check(table, "rstp").set_index("check")
    assert shown.loc["records all skipped", "split"] == "test"
    with pytest.raises(
        ValueError, match="the test split has no captions; splits with captions: train"
    ):
        nonempty(table, "test")
    assert nonempty(table, "train") is table


def test_odd_pictures_are_pictures(tmp_path):
    """One pixel, CMYK, 16 bits, a palette, transparency: each is read, and each gives a unit vector."""
    ramp = np.tile(np.linspace(0, 1, 16), (40, 1))
    colour = Image.fromarray(
        (np.stack([ramp, ramp[:, ::-1], 0.5 * ramp], 2) * 255).astype(np.uint8)
    )
    odd = {"pixel.png": Image.new("RGB", (1, 1), "red"), "cmyk.jpg": colour.convert("CMYK"), "p.png": colour.convert("P"),
           "deep.png": Image.fromarray((ramp * 65535).astype(np.uint16)), "alpha.png": colour.convert("RGBA"),
           "bits.png": colour.convert("1")}  # fmt: skip
    folder = layout(tmp_path, [record(name, pid=i) for i, name in enumerate(odd)])
    for name, image in odd.items():
        image.save(folder / "imgs" / name)
    table = read_benchmark("rstp", tmp_path, strict=True, check_pictures=True)
    shown = check(table, "rstp").set_index("check")
    assert (
        shown.loc["picture width, pixels", "found"] == "1 / 16 / 16"
        and shown.loc["unreadable pictures", "found"] == 0
    )
    vectors = load_backbone(load_params("rstp")).encode_images(images(table)["path"].tolist())
    assert np.isfinite(vectors).all() and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


def test_a_caption_of_5000_words_is_kept_counted_and_read_to_its_limit(tmp_path):
    start = " ".join(["red"] * 90)
    layout(tmp_path, [record("a.jpg", texts=(start + " hat" * 4910, start + " shoe", "a man"))])
    table = read_benchmark("rstp", tmp_path, strict=True)
    assert len(table["caption"][0].split()) == 5000
    rows = check(table, "rstp").set_index("check")
    assert (
        rows.loc["captions over 77 tokens", "found"] == 2
        and rows.loc["words a caption", "found"] == "2 / 91 / 5000"
    )
    assert "66.67% lose" in rows.loc["captions over 77 tokens", "verdict"]
    vectors = load_backbone(load_params("rstp")).encode_texts(table["caption"].tolist())
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    # Both begin alike and are cut off before they part.
    assert np.allclose(vectors[0], vectors[1], atol=1e-5) and not np.allclose(
        vectors[0], vectors[2], atol=1e-2
    )


@given(st.lists(st.tuples(st.sampled_from(["train", "val", "test", "x", 3, None]), st.integers(-2, 3) | st.text(max_size=3),
                          st.sampled_from(["a.jpg", "b.jpg", "../a.jpg", "/etc/passwd", "", "gone.jpg"]),
                          st.lists(st.text(max_size=6) | st.none(), max_size=3)), min_size=1, max_size=6))  # fmt: skip
@settings(max_examples=40)
def test_whatever_the_records_hold_what_is_read_is_sound(tmp_path_factory, entries):
    folder = tmp_path_factory.mktemp("any")
    layout(folder, [record("a.jpg"), record("b.jpg", pid=1)])
    records = [
        {"split": split, "id": pid, "img_path": path, "captions": texts}
        for split, pid, path, texts in entries
    ]
    (folder / "RSTPReid" / "data_captions.json").write_text(json.dumps(records))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            table = read_benchmark("rstp", folder)
        except ValueError as error:
            assert "not one usable picture" in str(error)
            return
    assert list(table.columns) == COLUMNS and table["caption_id"].tolist() == list(
        range(len(table))
    )
    assert all(inside(path, folder) and os.path.isfile(path) for path in table["path"])
    assert not identities_in_two_splits(table) and set(table["split"]) <= {"train", "val", "test"}
    assert table.groupby("image_id")["path"].nunique().eq(1).all() and all(
        text.strip() for text in table["caption"]
    )
