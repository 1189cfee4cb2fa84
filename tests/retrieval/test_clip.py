import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from icl_lib.retrieval import clip as clip_module
from icl_lib.retrieval import weights as weights_retrieval
from icl_lib.retrieval.clip import (
    encode_image_tokens,
    encode_text_tokens,
    resize_image_grid,
    resize_image_positions,
    resize_text_positions,
    trim,
)
from icl_lib.retrieval.weights import build_clip, find_weights, load_clip, load_state, read_state


@pytest.fixture(scope="module")
def recorded(golden, golden_metadata):
    """The small CLIP that the released code's numbers were recorded with."""
    from open_clip.model import CLIP

    sizes = golden_metadata["clip_config"]
    model = CLIP(
        sizes["embed_dim"],
        {
            "image_size": tuple(sizes["image_resolution"]),
            "layers": sizes["vision_layers"],
            "width": sizes["vision_width"],
            "patch_size": sizes["vision_patch_size"],
        },
        {
            "context_length": sizes["context_length"],
            "vocab_size": sizes["vocab_size"],
            "width": sizes["transformer_width"],
            "heads": sizes["transformer_heads"],
            "layers": sizes["transformer_layers"],
        },
        quick_gelu=True,
    )
    state = {name[11:]: tensor for name, tensor in golden.items() if name.startswith("clip.state.")}
    load_state(model, state, "golden")
    return model.eval()


@pytest.mark.parametrize("grad", [False, True])  # with gradients a CPU takes another attention
def test_tokens_and_attention_agree_with_the_released_code(golden, recorded, grad):
    with torch.set_grad_enabled(grad):
        tokens, row = encode_image_tokens(recorded, golden["clip.image"])
        assert torch.allclose(tokens, golden["clip.image_tokens"], atol=1e-4)
        assert torch.allclose(row, golden["clip.image_attn"][:, 0], atol=1e-4)
        ids = golden["clip.text"]
        tokens, row = encode_text_tokens(recorded, ids)
        assert torch.allclose(tokens, golden["clip.text_tokens"], atol=1e-4)
        assert torch.allclose(
            row, golden["clip.text_attn"][torch.arange(4), ids.argmax(1)], atol=1e-4
        )


@pytest.mark.parametrize("grad", [False, True])
@pytest.mark.parametrize("keep", [0, 1, 5, 10_000])
def test_kept_tokens_are_those_of_a_whole_last_layer(golden, recorded, keep, grad):
    with torch.set_grad_enabled(grad):
        tokens, row = encode_image_tokens(recorded, golden["clip.image"])
        some, weights = encode_image_tokens(recorded, golden["clip.image"], keep)
    best = row[:, 1:].topk(min(keep, row.shape[1] - 1), dim=1).indices.sort(1).values + 1
    wanted = torch.cat([torch.zeros(len(best), 1, dtype=torch.long), best], 1)
    if grad:  # what is left out had no say in what is kept: the gradients are equal too
        pick = wanted[..., None].expand(-1, -1, tokens.shape[2])
        weight = recorded.visual.transformer.resblocks[-1].mlp.c_fc.weight
        (full,) = torch.autograd.grad(tokens.gather(1, pick).square().sum(), weight)
        (short,) = torch.autograd.grad(some.square().sum(), weight)
        assert torch.allclose(full, short, atol=1e-5 * float(full.abs().max()))
    for a, b, held in zip(some, tokens, wanted, strict=True):
        near = torch.cdist(a, b[held]).argmin(
            1
        )  # kept tokens may stand in any order, but for the first
        assert near[0] == 0 and sorted(near.tolist()) == list(range(len(held)))
        assert torch.allclose(a, b[held][near], atol=1e-5)
    assert torch.allclose(weights.sort(1).values, row.gather(1, wanted).sort(1).values, atol=1e-6)


def test_class_and_eot_tokens_are_open_clips_features(golden, recorded):
    with torch.no_grad():
        image, text = (
            recorded.encode_image(golden["clip.image"]),
            recorded.encode_text(golden["clip.text"]),
        )
        ids = golden["clip.text"]
        tokens, _ = encode_image_tokens(recorded, golden["clip.image"])
        assert torch.allclose(tokens[:, 0], image, atol=1e-5)
        tokens, _ = encode_text_tokens(recorded, ids)
        assert torch.allclose(tokens[torch.arange(4), ids.argmax(1)], text, atol=1e-5)


def test_gradients_are_open_clips(golden, recorded):
    def gradients(image, text):
        recorded.zero_grad()
        (image.square().sum() + text.square().sum()).backward()
        return {
            name: p.grad.clone() for name, p in recorded.named_parameters() if p.grad is not None
        }

    ids = golden["clip.text"]
    theirs = gradients(recorded.encode_image(golden["clip.image"]), recorded.encode_text(ids))
    ours = gradients(
        encode_image_tokens(recorded, golden["clip.image"])[0][:, 0],
        encode_text_tokens(recorded, ids)[0][torch.arange(4), ids.argmax(1)],
    )
    assert set(ours) == set(theirs)
    for name, gradient in theirs.items():
        scale = gradient.abs().max() + 1e-6
        assert ((ours[name] - gradient).abs().max() / scale) < 1e-3, name


def test_trimming_a_batch_changes_no_token_up_to_eot(golden, recorded):
    ids = golden["clip.text"]
    ids = torch.where(torch.arange(24) <= ids.argmax(1, keepdim=True), ids, 0)
    short = trim(ids)
    assert short.shape[1] == ids.argmax(1).max() + 1
    with torch.no_grad():
        (whole, row), (cut, cut_row) = (
            encode_text_tokens(recorded, ids),
            encode_text_tokens(recorded, short),
        )
    for i, end in enumerate(ids.argmax(1)):
        assert torch.allclose(whole[i, : end + 1], cut[i, : end + 1], atol=1e-6)
    assert torch.allclose(row[:, : short.shape[1]], cut_row, atol=1e-6)
    assert (row[:, short.shape[1] :] == 0).all()


def test_positions_resize_as_released(golden):
    image, text = golden["pos.image_in"], golden["pos.text_in"]
    assert torch.allclose(
        resize_image_positions(image, (24, 8)), golden["pos.image_out_24x8"], atol=1e-5
    )
    assert torch.allclose(resize_text_positions(text, 168), golden["pos.text_out_168"], atol=1e-5)


def test_positions_of_the_same_size_are_untouched(golden):
    same = golden["pos.image_in"]
    assert resize_image_positions(same, (14, 14)) is same
    assert resize_text_positions(golden["pos.text_in"], 77) is golden["pos.text_in"]
    assert resize_image_grid(torch.zeros(1 + 18, 4), (6, 3), (3, 6)).shape == (19, 4)
    with pytest.raises(ValueError, match="square"):
        resize_image_positions(torch.zeros(1 + 18, 4), (3, 6))


def test_small_clip_loads_from_its_folder(tiny, small_folder):
    assert find_weights(tiny()) == small_folder / "model.safetensors"
    clip = load_clip(tiny())
    assert clip.tokenizer.vocab_size == clip.config["text_cfg"]["vocab_size"] == 814
    assert not clip.text_positions_resized
    state = load_file(small_folder / "model.safetensors")
    assert all(torch.equal(tensor, clip.model.state_dict()[name]) for name, tensor in state.items())
    ids = clip.tokenizer(["A person in a red shirt."])
    assert ids.shape == (1, 40) and ids.max() == clip.tokenizer.eot_token_id


def test_other_sizes_resize_positions(tiny):
    clip = load_clip(tiny(backbone={"image_size": [96, 24], "context_length": 60}))
    assert clip.model.visual.positional_embedding.shape == (1 + 12 * 3, 32)
    assert clip.model.positional_embedding.shape == (60, 32)
    assert clip.text_positions_resized
    tokens, _ = encode_image_tokens(clip.model, torch.zeros(2, 3, 96, 24))
    assert tokens.shape == (2, 37, 32)
    with pytest.raises(ValueError, match="multiples of the patch size 8"):
        load_clip(tiny(backbone={"image_size": [50, 16]}))
    with pytest.raises(ValueError, match=r"40 positions|60 positions"):
        encode_text_tokens(clip.model, torch.ones(1, 61, dtype=torch.long))
    with pytest.raises(ValueError, match="96, 24"):
        encode_image_tokens(clip.model, torch.zeros(2, 3, 48, 16))


def test_a_missing_small_clip_says_what_is_missing(tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"open_clip_config.json.*A1_pretrain_small_clip"):
        load_clip(tiny(backbone={"weights": str(tmp_path)}))


def test_a_vocabulary_of_another_size_is_refused(small_folder):
    config = json.loads((small_folder / "open_clip_config.json").read_text())["model_cfg"]
    config["text_cfg"]["vocab_size"] += 1
    with pytest.raises(ValueError, match="814 tokens but the text encoder 815"):
        build_clip(config, (small_folder / "bpe_merges.txt.gz").read_bytes())


class Archive(torch.nn.Module):
    """Tensors by OpenAI's dotted names, with the numbers that OpenAI's archive holds too."""

    def __init__(self, state):
        super().__init__()
        for name, tensor in state.items():
            *path, leaf = name.split(".")
            spot = self
            for part in path:
                if not hasattr(spot, part):
                    spot.add_module(part, torch.nn.Module())
                spot = getattr(spot, part)
            spot.register_buffer(leaf, tensor)
        self.register_buffer("input_resolution", torch.tensor(224))

    def forward(self, x):
        return x


@pytest.mark.parametrize("form", ["jit", "pt", "checkpoint", "safetensors"])
def test_every_form_of_weights_is_read(small_folder, tmp_path, form):
    state = load_file(small_folder / "model.safetensors")
    path = tmp_path / ("weights.safetensors" if form == "safetensors" else "weights.pt")
    if form == "jit":
        half = {name: tensor.half() for name, tensor in state.items()}
        torch.jit.save(torch.jit.trace(Archive(half), torch.zeros(1)), path)
    elif form == "pt":
        torch.save(state, path)
    elif form == "checkpoint":
        torch.save(
            {
                "epoch": 3,
                "model": {f"module.base_model.{n}": t for n, t in state.items()}
                | {"module.head.weight": torch.zeros(2)},
            },
            path,
        )
    else:
        save_file(state, path)
    found = read_state(path)
    assert set(found) == set(state)
    for name, tensor in state.items():
        assert found[name].dtype == torch.float32
        assert torch.allclose(found[name], tensor, atol=1e-2 if form == "jit" else 0)


def test_a_checkpoint_of_something_else_is_refused(tmp_path, tiny):
    torch.save({"state_dict": {"fc.weight": torch.zeros(2)}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"no CLIP image encoder.*fc.weight"):
        read_state(tmp_path / "other.pt")
    clip = load_clip(tiny())
    state = clip.model.state_dict()
    state.pop("visual.proj")
    state["ln_final.bias"] = torch.zeros(5)
    with pytest.raises(ValueError, match=r"Missing key.*visual.proj.*ln_final.bias.*\[5\].*\[32\]"):
        load_state(clip.model, state, "other.pt")


def test_openai_weights_are_looked_for_and_never_fetched(tmp_path, monkeypatch):
    from icl_lib import load_params

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    params = load_params("rstp", "paper")
    with pytest.raises(
        FileNotFoundError, match=r"ViT-B-16.pt.*nothing is downloaded.*backbone.weights"
    ):
        load_clip(params)
    with pytest.raises(FileNotFoundError, match="looked for at"):
        load_clip(load_params("rstp", "paper", weights=str(tmp_path / "none.pt")))
    with pytest.raises(ValueError, match="such as 'ViT-B-16-quickgelu'"):
        load_clip(load_params("rstp", "paper", clip="ViT-B-16-quickgel"))


def test_a_local_file_of_openais_form_loads_at_person_size(tmp_path, monkeypatch):
    """ViT-B/16's geometry (14 x 14 grid, 77 positions) at a small width; UFine's 168 tokens."""
    from open_clip.model import CLIP

    from icl_lib import load_params

    config = {
        "embed_dim": 16,
        "quick_gelu": True,
        "vision_cfg": {"image_size": 224, "layers": 1, "width": 64, "patch_size": 16},
        "text_cfg": {
            "context_length": 77,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    }
    monkeypatch.setattr(weights_retrieval, "_known_config", lambda name: config)
    source = CLIP(16, config["vision_cfg"], config["text_cfg"], quick_gelu=True).state_dict()
    torch.save(source, tmp_path / "ViT-B-16.pt")
    clip = load_clip(load_params("ufine", "paper", weights=str(tmp_path / "ViT-B-16.pt")))
    assert clip.text_positions_resized
    assert torch.allclose(
        clip.model.visual.positional_embedding,
        resize_image_positions(source["visual.positional_embedding"], (24, 8)),
    )
    assert torch.allclose(
        clip.model.positional_embedding, resize_text_positions(source["positional_embedding"], 168)
    )
    assert torch.equal(clip.model.token_embedding.weight, source["token_embedding.weight"])


def test_texts_in_groups_of_like_length_are_the_same_texts(recorded, golden, monkeypatch):
    """Each token up to EOT, the attention and the gradients, in groups or not."""
    words = golden["clip.text"][0, 1:-1].clamp(min=1)
    top, length = int(golden["clip.text"].max()), golden["clip.text"].shape[1]
    rng = np.random.default_rng(0)
    ids = torch.zeros(23, length, dtype=torch.long)
    for row in ids:
        end = int(rng.integers(1, length))
        row[:end], row[end] = words[torch.from_numpy(rng.integers(0, len(words), end))], top
    real = torch.arange(length) <= ids.argmax(1)[:, None]
    found = []
    for together in (4, 1000):
        monkeypatch.setattr(clip_module, "TEXTS_TOGETHER", together)
        recorded.zero_grad()
        tokens, attention = encode_text_tokens(recorded, ids)
        (tokens[real] * torch.linspace(-1, 1, tokens.shape[2])).sum().backward()
        trained = [*recorded.transformer.parameters(), recorded.positional_embedding]
        grads = [parameter.grad.clone() for parameter in trained]
        found.append((tokens[real].detach(), attention, grads))
    (tokens, attention, grads), (plain, plain_attention, plain_grads) = found
    assert torch.allclose(tokens, plain, atol=1e-5) and torch.allclose(
        attention, plain_attention, atol=1e-6
    )
    for one, other in zip(grads, plain_grads, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))
