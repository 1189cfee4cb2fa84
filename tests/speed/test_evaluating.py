import numpy as np
import pytest
import torch

from icl_lib.retrieval.load import new_backbone
from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.speed import evaluating
from icl_lib.speed.evaluating import STEPS
from icl_lib.speed.released import KIT, RELEASED, Way, in_way, sorted_metrics


@pytest.fixture(scope="module")
def model(tiny_params):
    return new_backbone(tiny_params()).eval()


@pytest.fixture(scope="module")
def data(model, benchmark_table):
    return evaluating.held(model, benchmark_table, "train", 8)


def fp32():
    return {name: way for name, way in STEPS.items() if way.precision == "fp32"}


@pytest.mark.parametrize("way", fp32().values(), ids=str)
def test_every_way_gives_the_kits_own_similarities(model, data, way):
    kit = model.encode_ids(data.ids) @ model.encode_images(data.pixels).T
    np.testing.assert_allclose(evaluating.similarity(model, data, way), kit, atol=2e-6)


def test_quick_gelu_and_the_plain_one_alike(tiny_params, data):
    """The tiny CLIP has QuickGELU; the shipped one has not."""
    model = new_backbone(tiny_params()).eval()
    for tower in (model.clip.visual.transformer, model.clip.transformer):
        for block in tower.resblocks:
            block.mlp.gelu = torch.nn.GELU()
    a, b = evaluating.similarity(model, data, RELEASED), evaluating.similarity(model, data, KIT)
    np.testing.assert_allclose(a, b, atol=2e-6)


def test_ways_encode_what_they_say(model, data, monkeypatch):
    counted = {"image": 0, "text": 0}

    def counting_view(model, way):
        view = in_way(model, way)
        for kind in counted:
            branches = getattr(view, f"{kind}_branches")

            def count(batch, kind=kind, branches=branches):
                counted[kind] += len(batch)
                return branches(batch)

            setattr(view, f"{kind}_branches", count)
        return view

    monkeypatch.setattr(evaluating, "in_way", counting_view)
    evaluating.similarity(model, data, RELEASED)
    assert counted == {"image": 2 * len(data.pixels), "text": 3 * len(data.ids)}
    counted.update(image=0, text=0)
    evaluating.similarity(model, data, KIT)
    assert counted == {"image": len(data.pixels), "text": len(data.ids)}


@pytest.mark.parametrize("attention, layers", [("every", 2), ("last", 1)])
def test_averaged_weights_are_asked_of_the_layers_named(
    model, data, monkeypatch, attention, layers
):
    asked, original = [], torch.nn.MultiheadAttention.forward

    def watched(self, *args, need_weights=True, **kwargs):
        asked.append(need_weights)
        return original(self, *args, need_weights=need_weights, **kwargs)

    monkeypatch.setattr(torch.nn.MultiheadAttention, "forward", watched)
    with torch.inference_mode():
        in_way(model, Way(attention=attention)).image_branches(data.pixels)
        assert sum(asked) == layers and len(asked) == 2
        asked.clear()
        in_way(model, KIT).image_branches(data.pixels)
        assert not asked


def test_gradients_of_the_ways_agree(model, data):
    grads = {}
    for way in (RELEASED, KIT):
        model.zero_grad()
        view = in_way(model, way)
        images = view.image_branches(data.pixels[:6])
        texts = view.text_branches(data.ids[:6])
        sum((texts[name] @ images[name].T).square().sum() for name in images).backward()
        grads[way] = {
            name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None
        }
    model.zero_grad()
    assert grads[RELEASED].keys() == grads[KIT].keys()
    for name, grad in grads[KIT].items():
        torch.testing.assert_close(grads[RELEASED][name], grad, atol=1e-4, rtol=1e-3, msg=name)


@pytest.mark.parametrize("ties", [False, True])
def test_sorted_metrics_are_the_counted_ones(ties):
    rng = np.random.default_rng(0)
    for queries, gallery, people in ((40, 30, 6), (9, 4, 3), (5, 3, 40)):
        sim = rng.standard_normal((queries, gallery)).astype(np.float32)
        sim = sim.round(0) if ties else sim
        q, g = rng.integers(0, people, queries), rng.integers(0, people, gallery)
        assert sorted_metrics(sim, q, g) == pytest.approx(retrieval_metrics(sim, q, g), abs=1e-9)


def test_savings_and_growth_tell_every_step(model, data, monkeypatch):
    monkeypatch.setattr(evaluating, "fast_bf16", lambda: True)
    table = evaluating.savings(model, data, repeats=1)
    assert list(table.index) == list(STEPS)
    exact = table[table.index != "+ bf16"]
    assert exact["same_ranking"].all() and (exact["same_hit"] == 100).all()
    assert (exact["metric_difference"] < 1e-9).all()
    assert table.loc["+ bf16", "sim_difference"] > exact["sim_difference"].max()
    np.testing.assert_allclose(table["gain"].cumprod(), table["ratio"])
    grown = evaluating.growth(model, data, [4, 8])
    assert grown["pictures"].tolist() == [4, 8] and grown["captions"].tolist() == [8, 16]
    np.testing.assert_allclose(grown["ratio, kit"], grown["released"] / grown["kit"])


def test_bf16_is_left_out_where_the_machine_is_slow_at_it(model, data, monkeypatch):
    monkeypatch.setattr(evaluating, "fast_bf16", lambda: False)
    some = data.of(2)
    assert list(evaluating.savings(model, some, repeats=1).index) == [*STEPS][:-1]
    assert "kit, bf16" not in evaluating.growth(model, some, [2])


def test_agreement_sees_a_swap_and_forgives_rounding(data):
    a = np.tile(np.linspace(1, 0, len(data.pixels), dtype=np.float32), (len(data.ids), 1))
    nearly = a + np.float32(1e-6) * np.random.default_rng(0).standard_normal(a.shape).astype(
        np.float32
    )
    assert evaluating.agreement(a, nearly, data)["same_ranking"]
    swapped = a.copy()
    swapped[0, [0, -1]] = swapped[0, [-1, 0]]
    told = evaluating.agreement(a, swapped, data)
    assert not told["same_ranking"] and told["same_top1"] == 100 * (1 - 1 / len(a))
    assert told["sim_difference"] == pytest.approx(1.0)
