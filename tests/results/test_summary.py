"""summary.json: entries are added side by side, with what made them."""

import json
import multiprocessing

import numpy as np
import pytest

from icl_lib import load_params, results
from icl_lib.results import summary as summary_module


def _report(params, number):
    results.update_summary(params, f"seconds.stage{number}", number)


def test_processes_that_write_at_once_keep_each_others_entries(params):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_report, args=(params, n)) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert results.read_summary(params)["seconds"] == {f"stage{n}": n for n in range(8)}


def test_the_summary_holds_entries_and_what_made_them(params):
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
    assert summary["made_by"]["thi.final"]["seed"] == 0
    assert summary["made_by"]["backbone.rda"]["seed"] == 3
    assert "torch" in summary["versions"]
    with pytest.raises(ValueError, match="'thi' already holds a value"):
        results.update_summary(params, "seconds.thi.more", 1)


def test_the_same_value_again_leaves_the_file_as_it_is(params, monkeypatch):
    results.update_summary(params, "cost.questions", 12)
    file, made_by = params.results_dir / "summary.json", results.made_by
    before = file.read_bytes()
    monkeypatch.setattr(
        summary_module, "made_by", lambda params: {**made_by(params), "when": "2199"}
    )
    results.update_summary(params, "cost.questions", 12)
    assert file.read_bytes() == before
    results.update_summary(params, "cost.questions", 13)
    assert results.read_summary(params)["made_by"]["cost.questions"]["when"] == "2199"
