import functools

import numpy as np
import pandas as pd
import pytest
import torch

from icl_lib.data.views import Images, PairViews
from icl_lib.retrieval.load import new_backbone
from icl_lib.retrieval.losses import tal
from icl_lib.retrieval.objectives import Objective
from icl_lib.speed import training
from icl_lib.speed.evaluating import some_people
from icl_lib.speed.released import KIT, RELEASED, in_way


@pytest.fixture(scope="module")
def params(tiny_params):
    return tiny_params(backbone={"rda": False})


@pytest.fixture(scope="module")
def pairs(benchmark_table):
    return some_people(benchmark_table, "train", 10)


def test_released_and_saving_epochs_learn_the_same(params, pairs, monkeypatch):
    """The similarities of the trained models differ far less than training has changed them.

    Some biases do not affect the loss (a key's, and one before BatchNorm). Their gradients are only
    rounding errors, which Adam scales up to whole steps, so that models differ by chance by 0.01 to
    0.11 of what they have learned. A large eps keeps rounding errors small.
    """
    monkeypatch.setattr(torch.optim, "Adam", functools.partial(torch.optim.Adam, eps=1e-3))
    released, took = training.train(params, pairs, RELEASED, 2)
    assert len(took) == 2 and min(took) > 0
    learned = {
        "released": released,
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


def test_ccd_losses_equal_those_of_each_batch_encoded_by_the_kit(params, pairs):
    model = new_backbone(params).eval()
    pictures = pairs.drop_duplicates("image_id")["path"].tolist()
    image_of, pids = np.arange(len(pairs)) // 2, torch.from_numpy(pairs["pid"].to_numpy().copy())
    ids = model.tokenise(pairs["caption"].tolist())
    images = Images(pictures, model.image_size)
    views = PairViews(images, image_of, ids.numpy(), model.tokenizer, params.backbone, 0)
    objective = Objective(params.backbone.model_copy(update={"loss": "tal"}))
    found = [
        training.pair_losses(
            in_way(model, way), views, pids, objective, 8, way.once, np.random.default_rng(5)
        )
        for way in (RELEASED, KIT)
    ]
    images = model.branches_of(model.encode_images(pictures))
    texts = model.branches_of(model.encode_ids(ids))
    batches = np.array_split(np.random.default_rng(5).permutation(len(pairs)), 5)
    for name in images:
        expected = np.zeros(len(pairs))
        for batch in batches:
            sim = torch.from_numpy(texts[name][batch] @ images[name][image_of[batch]].T)
            expected[batch] = tal(sim, pids[batch], **objective.options).numpy()
        for losses in found:
            np.testing.assert_allclose(losses[name], expected, atol=1e-4)


def test_savings_end_with_the_kits_own_loop(params, pairs, monkeypatch):
    monkeypatch.setattr(training, "fast_bf16", lambda: True)
    table = training.savings(params, pairs)
    assert list(table.index) == [*training.STEPS, "the kit's own loop", "+ bf16"]
    assert table["ratio"].iloc[0] == 1 and (table["seconds"] > 0).all()
    np.testing.assert_allclose(table["gain"].cumprod(), table["ratio"])


def test_learned_measures_every_way_and_seed(params, pairs, benchmark_table, monkeypatch):
    monkeypatch.setattr(training, "fast_bf16", lambda: False)
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
    assert len(training.train_kit(big, pairs[:8], "fp32", 1)[1]) == 1
    pixels = torch.zeros(2, 3, 64, 32, dtype=torch.uint8)
    vectors = in_way(model, RELEASED).encode_images(pixels)
    assert model.branches_of(vectors)["tse"].shape == (2, 1024)
