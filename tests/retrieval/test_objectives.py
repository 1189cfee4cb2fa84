import math

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from icl_lib import load_params
from icl_lib.retrieval import train
from icl_lib.retrieval.evaluate import similarity
from icl_lib.retrieval.load import load_backbone, new_backbone
from icl_lib.retrieval.losses import LOSSES, info_nce, sdm, tal
from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.retrieval.objectives import Objective
from icl_lib.retrieval.schedule import parameter_groups
from icl_lib.retrieval.train import train_backbone


def objective(**backbone):
    return Objective(load_params("rstp", "paper", backbone=backbone).backbone)


def branches(names, size, seed):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.nn.functional.normalize(torch.randn(size, 6, generator=generator), dim=1)
        for name in names
    }


def outputs(names=("bge", "tse"), size=5, texts=1, own=None):
    return {
        "images": branches(names, size, 0),
        "texts": [branches(names, size, i + 1) for i in range(texts)],
        "own": own or [{} for _ in range(texts)],
    }


@pytest.mark.parametrize(
    ("method", "loss", "ccd"),
    [("rde", "tal", True), ("irra", "sdm", False), ("clip", "info_nce", False)],
)
def test_each_method_has_the_loss_it_was_published_with(method, loss, ccd):
    for profile in ("demo", "paper"):
        settings = load_params("rstp", profile, method=method).backbone
        assert (settings.loss, settings.ccd) == (loss, ccd)
        other = load_params("rstp", profile, method=method, loss="trl", ccd=not ccd).backbone
        assert (other.loss, other.ccd) == ("trl", not ccd)
        assert Objective(other).loss is LOSSES["trl"]
    assert load_params("rstp", "demo", method=method, loss="auto").backbone.loss == loss


@pytest.mark.parametrize(
    ("backbone", "told"),
    [
        ({"method": "irrra"}, "backbone.method = 'irrra'.*did you mean 'irra'"),
        ({"loss": "infonce"}, "backbone.loss = 'infonce'.*did you mean 'info_nce'"),
        (
            {"method": "clip", "as_released": {"frozen_batchnorm": True}},
            "method 'clip' does not have",
        ),
        ({"rda_texts": "alone"}, "backbone.rda_texts"),
        ({"batch_size": 1}, "without a negative"),
        ({"irra": {"mlm_share": 1.5}}, "backbone.irra.mlm_share = 1.5"),
    ],
)
def test_settings_that_make_no_sense_are_refused_at_once(backbone, told):
    with pytest.raises(ValueError, match=told):
        load_params("rstp", "demo", backbone=backbone)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_is_a_sum_over_branches_texts_and_believed_pairs(loss):
    given, pids = outputs(texts=2), torch.tensor([0, 0, 1, 2, 3])
    clean = torch.tensor([True, True, False, True, True])
    expected = 0.0
    for text, weight in zip(given["texts"], (1.0, 0.3), strict=True):
        for name in ("bge", "tse"):
            expected += (
                weight * LOSSES[loss](text[name] @ given["images"][name].T, pids)[clean].sum()
            )
    assert float(objective(loss=loss)(given, pids, clean, 0.3)) == pytest.approx(
        float(expected), rel=1e-5
    )


def test_tau_and_margin_are_tals():
    sim, pids = torch.rand(4, 4), torch.arange(4)
    assert torch.equal(objective(tau=0.3, margin=0.5).per_pair(sim, pids), tal(sim, pids, 0.3, 0.5))
    assert torch.equal(objective(method="irra", tau=0.3).per_pair(sim, pids), sdm(sim, pids))
    assert torch.equal(objective(method="clip", tau=0.3).per_pair(sim, pids), info_nce(sim, pids))


def test_irras_own_losses_are_weighted_means_per_pair():
    identity = torch.tensor([[2.0, 1], [4, 1], [6, 1], [8, 1], [0, 1]])
    words = torch.tensor([[3.0, 2], [0, 0], [5, 1], [4, 4], [1, 1]])
    halved = identity * torch.tensor([0.5, 1])
    given = outputs(["bge"], texts=2, own=[{"id": identity, "mlm": words}, {"id": halved}])
    pids, everyone = torch.arange(5), torch.ones(5)
    settings = {"method": "irra", "irra": {"id_weight": 0.5, "mlm_weight": 2.0}}
    bare = objective(**settings).matching(given["images"], given["texts"], pids, everyone, 0.3)
    found = objective(**settings)(given, pids, everyone, 0.3)
    extra = 0.5 * 20 + 2.0 * 5 * 13 / 8 + 0.3 * 0.5 * 10
    assert float(found - bare) == pytest.approx(extra, rel=1e-5)
    some = torch.tensor([1.0, 0, 1, 0, 0])
    bare = objective(**settings).matching(given["images"], given["texts"], pids, some, 0.3)
    extra = 0.5 * 8 + 2.0 * 5 * 8 / 8 + 0.3 * 0.5 * 4
    assert float(objective(**settings)(given, pids, some, 0.3) - bare) == pytest.approx(
        extra, rel=1e-5
    )


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("pids", [[5], [1, 1, 1]])
def test_batches_without_negatives_and_of_one_are_defined(loss, pids):
    given = outputs(size=len(pids))
    for part in (given["images"], *given["texts"]):
        for vectors in part.values():
            vectors.requires_grad_()
    found = objective(loss=loss)(given, torch.tensor(pids), torch.ones(len(pids)))
    found.backward()
    found = found.detach()
    assert found.isfinite() and given["images"]["tse"].grad.isfinite().all()
    if loss in ("tal", "trl"):
        assert float(found) == 0


def test_a_batch_in_which_nothing_is_believed_costs_nothing():
    given = outputs(["bge"], own=[{"id": torch.ones(5, 2), "mlm": torch.zeros(5, 2)}])
    assert float(objective(method="irra")(given, torch.arange(5), torch.zeros(5))) == 0


def texts_of(table):
    return {
        int(c): [[f"{word} clothes", f"dressed in {word}"] for word in text.split()[-3:]]
        for c, text in zip(table["caption_id"], table["caption"], strict=True)
    }


@pytest.mark.parametrize("method", ["irra", "clip"])
def test_every_method_trains_resumes_and_is_evaluated(
    tiny, benchmark_table, tmp_path, monkeypatch, method
):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    params = tiny(
        backbone={"method": method, "epochs": 2, "lr": 1e-3, "warmup_epochs": 0, "ccd": True}
    )
    texts = texts_of(benchmark_table)
    done = train_backbone(params, benchmark_table, tmp_path / "whole", texts)
    assert math.isfinite(done["best"]["loss"]) and done["selected_on"] == "val"
    log = pd.read_csv(tmp_path / "whole" / "log.csv")
    assert log["loss"].iloc[-1] < log["loss"].iloc[0]
    step, calls = train.Training._batch_loss, []

    def dies(self, *arguments):
        calls.append(1)
        if len(calls) == 8:  # in the second epoch
            raise KeyboardInterrupt
        return step(self, *arguments)

    monkeypatch.setattr(train.Training, "_batch_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        train_backbone(params, benchmark_table, tmp_path / "cut", texts)
    monkeypatch.undo()
    train_backbone(params, benchmark_table, tmp_path / "cut", texts)
    whole, cut = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "cut"))
    assert whole.keys() == cut.keys() and all(torch.equal(whole[name], cut[name]) for name in whole)
    model = load_backbone(params, tmp_path / "whole")
    assert model.method == method
    metrics = retrieval_metrics(*similarity(model, benchmark_table, "val"))
    assert metrics["rank1"] == pytest.approx(done["best"]["rank1"], abs=1e-3)
    torch.set_num_threads(threads)


@pytest.mark.parametrize("method", ["rde", "irra"])
@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_method_combine(tiny, benchmark_table, tmp_path, method, loss):
    params = tiny(backbone={"method": method, "epochs": 1, "loss": loss, "ccd": False})
    done = train_backbone(params, benchmark_table, tmp_path)
    assert math.isfinite(done["best"]["loss"])


def test_reorganised_texts_may_stand_alone(tiny, benchmark_table, tmp_path):
    def run(texts, **backbone):
        params = tiny(backbone={"text_mask": 0.0, "ccd": False} | backbone)
        return train.Training(params, benchmark_table, tmp_path, texts, "key")

    texts = texts_of(benchmark_table)
    both, alone = run(texts), run(texts, rda_texts="only", method="irra")
    first, second = both.views[3], alone.views[3]
    assert "rda_ids" in first and "rda_ids" not in second
    np.testing.assert_array_equal(first["rda_ids"], second["ids"])
    np.testing.assert_array_equal(first["pixels"], second["pixels"])
    shown = np.where(second["mlm_labels"] >= 0, second["mlm_labels"], second["mlm_ids"])
    np.testing.assert_array_equal(shown, second["ids"])  # what is masked is that text
    assert "rda_ids" not in run(None, rda_texts="only").views[3]  # the baseline: there are none
    loss = alone._batch_loss(next(iter(alone.views.loader(0, 8))), torch.ones(8), 0.1)
    assert loss.isfinite()


def test_heads_have_their_own_rate(tiny):
    params = tiny(backbone={"method": "irra", "lr": 1e-5})
    model = new_backbone(params, [1, 2, 3])
    rate = {
        parameter: group["lr"]
        for group in parameter_groups(model, params.backbone)
        for parameter in group["params"]
    }
    names = dict(model.named_parameters())
    for name in (
        "classifier.weight",
        "mlm_head.fc.weight",
        "cross_attn.in_proj_weight",
        "ln_post.bias",
        "cross_modal_transformer.resblocks.0.mlp.c_fc.weight",
    ):
        assert rate[names[name]] == pytest.approx(5e-5)
    assert rate[names["clip.visual.conv1.weight"]] == 1e-5
    assert set(names.values()) - set(rate) == {names["clip.logit_scale"]}
    plain = new_backbone(tiny(backbone={"method": "clip"}))
    assert {group["lr"] for group in parameter_groups(plain, params.backbone)} == {1e-5, 2e-5}
