"""The benchmarks' own layouts, and records broken in every way we know of."""

import json
import os
import shutil
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import layout, picture, record
from PIL import Image

from icl_lib.data import check, fingerprint, images, read_benchmark
from icl_lib.data.benchmarks import PATH_KEYS
from icl_lib.data.checks import identities_in_two_splits
from icl_lib.data.fields import inside
from icl_lib.data.manifest import COLUMNS, nonempty
from icl_lib.params import load_params
from icl_lib.retrieval.load import load_backbone


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


PLAIN = record("bad.jpg")
BAD = {
    "no_captions": [
        {"split": "train", "img_path": "bad.jpg", "id": 5},
        record("bad.jpg", texts=()),
    ],
    "empty_caption": [record("bad.jpg", texts=("  ",)), PLAIN | {"captions": " "}],
    "missing_key": [{"captions": ["x"], "img_path": "bad.jpg", "id": 5}, {}],
    "unknown_split": [
        record("bad.jpg", split=split) for split in ("query", "trainval", "eval", "val test", "")
    ],
    "unsafe_path": [
        record(path)
        for path in (
            "../bad.jpg",
            "/etc/passwd",
            " /etc/passwd",
            "C:\\bad.jpg",
            "a\\..\\bad.jpg",
            "imgs/../../bad.jpg",
            "imgs\\..\\..\\bad.jpg",
            "",
            "a\0b.jpg",
            "a\ud800.jpg",
        )
    ],
    "wrong_type": [
        *[record("bad.jpg", pid=pid) for pid in (True, None, "", "x5", "5a", "5 6", "1e3", 5.5)],
        *[
            record("bad.jpg", pid=pid)
            for pid in ("5.5", "nan", float("nan"), [5], 10**30, "\u0665")
        ],
        *[PLAIN | {"captions": texts} for texts in (None, 7, {"0": "a man"})],
        *[record("bad.jpg", texts=(text,)) for text in (None, "\ud800")],
        *[3, None, ["x"], "record", record(7), PLAIN | {"split": 1}],
    ],
    "two_meanings": [PLAIN | {"ID": 5}, PLAIN | {"caption": "a boy"}, PLAIN | {" Split": "test"}],
    "duplicate_picture": [
        record("good.jpg"),
        record("./good.jpg"),
        record("imgs/good.jpg"),
        record("good.jpg", "train", 77),
    ],
    "id_in_two_splits": [record("bad.jpg", "test", 0), record("bad.jpg", "TEST", "0")],
    "missing_picture": [record("gone.jpg"), record("sub"), record("imgs/gone.jpg")],
}


@pytest.mark.parametrize(
    ("kind", "bad"), [(kind, bad) for kind, several in BAD.items() for bad in several]
)
def test_a_bad_record_is_counted_or_fatal_and_named(tmp_path, kind, bad):
    good, last = record("good.jpg", "train", 0), record("last.jpg", "train", 1)
    folder = layout(tmp_path, [good, bad, last])
    (folder / "imgs/sub").mkdir()
    (folder / "imgs/gone.jpg").unlink(missing_ok=True)
    with pytest.warns(UserWarning, match="record 1"):
        table = read_benchmark("rstp", tmp_path)
    assert table["caption_id"].tolist() == [0, 1, 2, 3]
    assert table["image_id"].tolist() == [0, 0, 1, 1]
    assert {kind: n for kind, n in table.attrs["report"].items() if n} == {kind: 1}
    assert "data_captions.json, record 1:" in table.attrs["problems"][0]
    with pytest.raises(ValueError, match=r"data_captions\.json, record 1:"):
        read_benchmark("rstp", tmp_path, strict=True)


# A change of a record that leaves it one plain meaning -> the fields that are counted as "read as".
UNTIDY = {
    "id as text": (lambda r, key: r | {"id": str(r["id"])}, {"id"}),
    "id with zeros": (lambda r, key: r | {"id": f" {r['id']:04d}"}, {"id"}),
    "id as float": (lambda r, key: r | {"id": float(r["id"])}, {"id"}),
    "id as text of a float": (lambda r, key: r | {"id": f"{r['id']}.0"}, {"id"}),
    "caption as text": (lambda r, key: r | {"captions": r["captions"][0]}, {"captions"}),
    "split in capitals": (lambda r, key: r | {"split": r["split"].upper()}, {"split"}),
    "split as a title": (lambda r, key: r | {"split": r["split"].title() + " "}, {"split"}),
    "split as -ing": (lambda r, key: r | {"split": {"train": "training", "val": "validation"}
                                          .get(r["split"], "testing")}, {"split"}),
    "path from imgs/": (lambda r, key: r | {key: "imgs/" + r[key]}, {"path"}),
    "path from ./imgs/": (lambda r, key: r | {key: "./imgs/" + r[key]}, {"path"}),
    "path from the title": (lambda r, key: r | {key: "{title}/imgs/" + r[key]}, {"path"}),
    "path from ./": (lambda r, key: r | {key: "./" + r[key]}, {"path"}),
    "path with backslashes": (lambda r, key: r | {key: r[key].replace("/", "\\")}, {"path"}),
    "path from imgs, backslashes": (
        lambda r, key: r | {key: "imgs\\" + r[key].replace("/", "\\")}, {"path"}),
    "keys in capitals": (lambda r, key: {k.upper(): v for k, v in r.items()}, {"key"}),
    "keys with blanks": (lambda r, key: {f" {k} ": v for k, v in r.items()}, {"key"}),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(PATH_KEYS))
@pytest.mark.parametrize("change", UNTIDY)
def test_what_has_one_plain_meaning_is_read_and_counted(tmp_path, name, change):
    key, title = PATH_KEYS[name], load_params(name).data.title
    records = [
        record(f"cam/{i}.jpg", split, i, ("a man",), key)
        for i, split in enumerate(("train", "train", "val", "test"))
    ]
    folder = layout(tmp_path, records, name)
    tidy = read_benchmark(name, tmp_path, strict=True)
    assert tidy.attrs["read_as"] == {}
    changed, fields = UNTIDY[change]
    text = json.dumps([changed(r, key) for r in records]).replace("{title}", title)
    (folder / load_params(name).data.annotation).write_text(text, encoding="utf-8-sig")
    table = read_benchmark(name, tmp_path, strict=True)
    assert table.equals(tidy) and fingerprint(table) == fingerprint(tidy)
    counted = {field: n["count"] for field, n in table.attrs["read_as"].items()}
    fields = {key if field == "path" else field for field in fields}
    assert counted == dict.fromkeys(fields, 16 if fields == {"key"} else 4)
    shown = check(table, name).set_index("check")
    for field in fields:
        assert shown.loc[f"read as: {field}", "found"] == counted[field]
        assert " read as " in shown.loc[f"read as: {field}", "verdict"]
    assert not any(row.startswith("read as") for row in check(tidy, name)["check"])


def test_a_path_that_exists_with_and_without_imgs_is_refused(tmp_path):
    folder = layout(tmp_path, [record("good.jpg"), record("imgs/a.jpg", pid=1)])
    picture(folder / "imgs/a.jpg", seed=3)
    assert len(read_benchmark("rstp", tmp_path)) == 4
    picture(folder / "imgs/imgs/a.jpg", seed=4)
    with pytest.warns(UserWarning, match=r"may be imgs/a\.jpg or a\.jpg: both files exist"):
        table = read_benchmark("rstp", tmp_path)
    assert table.attrs["report"]["two_meanings"] == 1
    shutil.rmtree(folder / "imgs/imgs")
    (folder / "imgs/imgs").mkdir()
    os.symlink("../a.jpg", folder / "imgs/imgs/a.jpg")  # one file under two names has one meaning
    assert len(read_benchmark("rstp", tmp_path)) == 4


def test_a_missing_folder_is_one_line_ahead_of_single_records(tmp_path):
    records = [
        record("good/0.jpg", "train", 0, key="file_path"),
        record("gone/1.jpg", "train", 1, key="file_path"),
        record("good/2.jpg", "train", 2, key="file_path"),
        record("imgs/gone/3.jpg", "VAL", 3, key="file_path"),
        record("gone/deeper/4.jpg", "test", 4, key="file_path"),
        record("good/deep/5.jpg", "test", 5, key="file_path"),
        record("good/deep/6.jpg", "test", 6, key="file_path") | {"split": "query"},
    ]
    folder = layout(tmp_path, records, "cuhk")
    shutil.rmtree(folder / "imgs/gone", ignore_errors=True)
    shutil.rmtree(folder / "imgs/good/deep")
    (folder / "imgs/good/2.jpg").unlink()
    with pytest.warns(UserWarning) as warned:
        table = read_benchmark("cuhk", tmp_path)
    lines = [line.removeprefix(f"{folder / 'reid_raw.json'}") for line in table.attrs["problems"]]
    assert lines[:2] == [
        ": missing folder imgs/gone: 3 records, of train, val, test",
        ": missing folder imgs/good/deep: 1 records, of test",
    ]
    assert len(lines) == 4 and "gone" not in lines[2] + lines[3]
    assert table.attrs["missing_folders"]["imgs/gone"] == {"train": 1, "val": 1, "test": 1}
    counted = {kind: n for kind, n in table.attrs["report"].items() if n}
    assert counted == {"missing_folder": 4, "missing_picture": 1, "unknown_split": 1}
    assert table.attrs["emptied"] == {"val": 1, "test": 2}
    shown = check(table, "cuhk").set_index("check")
    assert shown.loc["missing folder imgs/gone", ["split", "found"]].tolist() == [
        "train, val, test",
        3,
    ]
    order = shown.index.tolist()
    assert order.index("missing folder imgs/good/deep") < order.index("skipped: missing_folder")
    with pytest.raises(ValueError, match="imgs/gone: 3 records, of train, val, test") as error:
        read_benchmark("cuhk", tmp_path, strict=True)
    for told in (str(error.value), str(warned[0].message)):
        assert told.index("imgs/gone") < told.index("imgs/good/deep") and "3.jpg" not in told


def test_many_missing_folders_make_no_endless_message(tmp_path):
    records = [record("good.jpg")]
    records += [record(f"gone{n}/{k}.jpg", "val", n + 1) for n in range(50) for k in range(2)]
    folder = layout(tmp_path, records)
    for n in range(50):
        shutil.rmtree(folder / f"imgs/gone{n}")
    with pytest.warns(UserWarning, match=r"\(30 others\): 60 records, of val"):
        table = read_benchmark("rstp", tmp_path)
    assert len(table.attrs["problems"]) == 21 and table.attrs["report"]["missing_folder"] == 100
    shown = check(table, "rstp").set_index("check")
    assert shown.loc["missing folder (30 others)", "found"] == 60
    assert shown.loc[shown.index.str.startswith("missing folder"), "found"].sum() == 100


def test_a_limit_counts_nothing_of_the_people_left_out(tmp_path):
    records = [
        record("a.jpg", "Train", 1),
        record("b.jpg", "Train", "2"),
        record("c.jpg", "test", "3"),
        record("d.jpg", "test", "4"),
    ]
    folder = layout(tmp_path, records)
    for name in "cd":
        (folder / f"imgs/{name}.jpg").unlink()
    with pytest.warns(UserWarning, match="not one of the 1 records of split 'test' is usable"):
        table = read_benchmark("rstp", tmp_path, limit_ids={"train": 1, "test": 1})
    assert table["pid"].unique().tolist() == [1] and table.attrs["emptied"] == {"test": 1}
    counts = {field: read["count"] for field, read in table.attrs["read_as"].items()}
    assert counts == {"split": 1, "id": 1} and table.attrs["report"]["missing_picture"] == 1


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
    """A PNG whose checksums are right, whatever `pixels` are."""
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


def test_a_file_without_a_usable_record_says_why(tmp_path):
    layout(tmp_path, [record("../a.jpg"), record("../b.jpg")])
    with pytest.raises(ValueError, match=r"2 unsafe_path.*record 0"):
        read_benchmark("rstp", tmp_path)


@pytest.mark.parametrize(
    "content", [b"[{", b"\xff\xfe\x00", b"{}", b"[]", b'"x"', b"3", b"[" * 100_000]
)
def test_an_annotation_that_is_not_a_list_of_records_is_refused(tmp_path, content):
    layout(tmp_path, [record("good.jpg")])
    (tmp_path / "RSTPReid/data_captions.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"data_captions\.json"):
        read_benchmark("rstp", tmp_path)


def test_a_missing_benchmark_is_reported_with_where_it_belongs_and_how_to_get_it(tmp_path):
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
def test_an_unknown_name_is_refused_with_the_nearest(tmp_path, wrong, right):
    with pytest.raises(ValueError, match=f"did you mean '{right}'"):
        read_benchmark(wrong, tmp_path)


def flat(name, pid, caption, key="captions"):
    return {"file_path": name, "id": pid, key: caption}


@pytest.mark.parametrize("key", ["caption", "captions"])
def test_caption_all_is_read_as_test_and_says_what_it_lacks(tmp_path, key):
    third = "three" if key == "caption" else ["three"]
    records = [
        flat("CUHK01/a.png", 1, "one", key),
        flat("Market/b.jpg", 2, "two", key),
        flat("imgs/CUHK01/a.png", "1", third, key),
        flat("CUHK01/a.png", 9, "of another person", key),
        flat("Market/b.jpg", 2, None, key),
        flat("../c.png", 3, "x", key),
        "no record",
    ]
    pictures = [record(name, key="file_path") for name in ("CUHK01/a.png", "Market/b.jpg")]
    folder = layout(tmp_path, pictures, "cuhk")
    (folder / "reid_raw.json").rename(folder / "elsewhere.json")
    (folder / "caption_all.json").write_text(json.dumps(records))
    lacks = r"names no split and has one record per caption.*annotation='caption_all\.json'"
    with pytest.raises(FileNotFoundError, match=lacks):
        read_benchmark("cuhk", tmp_path)
    with pytest.warns(UserWarning) as warned:
        table = read_benchmark("cuhk", tmp_path, annotation="caption_all.json")
    told = [str(warning.message) for warning in warned]
    assert "4 problems" in told[0] and "need reid_raw.json" in told[1]
    assert table["caption"].tolist() == ["one", "three", "two"]
    assert table["image_id"].tolist() == [0, 0, 1]
    assert table["pid"].tolist() == [1, 1, 2] and set(table["split"]) == {"test"}
    counted = {kind: n for kind, n in table.attrs["report"].items() if n}
    assert counted == {"wrong_type": 3, "unsafe_path": 1}
    told = " ".join(table.attrs["problems"])
    assert all(f"record {number}:" in told for number in (3, 4, 5, 6))
    shown = check(table, "cuhk").set_index("check")
    assert shown.loc["split named in the file", "found"] == "no"
    with pytest.raises(ValueError, match=r"caption_all\.json, record 3"):
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
    """One pixel, CMYK, 16 bits, a palette, transparency: each is read and gives a unit vector."""
    ramp = np.tile(np.linspace(0, 1, 16), (40, 1))
    colour = Image.fromarray(
        (np.stack([ramp, ramp[:, ::-1], 0.5 * ramp], 2) * 255).astype(np.uint8)
    )
    odd = {
        "pixel.png": Image.new("RGB", (1, 1), "red"),
        "cmyk.jpg": colour.convert("CMYK"),
        "p.png": colour.convert("P"),
        "deep.png": Image.fromarray((ramp * 65535).astype(np.uint16)),
        "alpha.png": colour.convert("RGBA"),
        "bits.png": colour.convert("1"),
    }
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
        and rows.loc["words per caption", "found"] == "2 / 91 / 5000"
    )
    assert "66.67% lose" in rows.loc["captions over 77 tokens", "verdict"]
    vectors = load_backbone(load_params("rstp")).encode_texts(table["caption"].tolist())
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)
    # Both begin alike and are cut off before they part.
    assert np.allclose(vectors[0], vectors[1], atol=1e-5) and not np.allclose(
        vectors[0], vectors[2], atol=1e-2
    )


SPLIT = st.sampled_from(["train", "val", "test", "Train", "dev", "x", 3, None])
PID = st.integers(-2, 3) | st.floats() | st.text(max_size=3) | st.sampled_from(["1", "01", "2.0"])
PATH = st.sampled_from(
    ["a.jpg", "b.jpg", "imgs/a.jpg", ".\\b.jpg", "../a.jpg", "/etc/passwd", "", "x/gone.jpg"]
)
TEXTS = st.lists(st.text(max_size=6) | st.none(), max_size=3) | st.text(max_size=6)


@given(st.lists(st.tuples(SPLIT, PID, PATH, TEXTS), min_size=1, max_size=6))
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
    assert list(table.columns) == COLUMNS
    assert table["caption_id"].tolist() == list(range(len(table)))
    assert all(inside(path, folder) and os.path.isfile(path) for path in table["path"])
    assert not identities_in_two_splits(table) and set(table["split"]) <= {"train", "val", "test"}
    assert table.groupby("image_id")["path"].nunique().eq(1).all() and all(
        text.strip() for text in table["caption"]
    )
