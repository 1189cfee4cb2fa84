import numpy as np
import pytest
import torch

from icl_lib.retrieval.load import new_backbone
from icl_lib.speed import evaluating, released
from icl_lib.speed.evaluating import STEPS
from icl_lib.speed.released import KIT, RELEASED, in_way


def fp32():
    return {name: way for name, way in STEPS.items() if way.precision == "fp32"}


@pytest.mark.parametrize("way", fp32().values(), ids=str)
def test_every_way_computes_the_similarities_of_the_kit(model, data, way):
    kit = model.encode_ids(data.ids) @ model.encode_images(data.pixels).T
    np.testing.assert_allclose(evaluating.similarity(model, data, way), kit, atol=2e-6)


def test_ways_agree_with_either_gelu(tiny_params, data):
    """The tiny CLIP of the tests has QuickGELU, the one that ships with the kit GELU."""
    model = new_backbone(tiny_params()).eval()
    for tower in (model.clip.visual.transformer, model.clip.transformer):
        for block in tower.resblocks:
            block.mlp.gelu = torch.nn.GELU()
    a, b = evaluating.similarity(model, data, RELEASED), evaluating.similarity(model, data, KIT)
    np.testing.assert_allclose(a, b, atol=2e-6)


def test_each_way_encodes_items_as_often_as_it_says(model, data, monkeypatch):
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


def test_savings_and_growth_have_a_row_for_each_step_and_size(model, data, monkeypatch):
    monkeypatch.setattr(evaluating, "available", lambda ways: ways)
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
    monkeypatch.setattr(released, "uses_bf16", lambda precision, device: False)
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
