"""Traces, the chosen point, counted tokens and gallery cards."""

import numpy as np
import pytest

from icl_lib import stages, thi
from icl_lib.mllm import load_mllm
from icl_lib.mllm.calibration import Calibration
from icl_lib.mllm.local import LocalMLLM
from icl_lib.results import read_json, read_summary
from icl_lib.retrieval import load_backbone
from icl_lib.stages import evidence, interactions


def test_without_rounds_the_ranking_is_the_backbones(params, done):
    plain = done[1].per_query(0, 0.5, 0.8)
    assert (plain["anchor"] == -1).all()
    own = stages.evaluated(params, stages.backbone(params), "rda")
    assert np.allclose(plain["rank1"], own["rank1"])


def test_for_one_xi_exactly_the_questions_of_algorithm_1_are_asked(done):
    """Counted by the MLLM, against Algorithm 1 written as a dialogue; the rankings are the same."""
    run = done[1]
    known, calls = run.trace, []
    texts = [f"{q}" for q in range(len(run.queries))]

    class Counting:
        def p_yes(self, images, asked):
            calls.extend(zip(map(int, asked), images, strict=True))
            rank = [list(known.candidates[q]).index(column) for q, column in calls[-len(asked) :]]
            new = zip(calls[-len(asked) :], rank, strict=True)
            return [known.p_yes[q, r] for (q, _), r in new]

    xis = (-1.0, float(np.median(run.sim.max(1))), 1.0)
    for K, xi in [(K, xi) for K in (0, 1, 2, 4) for xi in xis]:
        needed = []
        for q in range(len(texts)):
            for rank in range(K):
                needed.append((q, known.candidates[q, rank]))
                # Algorithm 1 stops as soon as no further answer can change the outcome.
                if run.sim[q].max() > xi or known.p_yes[q, rank] > known.threshold:
                    break
        calls.clear()
        sure = run.sim.max(1) > xi
        limit = np.where(sure, min(K, 1), K)
        asked = thi.interact(texts, known.candidates, Counting(), limit, known.threshold)
        assert sorted(calls) == sorted(needed), "these questions and not one more"
        assert int(thi.questions(run.sim.max(1), known, K, xi).sum()) == len(needed)
        final, anchor = thi.replay(run.sim, run.sim_refined, asked, K, xi, 0.6)
        whole, whole_anchor = thi.replay(run.sim, run.sim_refined, known, K, xi, 0.6)
        assert np.array_equal(final, whole) and np.array_equal(anchor, whole_anchor)


def test_pictures_are_encoded_once_however_often_a_split_is_asked_for(params, monkeypatch):
    run = stages.interaction(params, "val")
    monkeypatch.setattr(interactions, "load_backbone", None)
    again = stages.interaction(params, "val")
    assert again.sim is run.sim and np.array_equal(again.sim_refined, run.sim_refined)
    monkeypatch.setattr(interactions, "_RANKED", {})
    with pytest.raises(TypeError):
        stages.interaction(params, "val")


def test_given_xi_and_lambda_are_kept(tiny, done):
    fixed = tiny(xi=0.3, lam=0.7)
    assert stages.chosen(fixed, stages.interaction(fixed, "val")) == {"K": 3, "xi": 0.3, "lam": 0.7}


def test_tokens_are_counted_once(params, done, capsys):
    run = done[1]
    counted = stages.tokens(params, run)
    capsys.readouterr()
    again = stages.tokens(params, run)
    assert "made " not in capsys.readouterr().out
    assert all(np.array_equal(counted[name], again[name]) for name in counted)
    assert counted["question_read"].shape == run.trace.p_yes.shape
    assert (counted["question_read"] > 0).all()
    found = [(q, rank) for q, rank in enumerate(run.trace.first_yes) if rank >= 0]
    described = {run.trace.candidates[q, rank] for q, rank in found}
    assert set(np.flatnonzero(counted["describe_read"])) == described


def test_gallery_cards_leave_only_questions_and_merges_to_the_query(params, done, monkeypatch):
    cards, run = stages.cards(params, "test"), done[1]
    assert list(cards) == run.gallery["image_id"].tolist()
    assert all(len(answers) == 15 for answers in cards.values())
    assert read_summary(params)["cards"]["test"]["pictures"] == len(run.gallery)
    mllm, asked = load_mllm(params, stages.adapter(params)), []

    def write(self, prompts, images=None):
        asked.append(images)
        return ["A man."] * len(prompts)

    monkeypatch.setattr(LocalMLLM, "write", write)
    paths = run.gallery["path"].tolist()
    trace = thi.Trace.from_answers([[True]] * len(paths), [[i] for i in range(len(paths))])
    _, answers = thi.refine(["a person"] * len(paths), trace, mllm, paths)
    assert asked and all(images is None for images in asked), "only merges, no descriptions"
    assert answers == list(cards.values())
    assert stages.cards(params, "test") == cards


def test_a_given_threshold_is_on_what_the_mllm_says_and_holds_for_both(tiny, done):
    own = tiny(sft__threshold=0.5)
    for lora in (True, False):
        folder = stages.answering(own, lora)
        told = read_json(folder / "threshold.json")
        calibration = Calibration(told["slope"], told["offset"])
        assert told["chosen_on"] == "params"
        assert calibration.said(told["threshold"]) == pytest.approx(0.5)


def test_a_model_of_ones_own_is_asked_about_as_the_runs_own(params, done, capsys):
    model = load_backbone(params, stages.backbone(params))
    run, own = done[1], stages.plugged(params, "test", model)
    assert own.trace.candidates.tolist() == run.trace.candidates.tolist()
    assert np.allclose(own.trace.p_yes, run.trace.p_yes, equal_nan=True, atol=1e-5)
    assert own.texts == run.texts and np.allclose(own.sim_refined, run.sim_refined, atol=1e-4)


def test_features_of_another_repository_are_interacted_with(params, done, tmp_path):
    runs = {}
    for split in ("val", "test"):
        found = stages.interaction(params, split)
        folder = tmp_path / split
        folder.mkdir()
        captions, images = found.queries["caption"], found.gallery["path"]
        (folder / "captions.txt").write_text("\n".join(" ".join(c.split()) for c in captions))
        (folder / "images.txt").write_text("\n".join(images))
        np.save(folder / "similarity.npy", found.sim)
        runs[split] = stages.plugged(params, split, folder)
    run = runs["test"]
    assert run.texts == run.queries["caption"].tolist() and set(run.answers) == {None}
    assert np.array_equal(run.sim_refined, run.sim)
    rule = evidence.fitted(params, val=runs["val"])
    assert rule.evidence.alike is None, "without vectors, no picture looks like another"
    values = run.by_evidence(evidence.asked(params, run, rule, "test"), rule.evidence)
    assert 0 <= values["rank1"].mean() <= 100
