"""The manifest of every stage: drawn or found, limited for a trial run, and what is missing."""

import json

import pytest

from icl_lib import load_params, stages
from icl_lib.data import benchmarks, check
from icl_lib.figures.style import stamp
from icl_lib.results import read_summary, record_seconds
from icl_lib.stages import manifest

SIZES = {"ids_train": 6, "ids_val": 3, "ids_test": 4, "images_per_id": 1}


@pytest.fixture(scope="module", autouse=True)
def folders(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("ICL_DATA", str(tmp_path_factory.mktemp("data")))
    patch.setenv("ICL_RESULTS", str(tmp_path_factory.mktemp("results")))
    yield
    patch.undo()


def people(params):
    table = stages.data(params)
    return {split: sorted(set(part["pid"])) for split, part in table.groupby("split")}


def test_a_limit_keeps_the_first_people_of_each_split_by_id():
    every = people(load_params("rstp", **SIZES))
    assert {split: len(ids) for split, ids in every.items()} == {"train": 6, "val": 3, "test": 4}
    limited = people(load_params("rstp", **SIZES, limit_ids=2))
    assert limited == {split: ids[:2] for split, ids in every.items()}


def test_a_split_with_fewer_people_than_the_limit_is_kept_whole():
    every = people(load_params("rstp", **SIZES))
    limited = people(load_params("rstp", **SIZES, limit_ids=4))
    assert limited == {**every, "train": every["train"][:4]}
    assert people(load_params("rstp", **SIZES, limit_ids=100)) == every


@pytest.mark.parametrize(("limit", "held_out", "expected"), [(1, 2, 1), (3, 2, 2), (3, 1, 1)])
def test_a_val_split_held_out_of_train_is_limited_too(limit, held_out, expected):
    every = people(load_params("icfg", **SIZES, val_from_train=0))
    limited = people(load_params("icfg", **SIZES, val_from_train=held_out, limit_ids=limit))
    assert len(limited["train"]) == limit and len(limited["val"]) == expected
    assert sorted(limited["train"] + limited["val"]) == every["train"][: limit + expected]
    assert limited["test"] == every["test"][:limit]


def test_a_limit_opens_no_picture_of_the_people_left_out(monkeypatch):
    params = load_params("rstp", **SIZES, limit_ids=1)
    stages.data(params)
    monkeypatch.setattr(manifest, "_READ", {})
    opened, look = [], benchmarks.check_picture
    monkeypatch.setattr(
        benchmarks,
        "check_picture",
        lambda path, *options: opened.append(str(path)) or look(path, *options),
    )
    table = stages.data(params)
    assert sorted(opened) == sorted(set(table["path"])) and table["pid"].nunique() == 3


def test_a_file_is_read_once_and_again_when_it_has_changed():
    params = load_params("rstp", **SIZES)
    first = stages.data(params)
    first.loc[:, "caption"] = "changed by the caller"
    second = stages.data(params)
    assert "changed by the caller" not in set(second["caption"])
    file = params.data_root / params.data.annotation
    records, before = json.loads(file.read_text()), file.read_text()
    file.write_text(json.dumps(records[:-1]))
    assert len(stages.data(params)) < len(second)
    file.write_text(before)
    assert stages.data(params).equals(second) and stages.data(params).attrs == second.attrs


def test_a_trial_run_is_marked_and_leaves_the_complete_results_alone():
    whole, trial = load_params("rstp", **SIZES), load_params("rstp", **SIZES, limit_ids=2)
    assert trial.results_dir.name == "rstp-2ids" and trial.data_root == whole.data_root
    record_seconds(whole, "thi", 9)
    record_seconds(trial, "thi", 1)
    assert (read_summary(whole)["seconds"]["thi"], read_summary(trial)["seconds"]["thi"]) == (9, 1)
    assert read_summary(trial)["limit_ids"] == 2 and "limit_ids" not in read_summary(whole)
    assert "trial run on 2 people per split" in stamp(trial) and "trial" not in stamp(whole)
    table = check(stages.data(trial), "rstp").set_index(["check", "split"])
    assert table.loc[("identities", "train"), "verdict"] == "trial run on the first 2 people"


def test_the_paper_profile_lists_all_that_is_missing_on_one_page(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    nowhere = {"weights": str(tmp_path / "no.pt"), "model": str(tmp_path / "none")}
    with pytest.raises(FileNotFoundError) as problem:
        stages.data(load_params("rstp", "paper", **nowhere))
    message = str(problem.value)
    assert "1." in message and "2." in message and "3." in message
    assert "data_captions.json" in message and "no.pt" in message
    assert "nothing is downloaded" in message
