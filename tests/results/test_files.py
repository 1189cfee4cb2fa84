"""Files are written whole or not at all, and their hashes follow their content."""

import errno
import os

import numpy as np
import pytest

from icl_lib import results
from icl_lib.results import files


def test_a_write_replaces_the_whole_file(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    results.atomic_write(path, "ξ")
    results.atomic_write(path, b"two")
    assert path.read_bytes() == b"two" and os.listdir(path.parent) == ["a.txt"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = results.atomic_write(tmp_path / "a.bin", b"old")
    with pytest.raises(KeyboardInterrupt), results.atomic_path(path) as temp:
        assert temp.suffix == ".bin" and temp.parent == tmp_path
        temp.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("write failed: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_named(tmp_path, error):
    path = results.atomic_write(tmp_path / "weights.safetensors", b"old")
    with (
        pytest.raises(
            OSError, match=r"disk is full .* old file is intact.*weights.safetensors"
        ) as raised,
        results.atomic_path(path) as temp,
    ):
        temp.write_bytes(b"half")
        raise error
    assert raised.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["weights.safetensors"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_reported_by_the_system_is_named(tmp_path):
    with (
        pytest.raises(OSError, match="nothing was written"),
        results.atomic_path(tmp_path / "a.txt"),
        open("/dev/full", "w") as full,
    ):
        full.write("x")
    assert os.listdir(tmp_path) == []


def test_json_holds_numpy_values_and_nan_as_null(tmp_path):
    value = {
        "a": np.float32(0.5),
        "b": np.arange(3),
        "c": float("nan"),
        "d": (1, True, None),
        "e": np.array([np.inf]),
    }
    path = results.write_json(tmp_path / "a.json", value)
    assert results.read_json(path) == {
        "a": 0.5,
        "b": [0, 1, 2],
        "c": None,
        "d": [1, True, None],
        "e": [None],
    }
    path.write_text("{")
    with pytest.raises(ValueError, match=r"a.json is not readable as JSON"):
        results.read_json(path)


def test_a_file_replaced_under_its_old_name_has_another_hash(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"a" * 100)
    first, folder = results.file_hash(file), results.folder_hash(tmp_path)
    assert (results.file_hash(file), results.folder_hash(tmp_path)) == (first, folder)
    file.write_bytes(b"b" * 100)
    assert results.file_hash(file) != first and results.folder_hash(tmp_path) != folder
    (tmp_path / "notes.md").write_text("no part of the model")
    assert results.folder_hash(tmp_path) == results.file_hash(file)


def test_of_a_large_file_the_size_and_both_ends_are_hashed(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "WHOLE", 3 * 2**20)
    file, content = tmp_path / "weights.safetensors", bytearray(4 * 2**20)
    file.write_bytes(content)
    known = {results.file_hash(file)}
    for place in (0, 2**20 - 1, 3 * 2**20, 4 * 2**20 - 1):
        content[place] = 1
        file.write_bytes(content)
        known.add(results.file_hash(file))
    assert len(known) == 5
    content[2**21] = 1
    file.write_bytes(content)
    assert results.file_hash(file) in known, "the middle is not read"
