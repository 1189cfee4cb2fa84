"""Files with the names and shapes of published ones load into a model with the recorded numbers."""

import gzip
import json
from argparse import Namespace
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from icl_lib import load_params
from icl_lib.retrieval.backbone import Backbone
from icl_lib.retrieval.checkpoints import load_state, looks_like, read_tensors
from icl_lib.retrieval.clip import encode_image_tokens, encode_text_tokens
from icl_lib.retrieval.evaluate import similarity
from icl_lib.retrieval.irra import IRRA
from icl_lib.retrieval.load import load_backbone, new_backbone
from icl_lib.retrieval.models import RDE
from icl_lib.retrieval.train import train_backbone
from icl_lib.retrieval.weights import empty_clip, find_weights, load_clip, read_state

LENGTH, PICTURE = 24, (64, 32)


@pytest.fixture(scope="module")
def recorded_folder(golden, golden_metadata, tmp_path_factory):
    """The CLIP of the released code's recorded numbers, in the form of the small one."""
    folder, sizes = tmp_path_factory.mktemp("recorded"), golden_metadata["clip_config"]
    count = sizes["vocab_size"] - 512 - 2
    vocabulary = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(vocabulary.read_bytes()).decode().split("\n")[: count + 1]
    (folder / "bpe_merges.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    config = {
        "embed_dim": sizes["embed_dim"],
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": sizes["image_resolution"],
            "layers": sizes["vision_layers"],
            "width": sizes["vision_width"],
            "patch_size": sizes["vision_patch_size"],
        },
        "text_cfg": {
            "context_length": sizes["context_length"],
            "vocab_size": sizes["vocab_size"],
            "width": sizes["transformer_width"],
            "heads": sizes["transformer_heads"],
            "layers": sizes["transformer_layers"],
        },
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    save_file(clip_state(golden) | {"logit_scale": torch.ones([])}, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def recorded(recorded_folder):
    """load_params for it; backbone settings as keywords."""

    def make(**backbone):
        fixed = {
            "weights": str(recorded_folder),
            "image_size": PICTURE,
            "context_length": LENGTH,
            "embed_tse": 64,
            "precision": "fp32",
        }
        return load_params("rstp", "demo", backbone=fixed | backbone)

    return make


def clip_state(golden, prefix=""):
    return {prefix + name[11:]: t for name, t in golden.items() if name.startswith("clip.state.")}


def rde_state(golden):
    """As RDE's and ICL's best.pth name them, unused tensors included."""
    state = clip_state(golden, "base_model.")
    for kind, head in (("v", "visul_emb_layer."), ("t", "texual_emb_layer.")):
        prefix = f"tse.{kind}_state."
        state |= {
            head + name[len(prefix) :]: t for name, t in golden.items() if name.startswith(prefix)
        }
    return state


def irra_state(golden, identities=7, layers=4, words=600, width=32):
    generator = torch.Generator().manual_seed(0)
    sizes = {
        "cross_attn.in_proj_weight": (3 * width, width),
        "cross_attn.in_proj_bias": (3 * width,),
        "cross_attn.out_proj.weight": (width, width),
        "cross_attn.out_proj.bias": (width,),
        "mlm_head.dense.weight": (width, width),
        "mlm_head.dense.bias": (width,),
        "mlm_head.fc.weight": (words, width),
        "mlm_head.fc.bias": (words,),
        "classifier.weight": (identities, width),
        "classifier.bias": (identities,),
    }
    for norm in ("ln_pre_t", "ln_pre_i", "ln_post", "mlm_head.ln"):
        sizes |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
    for i in range(layers):
        block = f"cross_modal_transformer.resblocks.{i}."
        sizes |= {
            block + "attn.in_proj_weight": (3 * width, width),
            block + "attn.in_proj_bias": (3 * width,),
            block + "attn.out_proj.weight": (width, width),
            block + "attn.out_proj.bias": (width,),
            block + "mlp.c_fc.weight": (4 * width, width),
            block + "mlp.c_fc.bias": (4 * width,),
            block + "mlp.c_proj.weight": (width, 4 * width),
            block + "mlp.c_proj.bias": (width,),
        }
        for norm in ("ln_1", "ln_2"):
            sizes |= {f"{block}{norm}.weight": (width,), f"{block}{norm}.bias": (width,)}
    own = {name: torch.randn(size, generator=generator) for name, size in sizes.items()}
    return clip_state(golden, "base_model.") | {"logit_scale": torch.ones([]) * 50} | own


def released(path, state, prefix=""):
    """As the released training script saves: with the optimiser's state and numpy's numbers."""
    torch.save(
        {
            "model": {prefix + name: t for name, t in state.items()},
            "optimizer": {"state": {}},
            "scheduler": {"milestones": (20, 50), "last_epoch": 3},
            "epoch": 4,
            "rank1": np.float32(75.1),
            "when": np.float64(2.0),
        },
        path,
    )
    return path


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_released_rde_gives_the_recorded_numbers(golden, recorded, tmp_path, prefix):
    path = released(tmp_path / "best.pth", rde_state(golden), prefix)
    model = load_backbone(recorded(), path)
    assert isinstance(model, RDE) and not model.training
    with torch.no_grad():
        tokens, row = encode_image_tokens(model.clip, golden["clip.image"])
        assert torch.allclose(tokens, golden["clip.image_tokens"], atol=1e-4)
        assert torch.allclose(row, golden["clip.image_attn"][:, 0], atol=1e-4)
        words, _ = encode_text_tokens(model.clip, golden["clip.text"])
        assert torch.allclose(words, golden["clip.text_tokens"], atol=1e-4)
        found = model.tse_image(golden["tse.v_feats"], golden["tse.v_attn"])
        assert torch.allclose(found, golden["tse.v_out"], atol=1e-4)
        found = model.tse_text(golden["tse.t_feats"], golden["tse.t_attn"], golden["tse.t_ids"])
        assert torch.allclose(found, golden["tse.t_out"], atol=1e-4)
        # and what retrieval compares: [BGE, TSE] / √2 of recorded tokens and attention
        tse = model.tse_image(golden["clip.image_tokens"], golden["clip.image_attn"])
        expected = (
            torch.cat(
                [F.normalize(golden["clip.image_tokens"][:, 0], dim=-1), F.normalize(tse, dim=-1)],
                1,
            )
            / 2**0.5
        )
    np.testing.assert_allclose(model.encode_images(golden["clip.image"]), expected, atol=1e-4)


@pytest.mark.parametrize("form", ["best.pth", "best.safetensors"])
def test_a_released_irra_gives_the_recorded_numbers(golden, recorded, tmp_path, form):
    state = irra_state(golden)
    if form.endswith("pth"):
        released(
            tmp_path / form,
            {name: t.half() if "base" not in name else t for name, t in state.items()},
        )
    else:
        save_file(state, tmp_path / form)
    model = load_backbone(recorded(method="irra"), tmp_path / form)
    assert isinstance(model, IRRA) and len(model.identities) == 7
    assert len(model.cross_modal_transformer.resblocks) == 4
    expected = F.normalize(golden["clip.image_tokens"][:, 0], dim=-1)
    np.testing.assert_allclose(model.encode_images(golden["clip.image"]), expected, atol=1e-4)
    ids = golden["clip.text"]
    expected = F.normalize(golden["clip.text_tokens"][torch.arange(4), ids.argmax(1)], dim=-1)
    np.testing.assert_allclose(model.encode_ids(ids), expected, atol=1e-4)
    own = model.state_dict()
    for name in (
        "mlm_head.fc.weight",
        "cross_modal_transformer.resblocks.3.mlp.c_fc.bias",
        "ln_post.bias",
    ):
        assert torch.allclose(own[name], state[name], atol=1e-2 if form.endswith("pth") else 0)


@pytest.mark.parametrize("prefix", ["", "base_model."])
def test_a_fine_tuned_clip_loads_as_a_checkpoint(golden, recorded, tmp_path, prefix):
    path = released(tmp_path / "best.pth", clip_state(golden, prefix))
    model = load_backbone(recorded(method="clip"), path)
    assert type(model) is Backbone
    expected = F.normalize(golden["clip.image_tokens"][:, 0], dim=-1)
    np.testing.assert_allclose(model.encode_images(golden["clip.image"]), expected, atol=1e-4)


def vit(width=64, grid=14, length=77, patch=16, layers=1):
    """Config and state of a CLIP at person-size geometry and a small width."""
    from open_clip.model import CLIP

    size = patch * grid if isinstance(grid, int) else [patch * n for n in grid]
    config = {
        "embed_dim": 16,
        "quick_gelu": True,
        "vision_cfg": {"image_size": size, "layers": layers, "width": width, "patch_size": patch},
        "text_cfg": {
            "context_length": length,
            "vocab_size": 49408,
            "width": 16,
            "heads": 2,
            "layers": 1,
        },
    }
    vision = dict(config["vision_cfg"])
    if not isinstance(grid, int):
        vision["image_size"] = tuple(size)
    torch.manual_seed(1)
    return config, CLIP(16, vision, config["text_cfg"], quick_gelu=True).state_dict()


def test_reid_weights_initialise_a_backbone_of_any_method(tmp_path, monkeypatch):
    """Group 2 of Tables 1 and 2: a CLIP trained on persons at 384 x 128, under `base_model.`."""
    from icl_lib.retrieval import weights as weights_retrieval

    monkeypatch.setattr(weights_retrieval, "_known_config", lambda name: vit()[0])
    _, source = vit(grid=(24, 8))
    path = released(
        tmp_path / "reid.pth", {f"base_model.{name}": t.half() for name, t in source.items()}
    )
    for method in ("rde", "irra", "clip"):
        params = load_params(
            "rstp", "paper", weights=str(path), method=method, backbone__embed_tse=32
        )
        model = new_backbone(params, identities=[3, 5])
        assert model.method == method
        own = model.clip.state_dict()
        for name in (
            "visual.positional_embedding",
            "positional_embedding",
            "token_embedding.weight",
        ):
            assert torch.allclose(own[name], source[name].half().float())


def test_text_positions_may_start_random_as_released(tmp_path, monkeypatch):
    from icl_lib.retrieval import weights as weights_retrieval
    from icl_lib.retrieval.clip import resize_text_positions

    monkeypatch.setattr(weights_retrieval, "_known_config", lambda name: vit()[0])
    _, source = vit()
    torch.save(source, tmp_path / "ViT-B-16.pt")

    def positions(**options):
        clip = load_clip(
            load_params("ufine", "paper", weights=str(tmp_path / "ViT-B-16.pt"), **options)
        )
        assert clip.text_positions_resized
        return clip.model.positional_embedding.detach()

    sound, random = positions(), positions(text_positions=True)
    assert torch.allclose(sound, resize_text_positions(source["positional_embedding"], 168))
    assert random.shape == sound.shape and float(random.std()) == pytest.approx(0.01, rel=0.1)
    assert torch.equal(random, positions(text_positions=True))
    assert not torch.equal(random, positions(text_positions=True, seed=1))
    short = load_params("rstp", "paper", weights=str(tmp_path / "ViT-B-16.pt"), text_positions=True)
    assert torch.equal(load_clip(short).model.positional_embedding, source["positional_embedding"])


def test_openais_weights_get_quickgelu_whatever_the_models_name(tmp_path, monkeypatch):
    from icl_lib.retrieval import weights as weights_retrieval

    config, source = vit()
    monkeypatch.setattr(
        weights_retrieval, "_known_config", lambda name: config | {"quick_gelu": False}
    )
    monkeypatch.setattr(weights_retrieval, "_find_openai", lambda name: tmp_path / "ViT-B-16.pt")
    torch.save(source, tmp_path / "ViT-B-16.pt")
    for weights, quick in (("openai", True), (str(tmp_path / "ViT-B-16.pt"), False)):
        clip = load_clip(load_params("rstp", "paper", clip="ViT-B-16", weights=weights))
        assert (type(clip.model.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU") is quick
    params = load_params("rstp", "paper", clip="ViT-B-16")
    assert (
        type(empty_clip(params).model.visual.transformer.resblocks[0].mlp.gelu).__name__
        == "QuickGELU"
    )


def test_a_checkpoint_of_another_size_names_tensor_shapes_and_likely_origin(
    golden, recorded, tmp_path
):
    path = released(tmp_path / "best.pth", rde_state(golden))
    with pytest.raises(
        ValueError,
        match=r"best.pth does not fit.*clip.visual.positional_embedding.*\[33, 128\].*"
        r"\[25, 128\].*Check backbone.clip, image_size",
    ):
        load_backbone(recorded(image_size=[48, 32]), path)
    with pytest.raises(ValueError, match=r"tse_image.linear.weight.*\[64, 32\].*\[256, 32\]"):
        load_backbone(recorded(embed_tse=256), path)
    with pytest.raises(ValueError, match=r"clip.positional_embedding.*\[24, 128\].*\[30, 128\]"):
        load_backbone(recorded(context_length=30), path)


@pytest.mark.parametrize(
    ("wanted", "given", "told"),
    [
        ("rde", irra_state, "an IRRA checkpoint.*Set backbone.method to 'irra'"),
        ("irra", rde_state, "an RDE or ICL checkpoint.*Set backbone.method to 'rde'"),
        ("clip", rde_state, "an RDE or ICL checkpoint.*Set backbone.method to 'rde'"),
        ("rde", clip_state, "a CLIP in OpenAI's form.*Set backbone.method to 'clip'"),
    ],
)
def test_a_checkpoint_of_another_method_is_refused(golden, recorded, tmp_path, wanted, given, told):
    path = released(tmp_path / "best.pth", given(golden))
    with pytest.raises(ValueError, match=f"no checkpoint of '{wanted}'.*looks like {told}"):
        load_backbone(recorded(method=wanted), path)


def test_a_deeper_encoder_is_not_cut_down_unnoticed(golden, recorded, tmp_path):
    state = clip_state(golden)
    deeper = state | {name.replace("resblocks.1", "resblocks.2"): t for name, t in state.items()}
    path = released(tmp_path / "deep.pth", deeper)
    with pytest.raises(ValueError, match=r"Unexpected key.*resblocks.2"):
        load_backbone(recorded(method="clip"), path)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("base_model.visual.conv1.weight", "a CLIP in OpenAI's form"),
        ("visual.attnpool.c_proj.weight", "a CLIP whose image encoder is a ResNet"),
        ("base_model.model.visual.conv1.lora_A.weight", "a LoRA adapter"),
        ("vision_model.embeddings.patch_embedding.weight", "a CLIP in the form of Hugging"),
        ("visual.trunk.patch_embed.proj.weight", "an open_clip model with timm's"),
        ("text.transformer.resblocks.0.ln_1.bias", "an open_clip model with a separate text"),
        ("model.visual.blocks.0.attn.qkv.weight", "a Qwen2-VL"),
        ("model.layers.0.self_attn.q_proj.weight", "a language model"),
        ("layer4.0.conv1.weight", "a ResNet"),
        ("encoder.layer.0.attention.self.query.weight", "a BERT"),
        ("tse_image.linear.weight", "an RDE that this kit trained"),
        ("head.weight", "nothing known here; its first tensors are head.weight, visual.conv1.bias"),
    ],
)
def test_a_file_is_recognised_by_its_names(name, told):
    assert told in looks_like({name: torch.zeros(2), "visual.conv1.bias": torch.zeros(2)})


def test_openais_vit_b_32_in_place_of_b_16_is_reported(tmp_path, monkeypatch):
    from icl_lib.retrieval import weights as weights_retrieval

    monkeypatch.setattr(weights_retrieval, "_known_config", lambda name: vit()[0])
    torch.save(vit(grid=7, patch=32)[1], tmp_path / "ViT-B-32.pt")
    with pytest.raises(
        ValueError,
        match=r"visual.conv1.weight.*\[64, 3, 32, 32\].*\[64, 3, 16, 16\]",
    ):
        load_clip(load_params("rstp", "paper", weights=str(tmp_path / "ViT-B-32.pt")))


def test_weights_that_are_not_a_clip_are_named(tmp_path):
    torch.save(
        {"base_model.model.q_proj.lora_A.weight": torch.zeros(8, 2)}, tmp_path / "adapter.pt"
    )
    with pytest.raises(ValueError, match=r"no CLIP image encoder.*looks like a LoRA adapter"):
        read_state(tmp_path / "adapter.pt")


def test_an_unreadable_file_says_what_to_do(golden, tmp_path):
    whole = released(tmp_path / "whole.pth", clip_state(golden)).read_bytes()
    (tmp_path / "half.pth").write_bytes(whole[: len(whole) // 2])
    save_file({"a": torch.zeros(100)}, tmp_path / "b.safetensors")
    (tmp_path / "half.safetensors").write_bytes((tmp_path / "b.safetensors").read_bytes()[:60])
    (tmp_path / "page.pth").write_text("<!DOCTYPE html><p>Sign in to download")
    (tmp_path / "empty.pth").write_bytes(b"")
    for name in ("half.pth", "half.safetensors", "page.pth", "empty.pth"):
        with pytest.raises(
            ValueError, match=f"{name}.*(copied or downloaded whole|no file of PyTorch)"
        ):
            read_tensors(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"none.pth, but there is no file"):
        read_tensors(tmp_path / "none.pth")
    torch.save({"epoch": 3, "names": ["a"]}, tmp_path / "no.pth")
    with pytest.raises(ValueError, match="holds no tensors by name"):
        read_tensors(tmp_path / "no.pth")


def test_pickled_code_is_not_run(golden, tmp_path):
    torch.save({"model": clip_state(golden), "args": Namespace(lr=1)}, tmp_path / "best.pth")
    with pytest.raises(ValueError, match=r"pickled code is not run here.*save the state dict"):
        read_tensors(tmp_path / "best.pth")


def test_load_state_ignores_heads_that_the_model_lacks(tiny):
    clip = load_clip(tiny())
    state = clip.model.state_dict() | {"classifier.weight": torch.zeros(3)}
    del state["logit_scale"]
    load_state(clip.model, state, "file")


def test_a_checkpoint_takes_the_place_of_training(golden, recorded, benchmark_table, tmp_path):
    path = released(tmp_path / "best.pth", rde_state(golden))
    params = recorded(checkpoint=str(path))
    assert find_weights(params) == path
    done = train_backbone(params, benchmark_table, tmp_path / "out")
    assert done["selected_on"] == "whoever made best.pth" and done["epochs"] == 0
    assert train_backbone(params, benchmark_table, tmp_path / "out")["run"] == done["run"]
    given, kept = load_backbone(params), load_backbone(params, tmp_path / "out")
    texts = benchmark_table["caption"].tolist()
    np.testing.assert_array_equal(given.encode_texts(texts), kept.encode_texts(texts))
    assert similarity(kept, benchmark_table, "val")[0].shape == (16, 8)
    # a folder of this kit's is a checkpoint as well
    again = load_backbone(recorded(checkpoint=str(tmp_path / "out")))
    np.testing.assert_array_equal(given.encode_texts(texts), again.encode_texts(texts))
    with pytest.raises(FileNotFoundError, match=r"backbone.checkpoint"):
        find_weights(recorded(checkpoint=str(tmp_path / "nowhere")))
    assert load_file(tmp_path / "out" / "model.safetensors")["tse_image.linear.weight"].shape == (
        64,
        32,
    )


def test_openais_weights_are_found_in_clips_and_in_hugging_faces_cache(tmp_path, monkeypatch):
    """Both as those tools lay them out: a state dict, and a repository's snapshot."""
    from icl_lib.retrieval import weights as weights_retrieval

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(weights_retrieval, "_known_config", lambda name: vit()[0])
    params, source = load_params("rstp", "paper"), vit()[1]
    repository = tmp_path / "hub" / "models--timm--vit_base_patch16_clip_224.openai"
    snapshot = repository / "snapshots" / "0123abcd"
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0123abcd")
    places = [
        snapshot / "open_clip_pytorch_model.bin",
        snapshot / "open_clip_model.safetensors",
        tmp_path / ".cache" / "clip" / "ViT-B-16.pt",
    ]  # each is preferred to those before it
    places[2].parent.mkdir(parents=True)
    for path in places:
        if path.suffix == ".safetensors":
            save_file(source, path)
        else:
            torch.save(source, path)
        assert find_weights(params) == path
        clip = load_clip(params)
        assert clip.model.visual.positional_embedding.shape == (1 + 24 * 8, 64)
        assert torch.equal(clip.model.visual.proj, source["visual.proj"])
