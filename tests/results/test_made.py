"""A result is made once, by one process at a time, and a killed run goes on where it stopped."""

import multiprocessing
import os
import signal
import time

import pytest

from icl_lib import results


def test_a_result_is_built_once_and_says_what_made_it(params):
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


def test_a_build_that_failed_goes_on_with_its_own_files(params):
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


def test_a_folder_without_provenance_is_refused(params):
    results.made_folder(params, "thing", {}).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"not a finished result. Remove it"):
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


def test_a_second_process_waits_and_takes_over_from_a_killed_one(params):
    context = multiprocessing.get_context("fork")
    part = results.made_folder(params, "slow", {}).with_suffix(".part")
    first, second = (context.Process(target=_make, args=(params,)) for _ in range(2))
    first.start()
    _wait_for(part / "builders.txt")
    second.start()
    time.sleep(0.2)
    assert len((part / "builders.txt").read_text().splitlines()) == 1  # the second waits
    os.kill(first.pid, signal.SIGKILL)
    _wait_for(part / "builders.txt", lines=2)  # and then takes over
    (part / "go").touch()
    second.join(60)
    first.join(60)
    builders = (results.made_folder(params, "slow", {}) / "builders.txt").read_text().split()
    assert builders == [str(first.pid), str(second.pid)] and second.exitcode == 0
