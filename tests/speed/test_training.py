import functools

import numpy as np
import pandas as pd
import pytest
import torch

from icl_lib.retrieval.load import new_backbone
from icl_lib.retrieval.models import RDE
from icl_lib.retrieval.train import Training as Training
from icl_lib.speed import released, training
from icl_lib.speed.evaluating import some_people
from icl_lib.speed.released import KIT, RELEASED, in_way


@pytest.fixture(scope="module")
def params(tiny_params):
    return tiny_params(backbone={"rda": False})


@pytest.fixture(scope="module")
def pairs(benchmark_table):
    return some_people(benchmark_table, "train", 10)


def test_the_released_way_and_the_savings_learn_the_same(params, pairs, monkeypatch):
    """The similarities of the trained models differ far less than training has changed them.

    Some biases do not affect the loss (a key's, and one before BatchNorm). Their gradients are only
    rounding errors, which Adam scales up to whole steps, so that models differ by chance by 0.01 to
    0.11 of what they have learned. A large eps keeps rounding errors small.
    """
    monkeypatch.setattr(torch.optim, "Adam", functools.partial(torch.optim.Adam, eps=1e-3))
    model, took = training.train(params, pairs, RELEASED, 2)
    assert len(took) == 2 and min(took) > 0
    learned = {
        "released": model,
        "saving": training.train(params, pairs, KIT, 2)[0],
        "start": new_backbone(params),
    }
    texts, pictures = pairs["caption"].tolist(), pairs["path"].tolist()
    sims = {
        name: model.encode_texts(texts) @ model.encode_images(pictures).T
        for name, model in learned.items()
    }
    apart, moved = (np.abs(sims["released"] - sims[other]).max() for other in ("saving", "start"))
    assert moved > 1e-3 and apart < 1e-3 * moved


def test_ccd_trusts_the_same_pairs_in_every_way(params, pairs, tmp_path, monkeypatch):
    encoded = []
    encode_images = RDE.encode_images

    def counting(self, images):
        encoded.append(len(images))
        return encode_images(self, images)

    monkeypatch.setattr(RDE, "encode_images", counting)
    kit = Training(params, pairs, tmp_path, augmented=None, run="").clean(0)
    assert sum(encoded) == pairs["image_id"].nunique() < len(pairs)
    encoded.clear()
    released = training.TrainingInWay(params, pairs, tmp_path, RELEASED).clean(0)
    assert sum(encoded) == len(pairs), "a picture is encoded for each of its captions"
    np.testing.assert_array_equal(released, kit)


def test_savings_end_with_the_kits_own_loop(params, pairs, monkeypatch):
    monkeypatch.setattr(training, "available", lambda ways: ways)
    table = training.savings(params, pairs)
    assert list(table.index) == list(training.STEPS)
    assert table["ratio"].iloc[0] == 1 and (table["seconds"] > 0).all()
    np.testing.assert_allclose(table["gain"].cumprod(), table["ratio"])


def test_learned_has_a_row_for_each_seed_and_way(params, pairs, benchmark_table, monkeypatch):
    monkeypatch.setattr(released, "uses_bf16", lambda precision, device: False)
    table, model = training.learned(params, pairs, benchmark_table, 1, [0, 1])
    assert table["way"].tolist() == ["released", "kit"] * 2
    assert table["seed"].tolist() == [0, 0, 1, 1]
    assert table["rank1"].between(0, 100).all() and model.precision == "fp32"
    assert set(training.noise(table).index) == {"released", "kit"}


def test_noise_is_a_pooled_t_interval_of_the_difference():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(400):
        ways = np.repeat(["released", "kit", "kit, bf16"], 3)
        table = pd.DataFrame({"way": ways, "rank1": rng.normal(30, 2, 9)})
        inside += training.noise(table).loc["kit", "within"]
    assert 0.97 <= inside / 400 <= 1.0
    table.loc[table["way"] == "kit", "rank1"] += 30
    assert not training.noise(table).loc["kit", "within"]
    with pytest.raises(ValueError, match="two seeds"):
        training.noise(table.drop_duplicates("way"))


def test_a_large_clip_with_random_weights_is_trained_and_encodes(
    params, pairs, tmp_path, monkeypatch
):
    """With the smallest ViT of open_clip, since the paper's is slow without a GPU."""
    small = {"clip": "ViT-S-32-alt", "image_size": (64, 32), "batch_size": 4, "eval_batch": 4}
    monkeypatch.setattr(training, "LARGE", training.LARGE | small)
    big = training.large(params, tmp_path)
    model = new_backbone(big)
    assert model.image_size == (64, 32) and model.widths["tse"] == 1024
    assert len(training.train(big, pairs[:8], KIT, 1)[1]) == 1
    pixels = torch.zeros(2, 3, 64, 32, dtype=torch.uint8)
    vectors = in_way(model, RELEASED).encode_images(pixels)
    assert model.branches_of(vectors)["tse"].shape == (2, 1024)
