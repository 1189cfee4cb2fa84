import pytest
import torch
import torch.nn.functional as F

from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens
from icl_lib.retrieval.irra import IRRA, UNMASKED, _attend
from icl_lib.retrieval.load import load_backbone, new_backbone


@pytest.fixture
def model(tiny):
    return new_backbone(tiny(backbone={"method": "irra"}), identities=[7, 3, 3, 12]).eval()


def batch_of(model, seed=0):
    generator = torch.Generator().manual_seed(seed)
    ids = model.tokenise(["a red shirt", "a person in blue trousers and a white hat", "black"])
    labels = torch.full_like(ids, UNMASKED)
    masked = ids.clone()
    for row, place in ((0, 1), (1, 2), (1, 5)):
        labels[row, place], masked[row, place] = ids[row, place], 0
    return {
        "pixels": torch.randint(256, (3, 3, 48, 16), dtype=torch.uint8, generator=generator),
        "ids": ids,
        "pids": torch.tensor([12, 3, 7]),
        "mlm_ids": masked,
        "mlm_labels": labels,
    }


def slow_cross(model, text, image):
    """One text [L, D] and one image [N, D], by torch's own attention modules."""
    image = model.ln_pre_i(image)[None]
    x = model.cross_attn(model.ln_pre_t(text)[None], image, image)[0]
    for block in model.cross_modal_transformer.resblocks:
        y = block.ln_1(x)
        x = x + block.attn(y, y, y)[0]
        x = x + block.mlp(block.ln_2(x))
    return model.ln_post(x)[0]


def test_outputs_agree_with_item_by_item(model):
    batch = batch_of(model)
    with torch.no_grad():
        found = model(batch)
        assert torch.equal(model.identities, torch.tensor([3, 7, 12]))
        for i, label in enumerate([2, 0, 1]):
            image = encode_image_tokens(model.clip, model.normalised(batch["pixels"][i : i + 1]))[
                0
            ][0]
            end = int(batch["ids"][i].argmax())
            text = encode_text_tokens(model.clip, batch["ids"][i : i + 1])[0][0, : end + 1]
            assert torch.allclose(
                found["images"]["bge"][i], F.normalize(image[0], dim=-1), atol=1e-5
            )
            assert torch.allclose(
                found["texts"][0]["bge"][i], F.normalize(text[-1], dim=-1), atol=1e-5
            )
            ce = [-F.log_softmax(model.classifier(x), -1)[label] for x in (image[0], text[-1])]
            assert found["own"][0]["id"][i].tolist() == pytest.approx(
                [float(sum(ce)) / 2, 1], abs=1e-5
            )
            masked = encode_text_tokens(model.clip, batch["mlm_ids"][i : i + 1])[0][0, : end + 1]
            seen, expected, count = slow_cross(model, masked, image), 0.0, 0
            for place in range(end + 1):
                label = int(batch["mlm_labels"][i, place])
                if label != UNMASKED:
                    expected -= float(F.log_softmax(model.mlm_head(seen[place]), -1)[label])
                    count += 1
            assert found["own"][0]["mlm"][i].tolist() == pytest.approx([expected, count], abs=1e-4)


def test_attention_is_torchs(model):
    generator = torch.Generator().manual_seed(1)
    asking, asked = (
        torch.randn(2, 5, 32, generator=generator),
        torch.randn(2, 9, 32, generator=generator),
    )
    hidden = torch.arange(9).expand(2, -1) >= torch.tensor([[9], [4]])
    attn = torch.nn.MultiheadAttention(32, 4, batch_first=True)
    torch.nn.init.normal_(attn.in_proj_bias)
    expected = attn(asking, asked, asked, key_padding_mask=hidden)[0]
    assert torch.allclose(_attend(attn, asking, asked, hidden), expected, atol=1e-5)


def test_a_second_text_is_classified_but_its_words_are_not_predicted(model):
    batch = batch_of(model)
    batch["rda_ids"] = model.tokenise(["in red", "the person has a hat", "dressed in black"])
    found = model(batch)
    assert [sorted(own) for own in found["own"]] == [["id", "mlm"], ["id"]]
    assert torch.allclose(
        found["texts"][1]["bge"], model.text_branches(batch["rda_ids"])["bge"], atol=1e-5
    )
    plain = {name: batch[name] for name in ("pixels", "ids", "pids")}
    assert sorted(model(plain)["own"][0]) == ["id"]


def test_every_part_learns(model):
    model.train()
    found = model(batch_of(model))
    loss = sum(part[:, 0].sum() for part in found["own"][0].values())
    loss = loss + (found["texts"][0]["bge"] @ found["images"]["bge"].T).sum()
    loss.backward()
    without = {
        name
        for name, p in model.named_parameters()
        if p.grad is None or not p.grad.isfinite().all()
    }
    assert without == {"clip.logit_scale"}


def test_bf16_gives_nearly_the_same_losses(model):
    batch, found = batch_of(model), []
    for precision in ("fp32", "bf16"):
        model.precision = precision
        with model.autocast(), torch.no_grad():
            found.append(model(batch))
    exact, quick = found
    assert not torch.equal(exact["own"][0]["id"], quick["own"][0]["id"])
    for name in ("id", "mlm"):
        assert quick["own"][0][name].dtype == torch.float32
        assert torch.allclose(exact["own"][0][name], quick["own"][0][name], rtol=0.05, atol=0.05)


def test_a_batch_without_masked_words_is_defined(model):
    batch = batch_of(model)
    batch["mlm_labels"] = torch.full_like(batch["mlm_labels"], UNMASKED)
    sums = model(batch)["own"][0]["mlm"]
    assert sums.shape == (3, 2) and (sums == 0).all()
    sums.sum().backward()


def test_an_unknown_identity_and_none_at_all_are_refused(model, tiny):
    with pytest.raises(ValueError, match="does not know"):
        model(batch_of(model) | {"pids": torch.tensor([12, 3, 8])})
    with pytest.raises(ValueError, match="there are none"):
        new_backbone(tiny(backbone={"method": "irra"}))


def test_a_saved_irra_loads_unchanged(model, tiny, tmp_path):
    model.save(tmp_path)
    again = load_backbone(tiny(), tmp_path)  # whatever the settings' own method
    assert isinstance(again, IRRA) and not again.training
    own, found = model.state_dict(), again.state_dict()
    assert own.keys() == found.keys() and all(torch.equal(own[name], found[name]) for name in own)


def test_heads_divide_any_width(tiny):
    from icl_lib.retrieval.weights import build_clip, load_clip

    clip = load_clip(tiny())
    config = clip.config | {"embed_dim": 200}  # three heads of 64 and something would not divide it
    wide = IRRA(build_clip(config, clip.merges), [1, 2], layers=2)
    assert wide.cross_attn.num_heads == 2 and len(wide.cross_modal_transformer.resblocks) == 2
