import numpy as np
import pytest
import torch

from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.speed.released import KIT, RELEASED, Way, in_way, sorted_metrics


@pytest.mark.parametrize("attention, layers", [("every", 2), ("last", 1)])
def test_mean_attention_weights_are_computed_in_the_named_layers_only(
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
def test_sorted_metrics_equal_counted_metrics(ties):
    rng = np.random.default_rng(0)
    for queries, gallery, people in ((40, 30, 6), (9, 4, 3), (5, 3, 40)):
        sim = rng.standard_normal((queries, gallery)).astype(np.float32)
        sim = sim.round(0) if ties else sim
        q, g = rng.integers(0, people, queries), rng.integers(0, people, gallery)
        assert sorted_metrics(sim, q, g) == pytest.approx(retrieval_metrics(sim, q, g), abs=1e-9)
