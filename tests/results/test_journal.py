"""The journal: results are made once, and survive a kill and a full disk."""

import errno
import os

import pytest

from icl_lib.results import Journal


def doubled(asked):
    """A `make` that doubles, and records its inputs in `asked`."""

    def make(inputs):
        asked.append(list(inputs))
        return [2 * value for value in inputs]

    return make


def numbers(count):
    return {("number", n): n for n in range(count)}


@pytest.mark.parametrize("on_disk", [True, False])
def test_only_missing_results_are_made_portion_by_portion(tmp_path, on_disk):
    journal, asked = Journal(tmp_path / "new" / "a.jsonl" if on_disk else None), []
    assert journal.complete(numbers(3), doubled(asked), portion=2) == [0, 2, 4]
    assert journal.complete(numbers(5), doubled(asked), portion=2) == [0, 2, 4, 6, 8]
    assert asked == [[0, 1], [2], [3, 4]]
    assert (tmp_path / "new").exists() == on_disk


def test_another_process_finds_the_results(tmp_path):
    made = {("text", "ξ \u2028 \n"): "ξ \r\n", ("pair", 1): [0.1, {"hat": None}]}
    Journal(tmp_path / "a.jsonl").complete(made, list)
    again = Journal(tmp_path / "a.jsonl").complete(made, lambda _: pytest.fail("made twice"))
    assert again == list(made.values())


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_line_cut_short_is_made_again(tmp_path, cut):
    file, asked = tmp_path / "a.jsonl", []
    Journal(file).complete(numbers(3), doubled([]))
    file.write_bytes(file.read_bytes()[:-cut])
    assert Journal(file).complete(numbers(3), doubled(asked)) == [0, 2, 4]
    assert asked == [[2]]
    assert Journal(file).complete(numbers(3), doubled(asked)) == [0, 2, 4] and len(asked) == 1


def test_a_failing_run_keeps_the_portions_before(tmp_path):
    def fails(inputs):
        if 2 in inputs:
            raise KeyboardInterrupt
        return inputs

    with pytest.raises(KeyboardInterrupt):
        Journal(tmp_path / "a.jsonl").complete(numbers(4), fails, portion=2)
    assert len(Journal(tmp_path / "a.jsonl").results) == 2


@pytest.mark.parametrize("line", ["no JSON", "[1]", "{}", '{"key": 1, "result": 2}'])
def test_a_damaged_line_is_named(tmp_path, line):
    (tmp_path / "a.jsonl").write_text('{"key": [1], "result": 2}\n' + line + "\n")
    with pytest.raises(ValueError, match=r"a.jsonl, line 2 is damaged .*run again"):
        Journal(tmp_path / "a.jsonl")


def test_as_many_results_as_inputs_are_required(tmp_path):
    with pytest.raises(ValueError):
        Journal(tmp_path / "a.jsonl").complete(numbers(3), lambda inputs: inputs[:2])


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named_and_what_was_written_is_kept(tmp_path):
    (tmp_path / "a.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"all earlier results are kept.*a.jsonl") as raised:
        Journal(tmp_path / "a.jsonl").complete(numbers(3), doubled([]))
    assert raised.value.errno == errno.ENOSPC
