"""Results: atomic writes, made once, resumed after a kill, one builder at a time, the summary."""

import errno
import json
import multiprocessing
import os
import signal
import sys
import time

import numpy as np
import pytest

from icl_lib import load_params, results
from icl_lib.results import summary as summary_module


@pytest.fixture
def params(monkeypatch, tmp_path):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))
    return load_params()


def test_write_replaces_whole(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    results.atomic_write(path, "ξ")
    results.atomic_write(path, b"two")
    assert path.read_bytes() == b"two" and os.listdir(path.parent) == ["a.txt"]


def test_failed_write_keeps_the_old_file_and_no_litter(tmp_path):
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
def test_full_disk_is_named(tmp_path, error):
    path = results.atomic_write(tmp_path / "weights.safetensors", b"old")
    with (
        pytest.raises(
            OSError, match="disk is full .* old file is intact.*weights.safetensors"
        ) as raised,
        results.atomic_path(path) as temp,
    ):
        temp.write_bytes(b"half")
        raise error
    assert raised.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["weights.safetensors"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_as_the_system_reports_it(tmp_path):
    with (
        pytest.raises(OSError, match="nothing was written"),
        results.atomic_path(tmp_path / "a.txt"),
        open("/dev/full", "w") as full,
    ):
        full.write("x")
    assert os.listdir(tmp_path) == []


def test_json_takes_numpy_and_nan(tmp_path):
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
    with pytest.raises(ValueError, match="a.json is not readable as JSON"):
        results.read_json(path)


def test_made_builds_once_and_leaves_provenance(params):
    calls = []

    def build(folder):
        calls.append(folder)
        (folder / "x.txt").write_text("done")

    key = {"x": 1, "where": (1, 2)}
    assert not results.is_made(params, "thing", key)
    first = results.made(params, "thing", key, build)
    assert first == results.made(params, "thing", {"where": [1, 2], "x": 1}, build)
    assert first != results.made(params, "thing", {"x": 2}, build)
    assert len(calls) == 2 and results.is_made(params, "thing", key)
    assert first.parent == params.cache_dir and (first / "x.txt").read_text() == "done"
    told = results.read_json(first / "provenance.json")
    assert told["key"] == {"x": 1, "where": [1, 2]} and told["seconds"] >= 0 and not told["resumed"]
    assert (told["profile"], told["dataset"], told["seed"]) == ("demo", "rstp", 0)
    assert told["versions"]["python"].count(".") == 2


def test_made_goes_on_after_an_error(params):
    def build(folder):
        log = folder / "log.txt"
        with open(log, "a") as out:
            out.write("x")
        (folder / ".tmp-1-ab-stale").touch()
        if len(log.read_text()) < 3:
            raise ValueError("stopped")

    for _ in range(2):
        with pytest.raises(ValueError, match="stopped"):
            results.made(params, "thing", {}, build)
        assert not results.is_made(params, "thing", {})
    folder = results.made(params, "thing", {}, build)
    assert (folder / "log.txt").read_text() == "xxx"
    assert sorted(os.listdir(folder)) == ["log.txt", "provenance.json"]
    assert results.read_json(folder / "provenance.json")["resumed"]


def test_a_folder_that_made_did_not_make_is_refused(params):
    results.made_folder(params, "thing", {}).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="not a finished result. Remove it"):
        results.made(params, "thing", {}, lambda folder: None)


def _slow_build(folder):
    with open(folder / "builders.txt", "a") as out:
        out.write(f"{os.getpid()}\n")
    while not (folder / "go").exists():
        time.sleep(0.01)


def _make(params):
    results.made(params, "slow", {}, _slow_build)


def _wait_for(path, lines=1):
    for _ in range(6000):
        if path.exists() and len(path.read_text().splitlines()) >= lines:
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} did not appear")


def test_two_processes_build_once_and_a_killed_one_is_replaced(params):
    context = multiprocessing.get_context("fork")
    part = results.made_folder(params, "slow", {}).with_suffix(".part")
    first, second = (context.Process(target=_make, args=(params,)) for _ in range(2))
    first.start()
    _wait_for(part / "builders.txt")
    second.start()
    time.sleep(0.2)
    assert len((part / "builders.txt").read_text().splitlines()) == 1  # the second one waits
    os.kill(first.pid, signal.SIGKILL)
    _wait_for(part / "builders.txt", lines=2)  # and takes over where the killed one was
    (part / "go").touch()
    second.join(60)
    first.join(60)
    builders = (results.made_folder(params, "slow", {}) / "builders.txt").read_text().split()
    assert builders == [str(first.pid), str(second.pid)] and second.exitcode == 0


def _report(params, number):
    results.update_summary(params, f"seconds.stage{number}", number)


def test_summary_keeps_everyones_entries(params):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_report, args=(params, n)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert results.read_summary(params)["seconds"] == {f"stage{n}": n for n in range(8)}


def test_summary(params):
    assert results.read_summary(params) == {}
    results.update_summary(
        params, "thi.final", {"rank1": np.float64(51.5), "ci95": {"rank1": (50, 53)}}
    )
    results.record_seconds(params, "thi", 1.23456)
    results.update_summary(load_params(seed=3), "backbone.rda", {"rank1": 40.0})
    summary = json.loads((params.results_dir / "summary.json").read_text())
    assert summary["thi"]["final"] == {"rank1": 51.5, "ci95": {"rank1": [50, 53]}}
    assert summary["seconds"]["thi"] == 1.23
    assert (summary["profile"], summary["dataset"], summary["seed"]) == ("demo", "rstp", 3)
    assert (
        summary["made_by"]["thi.final"]["seed"] == 0
        and summary["made_by"]["backbone.rda"]["seed"] == 3
    )
    assert "torch" in summary["versions"]
    with pytest.raises(ValueError, match="'thi' already holds a value"):
        results.update_summary(params, "seconds.thi.more", 1)


def test_the_same_result_again_leaves_the_summary_alone(params, monkeypatch):
    results.update_summary(params, "cost.questions", 12)
    before, made_by = results.summary_path(params).read_bytes(), results.made_by
    monkeypatch.setattr(
        summary_module, "made_by", lambda params: {**made_by(params), "when": "2199"}
    )
    results.update_summary(params, "cost.questions", 12)
    assert results.summary_path(params).read_bytes() == before
    results.update_summary(params, "cost.questions", 13)
    assert results.read_summary(params)["made_by"]["cost.questions"]["when"] == "2199"


def test_progress_passes_everything_on_and_is_silent_off_a_terminal(capsys, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert list(results.progress(iter(range(5)), "counting", total=5)) == list(range(5))
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err == ""


def test_a_file_replaced_under_its_old_name_has_another_hash(tmp_path):
    file = tmp_path / "weights.safetensors"
    file.write_bytes(b"a" * 100)
    first, folder = results.file_hash(file), results.folder_hash(tmp_path)
    assert (results.file_hash(file), results.folder_hash(tmp_path)) == (first, folder)
    file.write_bytes(b"b" * 100)
    assert results.file_hash(file) != first and results.folder_hash(tmp_path) != folder
    (tmp_path / "notes.md").write_text("no part of the model")
    assert results.folder_hash(tmp_path) == results.file_hash(file)
