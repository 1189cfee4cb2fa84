"""The whole pipeline on a handful of drawn people: every stage runs alone, is made once, and says what is missing."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from icl_lib import load_params, stages
from icl_lib.results import read_summary
from icl_lib.stages import ablations, backbones
from icl_lib.stages import ablations as ablations_stages

TINY = {
    "ids_train": 6,
    "ids_val": 3,
    "ids_test": 4,
    "backbone__epochs": 1,
    "warmup_epochs": 0,
    "sft__epochs": 1,
    "pairs": 12,
    "rewrites": 1,
    "k_max": 4,
    "K": 3,
}


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
    made = {
        folder.name.rsplit("-", 1)[0] for folder in params.cache_dir.iterdir() if folder.is_dir()
    }
    assert {"baseline", "rda", "adapter", "backbone", "thi-val", "thi-test"} <= made
    summary = read_summary(params)
    assert summary["profile"] == "demo" and summary["thi"]["final"]["ci95"]["rank1"]
    assert summary["cost"]["questions"] <= summary["cost"]["released_questions"]
    assert set(summary["seconds"]) >= {
        "data",
        "baseline",
        "rda",
        "adapter",
        "backbone",
        "thi-val",
        "thi-test",
    }


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
    plain = run.per_query(0, 0.5, 0.8)
    assert (plain["anchor"] == -1).all()
    assert np.allclose(
        plain["rank1"], stages.evaluated(params, stages.backbone(params), "rda")["rank1"]
    )


def test_another_seed_trains_anew_on_the_same_texts_and_leaves_the_summary_alone(params, done):
    before = read_summary(params)
    runs = ablations.trained(params, 2)
    assert runs[0] == {"without RDA": stages.baseline(params), "with RDA": stages.backbone(params)}
    assert {folder.name.rsplit("-", 1)[0] for folder in runs[1].values()} == {
        "baseline-seed1",
        "backbone-seed1",
    }
    assert sum(path.is_dir() for path in params.cache_dir.glob("rda-*")) == 1
    assert read_summary(params) == before
    first, other = (stages.measured(params, both["with RDA"])["first"] for both in runs.values())
    assert not np.array_equal(first, other)


def test_table_6_has_all_rows_of_every_seed_and_is_made_once(params, done, capsys):
    before = read_summary(params)
    runs = ablations.table6(params, 2)
    assert set(runs) == {0, 1} and all(tuple(rows) == ablations.TABLE6 for rows in runs.values())
    values, point, cost = runs[0]["RDA + THI + LoRA"]
    assert (
        point == done[0]
        and np.array_equal(values["rank1"], done[2]["rank1"])
        and cost == read_summary(params)["cost"]
    )
    assert np.array_equal(
        runs[0]["RDA"][0]["mAP"], stages.measured(params, stages.backbone(params))["mAP"]
    )
    assert runs[0]["baseline"][1:] == ({}, {}) and runs[1]["THI"][2]["queries"] == 40
    made = {
        folder.name.rsplit("-", 1)[0] for folder in params.cache_dir.iterdir() if folder.is_dir()
    }
    own = {
        f"thi-test{raw}{start}{seed}"
        for raw in ("", "-raw")
        for start in ("", "-without-rda")
        for seed in ("", "-seed1")
    }
    assert own | {"adapter-seed1"} <= made
    assert {**read_summary(params), "seconds": 0, "made_by": 0} == {
        **before,
        "seconds": 0,
        "made_by": 0,
    }
    assert not [name for name in read_summary(params)["seconds"] if "seed" in name]
    capsys.readouterr()
    again = ablations.table6(params, 2)
    assert "made " not in capsys.readouterr().out
    assert all(
        np.array_equal(again[1][row][0]["first"], runs[1][row][0]["first"])
        for row in ablations.TABLE6
    )


def test_another_seed_has_an_adapter_of_its_own_mined_by_its_own_baseline(params, done):
    other = params.model_copy(update={"seed": 1})
    ablations.table6(params, 2)
    key = json.loads((stages.adapter(other, "seed1") / "provenance.json").read_text())["key"]
    assert key["miner"] == stages.baseline(other, "seed1").name and key["seed"] == 1
    assert stages.adapter(other, "seed1") != stages.adapter(params)


def test_one_xi_asks_exactly_what_algorithm_1_needs(params, done):
    """Counted by the MLLM that is asked, against Algorithm 1 written as a dialogue, at identical rankings."""
    from icl_lib import thi

    _, run, _ = done
    said, calls = run.trace, []
    texts = [f"{q}" for q in range(len(run.queries))]

    class Counting:
        def p_yes(self, images, asked):
            calls.extend(zip(map(int, asked), images))
            rank = [list(said.candidates[q]).index(column) for q, column in calls[-len(asked) :]]
            return [said.p_yes[q, r] for (q, _), r in zip(calls[-len(asked) :], rank)]

    for K, xi in [
        (K, xi) for K in (0, 1, 2, 4) for xi in (-1.0, float(np.median(run.sim.max(1))), 1.0)
    ]:
        needed = []
        for q in range(
            len(texts)
        ):  # Algorithm 1: stop as soon as no further answer can change the outcome
            for rank in range(K):
                needed.append((q, said.candidates[q, rank]))
                if run.sim[q].max() > xi or said.p_yes[q, rank] > said.threshold:
                    break
        calls.clear()
        sure = run.sim.max(1) > xi
        asked = thi.interact(
            texts, said.candidates, Counting(), np.where(sure, min(K, 1), K), said.threshold
        )
        assert sorted(calls) == sorted(needed), "these questions and not one more"
        assert int(thi.questions(run.sim.max(1), said, K, xi).sum()) == len(needed)
        for one, other in zip(
            thi.replay(run.sim, run.sim_refined, asked, K, xi, 0.6),
            thi.replay(run.sim, run.sim_refined, said, K, xi, 0.6),
        ):
            assert np.array_equal(one, other)


def test_tokens_are_counted_once(params, done, capsys):
    _, run, _ = done
    counted = stages.tokens(params, run)
    capsys.readouterr()
    again = stages.tokens(params, run)
    assert "made " not in capsys.readouterr().out and all(
        np.array_equal(counted[name], again[name]) for name in counted
    )
    assert (
        counted["question_read"].shape == run.trace.p_yes.shape
        and (counted["question_read"] > 0).all()
    )
    described = {
        run.trace.candidates[q, rank] for q, rank in enumerate(run.trace.first_yes) if rank >= 0
    }
    assert set(np.flatnonzero(counted["describe_read"])) == described


def test_the_ablation_trains_each_ingredient_and_finds_what_is_there(params, done):
    runs = ablations.rda_trainings(params, 1)[0]
    assert runs["captions only"] == stages.baseline(params) and runs[
        "both, w as released"
    ] == stages.backbone(params)
    assert len(runs) == 5 and len(set(runs.values())) == 5
    released = load_params(
        "rstp", "demo", **TINY | {"backbone__epochs": load_params("rstp", "paper").backbone.epochs}
    )
    assert ablations.rda_settings(released).keys() == {
        "captions only",
        "RDA's texts only",
        "both, w = 1",
        "both, w as released",
    }


def test_a_filter_trains_another_backbone_on_the_same_texts(params, done):
    runs = ablations_stages.filtered(params, 0.5)[0]
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
    fixed = load_params("rstp", "demo", **TINY, xi=0.3, lam=0.7)
    assert stages.chosen(fixed, stages.interaction(fixed, "val")) == {"K": 3, "xi": 0.3, "lam": 0.7}


def test_rda_is_written_in_the_authors_format(params, done):
    from icl_lib.data.manifest import captions
    from icl_lib.rda import read_diversity

    folder = next(params.cache_dir.glob("rda-*/diversity.json"))
    train = captions(stages.data(params), "train")
    assert set(read_diversity(folder, train)) == set(train["caption_id"])
    assert "diversity_captions" in json.loads(folder.read_text())[0]


def test_gallery_cards_leave_only_yes_no_and_merging_to_the_query(params, done, monkeypatch):
    from icl_lib import thi
    from icl_lib.mllm import load_mllm
    from icl_lib.mllm.local import LocalMLLM

    cards = stages.cards(params, "test")
    _, run, _ = done
    assert list(cards) == run.gallery["image_id"].tolist() and all(
        len(answers) == 15 for answers in cards.values()
    )
    assert read_summary(params)["cards"]["test"]["pictures"] == len(run.gallery)
    mllm, asked = load_mllm(params, stages.adapter(params)), []
    monkeypatch.setattr(
        LocalMLLM,
        "write",
        lambda self, prompts, images=None: asked.append(images) or ["A man."] * len(prompts),
    )
    told = run.gallery["path"].tolist()
    trace = thi.Trace.from_answers([[True]] * len(told), [[column] for column in range(len(told))])
    texts, answers = thi.refine(["a person"] * len(told), trace, mllm, told)
    assert asked and all(images is None for images in asked), (
        "only merges are asked, no picture is described"
    )
    assert answers == list(cards.values())
    assert stages.cards(params, "test") == cards


@pytest.mark.parametrize("name", ["argmax", "second_look", "adding"])
def test_thi_variant_replays_the_final_run_and_is_off_by_default(params, done, name):
    varied = load_params("rstp", "demo", **TINY, variant=name)
    point, run, values = stages.final(varied)
    told = read_summary(varied)["thi"]["final"]
    assert point == done[0] and told["variant"] == name
    assert np.array_equal(run.replay(**point)[1], values["anchor"]) and run.change is not None
    assert np.array_equal(run.trace.p_yes, done[1].trace.p_yes, equal_nan=True), (
        "the trace stays Algorithm 1's"
    )
    stages.final(params)
    assert "variant" not in read_summary(params)["thi"]["final"] and done[1].change is None


def test_asking_to_the_end_keeps_the_answers_there_are(params, done):
    from icl_lib.stages import variants

    run = done[1]
    whole = variants.asked_to_the_end(params, run, "test")
    known = ~np.isnan(run.trace.p_yes[:, :3])
    assert whole.asked.tolist() == [3] * 40 and np.array_equal(
        whole.p_yes[known], run.trace.p_yes[:, :3][known]
    )


def test_a_file_of_texts_takes_the_mllms_place(params, done, monkeypatch, tmp_path, capsys):
    from icl_lib import rda
    from icl_lib.data.manifest import captions

    train = captions(stages.data(params), "train")
    parts = {int(i): [[f"Text {i}."], ["Seen from afar."]] for i in train["caption_id"][2:]}
    rda.write_diversity(train, parts, tmp_path / "theirs.json")
    given = load_params("rstp", "demo", **TINY, rda__file=str(tmp_path / "theirs.json"))
    own, trained = stages.backbone(params), []
    monkeypatch.setattr(backbones, "load_mllm", lambda *_: pytest.fail("the MLLM was asked"))
    monkeypatch.setattr(
        backbones,
        "train_backbone",
        lambda params, manifest, folder, texts, *_: trained.append(texts),
    )
    first = stages.backbone(given)
    assert first != own and f"{len(parts):,} of {len(train):,}" in capsys.readouterr().out
    assert trained[0] == {
        int(i): parts.get(int(i), [[text]])
        for i, text in zip(train["caption_id"], train["caption"])
    }
    rda.write_diversity(
        train, {**parts, next(iter(parts)): [["Another."]]}, tmp_path / "theirs.json"
    )
    assert stages.backbone(given) != first, "another content, another training"
    with pytest.raises(ValueError, match="set only one of them"):
        load_params("rstp", "demo", **TINY, rda__file="x.json", rda__drop=0.5)


def test_other_weights_under_the_old_name_write_other_texts_and_train_another_backbone(
    params, done, tmp_path
):
    from safetensors.torch import load_file, save_file

    from icl_lib.mllm.weights import SMALL_MODEL

    folder = tmp_path / "model"
    shutil.copytree(SMALL_MODEL, folder)
    other = load_params("rstp", "demo", **TINY, mllm__model=str(folder))
    first = stages.backbone(other)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("embed_tokens.weight"))
    weights[name] = -weights[name]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert stages.backbone(other) != first


def test_what_was_timed_is_shown_again_until_another_attempt_is_asked_for(params):
    calls = []

    def measure():
        calls.append(1)
        table = pd.DataFrame(
            {"seconds": [0.5, float(len(calls))], "asked": [[0.1, 0.2], []]},
            index=pd.Index([1, 8], name="texts"),
        )
        table.attrs["k_max"] = 10
        return table

    first = stages.timing(params, "tried", {"texts": [1, 8]}, measure)
    again = stages.timing(params, "tried", {"texts": [1, 8]}, measure)
    assert len(calls) == 1 and again.attrs == {"k_max": 10}
    pd.testing.assert_frame_equal(again, first)
    pd.testing.assert_frame_equal(again, measure().assign(seconds=[0.5, 1.0]))
    assert (
        stages.timing(params, "tried", {"texts": [1, 8]}, measure, attempt=1)["seconds"].iloc[1]
        == 3
    )
    assert stages.timing(params, "tried", {"texts": [1]}, measure)["seconds"].iloc[1] == 4
