"""What answers in a search: the run's own models, or what there is of them."""

import numpy as np
import pytest
from fake_server import said, serving
from paper_weights import MLLM, WEIGHTS, write_published
from small_run import TINY

from icl_lib import load_params, stages
from icl_lib.retrieval.models import RDE
from icl_lib.retrieval.weights import empty_clip
from icl_lib.search.models import load_models
from icl_lib.stages.evidence import fitted
from icl_lib.stages.witness import measured_reliabilities


@pytest.fixture
def paper(files, tmp_path, monkeypatch):
    """The paper profile without the benchmark's files; further overrides as keywords."""
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("ICL_DATA", str(tmp_path / "data"))

    def make(**overrides):
        given = {"weights": str(files / WEIGHTS), "mllm__model": str(files / MLLM)}
        return load_params("rstp", "paper", **given | overrides)

    return make


def test_without_the_benchmark_clip_and_the_mllm_answer_as_they_are(paper, pictures):
    params = paper()
    models = load_models(params)
    assert models.backbone.method == "clip" and models.rule is None and models.threshold == 0.5
    assert models.theta is None
    scale = models.backbone.clip.logit_scale.exp().item()
    assert models.evidence.temperature == pytest.approx(1 / scale)
    told = " ".join(models.note)
    assert "Not trained on RSTPReid" in told and "RSTPReid/data_captions.json" in told
    assert "RSTPReid (rstp) was not found" in told and "Nothing is fitted" in told
    p = models.mllm.p_yes(pictures[:2], ["a woman", "a man"])
    assert ((p > 0) & (p < 1)).all()
    vectors = models.backbone.encode_images(pictures[:2])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)


def test_a_published_checkpoint_answers_with_its_own_temperature(paper, tmp_path):
    model = RDE(empty_clip(paper()))
    names = set()
    for shift in (0, 1):
        model.clip.positional_embedding.data += shift
        write_published(model, tmp_path / "best.pth")
        models = load_models(paper(checkpoint=str(tmp_path / "best.pth")))
        names.add(models.backbone_name)
    assert models.backbone.method == "rde" and models.evidence.temperature == 0.015
    assert len(names) == 2, "other weights under the same file name need another index"


def test_without_a_backbone_nothing_can_be_searched(paper, tmp_path):
    with pytest.raises(FileNotFoundError, match="CLIP weights were looked for"):
        load_models(paper(weights=str(tmp_path / "none.pt")))


def test_without_an_mllm_similarity_ranks(paper, tmp_path):
    models = load_models(paper(mllm__model=str(tmp_path / "none")))
    assert models.mllm is None and models.backbone.method == "clip"
    assert any("No MLLM" in line and str(tmp_path / "none") in line for line in models.note)


def test_a_dead_server_leaves_similarity_and_a_living_one_answers(paper, pictures):
    def yes(number, body):
        return said("Yes", {"Yes": -0.1, "No": -3.0}, body=body)

    with serving(yes) as fake:
        params = paper(backend="server", url=fake.url, served_model="small-model")
        models = load_models(params)
        assert models.mllm is not None and fake.requests
        assert models.mllm.p_yes(pictures[:1], ["a man"])[0] > 0.9
        assert fake.requests[-1]["model"] == "small-model"
    models = load_models(params)
    assert models.mllm is None and models.backbone.method == "clip"
    assert any("No MLLM" in line and "No server answers at" in line for line in models.note)


def test_the_models_of_a_run_are_those_of_its_stages(tmp_path, monkeypatch):
    """One small run, made here once: with its MLLM, and after that without."""
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))
    monkeypatch.setenv("ICL_DATA", str(tmp_path / "data"))
    params, told = load_params("rstp", "demo", **TINY), []
    models = load_models(params, told.append)
    assert "RSTPReid" in told[0] and str(params.cache_dir) in told[0]
    assert models.backbone_name == stages.backbone(params).name
    assert models.mllm.name == stages.asker(params).name
    assert models.threshold == stages.threshold(params)
    rule = fitted(params)
    assert models.evidence == models.rule.evidence == rule.evidence
    assert (models.rule.policy, models.rule.price) == (rule.policy, rule.price)
    np.testing.assert_array_equal(models.rule.answers.ratio, rule.answers.ratio)
    np.testing.assert_allclose(models.theta, measured_reliabilities(params))
    monkeypatch.setattr("icl_lib.search.models.fitted", None)  # is not called again
    assert load_models(params, told.append).rule.price == rule.price
    assert len(models.note) == 1 and "drawn people only" in models.note[0]

    # The same with a server that is gone: the backbone without RDA needs none, that with RDA does.
    dead = TINY | {"backend": "server", "url": "http://127.0.0.1:9/v1", "served_adapter": "a"}
    models = load_models(load_params("rstp", "demo", **dead, backbone__rda=False), told.append)
    assert models.backbone_name == stages.baseline(params).name and models.mllm is None
    assert models.evidence.temperature == params.backbone.tau
    assert "No MLLM" in models.note[1] and "No server answers at" in models.note[1]
    models = load_models(load_params("rstp", "demo", **dead), told.append)
    assert models.backbone.method == "clip" and models.mllm is None
    assert "Not trained on RSTPReid" in models.note[1]
