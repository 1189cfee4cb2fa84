"""The whole pipeline on a handful of drawn people: every stage runs alone, is made once, and says what is missing."""

import json

import numpy as np
import pytest

from icl_lib import hallucination, load_params, stages
from icl_lib.results import read_summary

TINY = {"ids_train": 6, "ids_val": 3, "ids_test": 4, "backbone__epochs": 1, "warmup_epochs": 0, "sft__epochs": 1, "pairs": 12,
        "rewrites": 1, "k_max": 4, "K": 3}


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("ICL_DATA", str(tmp_path_factory.mktemp("data")))
    patch.setenv("ICL_RESULTS", str(tmp_path_factory.mktemp("results")))
    yield load_params("rstp", "demo", **TINY)
    patch.undo()


@pytest.fixture(scope="module")
def done(params):
    return stages.final(params)


def test_the_last_stage_alone_makes_all_it_needs(params, done):
    point, run, values = done
    assert point["K"] == 3 and 0 <= point["lam"] <= 1
    assert run.sim.shape == run.sim_refined.shape == (40, 20) and len(values["rank1"]) == 40
    made = {folder.name.rsplit("-", 1)[0] for folder in params.cache_dir.iterdir() if folder.is_dir()}
    assert {"baseline", "rda", "adapter", "backbone", "thi-val", "thi-test"} <= made
    summary = read_summary(params)
    assert summary["profile"] == "demo" and summary["thi"]["final"]["ci95"]["rank1"]
    assert summary["cost"]["questions"] <= summary["cost"]["released_questions"]
    assert set(summary["seconds"]) >= {"data", "baseline", "rda", "adapter", "backbone", "thi-val", "thi-test"}


def test_a_second_run_makes_and_asks_nothing(params, done, monkeypatch, capsys):
    from icl_lib.mllm.local import LocalMLLM

    def never(*_, **__):
        raise AssertionError("the MLLM was asked again")

    monkeypatch.setattr(LocalMLLM, "p_yes", never)
    monkeypatch.setattr(LocalMLLM, "write", never)
    point, run, values = stages.final(params)
    assert point == done[0] and np.array_equal(run.sim_refined, done[1].sim_refined)
    assert "made " not in capsys.readouterr().out


def test_without_rounds_the_ranking_is_the_backbones(params, done):
    _, run, _ = done
    plain = run.per_query(0, .5, .8)
    assert (plain["anchor"] == -1).all()
    assert np.allclose(plain["rank1"], stages.evaluated(params, stages.backbone(params), "rda")["rank1"])


def test_another_seed_trains_anew_on_the_same_texts_and_leaves_the_summary_alone(params, done):
    before = read_summary(params)
    runs = stages.trained(params, 2)
    assert runs[0] == {"without RDA": stages.baseline(params), "with RDA": stages.backbone(params)}
    assert {folder.name.rsplit("-", 1)[0] for folder in runs[1].values()} == {"baseline-seed1", "backbone-seed1"}
    assert sum(path.is_dir() for path in params.cache_dir.glob("rda-*")) == 1
    assert read_summary(params) == before
    first, other = (stages.measured(params, both["with RDA"])["first"] for both in runs.values())
    assert not np.array_equal(first, other)


def test_the_ablation_trains_each_ingredient_and_finds_what_is_there(params, done):
    runs = stages.ablation(params, 1)[0]
    assert runs["captions only"] == stages.baseline(params) and runs["both, w as released"] == stages.backbone(params)
    assert len(runs) == 5 and len(set(runs.values())) == 5
    released = load_params("rstp", "demo", **TINY | {"backbone__epochs": load_params("rstp", "paper").backbone.epochs})
    assert stages.ablation_settings(released).keys() == {"captions only", "RDA's texts only", "both, w = 1", "both, w as released"}


def test_a_filter_trains_another_backbone_on_the_same_texts(params, done):
    runs = hallucination.filtered(params, .5)[0]
    assert runs["no filter"] == stages.backbone(params) and len(set(runs.values())) == 4
    table = stages.checked(params)
    assert table["p"].between(0, 1).all() and 0 < table["captioned"].sum() < len(table)
    assert not table.duplicated(["path", "text"]).any()
    assert sum(path.is_dir() for path in params.cache_dir.glob("rda-*")) == 1


def test_pairs_never_call_the_same_person_a_negative(params, done):
    pairs = stages.pairs(params, "train")
    assert ((pairs["pid"] == pairs["image_pid"]) == (pairs["label"] == 1)).all()
    top = stages.candidates(params, "test", queries=5)
    assert len(top) == 5 * params.sft.top_k and set(top["label"]) <= {0, 1}


def test_given_xi_and_lambda_are_kept(params, done):
    fixed = load_params("rstp", "demo", **TINY, xi=.3, lam=.7)
    assert stages.chosen(fixed, stages.interaction(fixed, "val")) == {"K": 3, "xi": .3, "lam": .7}


def test_rda_is_written_in_the_authors_format(params, done):
    from icl_lib.data.manifest import captions
    from icl_lib.rda import read_diversity

    folder = next(params.cache_dir.glob("rda-*/diversity.json"))
    train = captions(stages.data(params), "train")
    assert set(read_diversity(folder, train)) == set(train["caption_id"])
    assert "diversity_captions" in json.loads(folder.read_text())[0]


def test_the_paper_profile_lists_all_that_is_missing_on_one_page(tmp_path, monkeypatch):
    monkeypatch.setenv("ICL_DATA", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError) as problem:
        stages.data(load_params("rstp", "paper", weights=str(tmp_path / "no.pt"), model=str(tmp_path / "none")))
    told = str(problem.value)
    assert "1." in told and "2." in told and "3." in told
    assert "data_captions.json" in told and "no.pt" in told and "nothing is downloaded" in told.lower()
