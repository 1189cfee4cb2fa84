"""Where CLIP's weights and tokens come from: the shipped small model, a file on this disk, or open_clip's
cache.

Nothing is ever downloaded.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from icl_lib.retrieval.checkpoints import (
    IMAGE_ENCODER,
    is_jit,
    load_state,
    looks_like,
    read_tensors,
)
from icl_lib.retrieval.clip import resize_image_grid, resize_text_positions

SMALL = Path(__file__).resolve().parents[1] / "small" / "clip"
CONFIG, WEIGHTS, MERGES = "open_clip_config.json", "model.safetensors", "bpe_merges.txt.gz"
OPENAI = {"ViT-B-16": ("ViT-B-16.pt", "timm/vit_base_patch16_clip_224.openai")}


@dataclass
class Clip:
    """A loaded CLIP: open_clip's module, its tokenizer, the config that rebuilds it, and what was resized."""

    model: nn.Module
    tokenizer: object
    config: dict  # open_clip's model config, image size and context length as they are now
    merges: bytes | None = None  # gzipped BPE merges; None: open_clip's own
    text_positions_resized: bool = False


def load_clip(params) -> Clip:
    """The pre-trained CLIP that `params.backbone` names, its positions resized to image_size and
    context_length.

    clip "small": the folder shipped with the kit, or the folder `weights`. Otherwise an open_clip model name
    with `weights` a file (JIT archive, state dict, safetensors; a ReID model's `base_model.*` too), or
    "openai"/None for OpenAI's weights in open_clip's, CLIP's or Hugging Face's cache. With
    as_released.text_positions, text positions that would be resized start random instead. Raises
    FileNotFoundError saying what was looked for, and ValueError for a file that does not fit the model.
    """
    wanted = params.backbone
    source = _find_clip(params)
    state = read_state(source)
    config, merges = read_config(params)
    old = _patch_grid(config)
    config = with_sizes(config, wanted.image_size, wanted.context_length)
    if wanted.clip != "small" and (wanted.weights in (None, "openai") or is_jit(source)):
        config |= {
            "quick_gelu": True
        }  # whatever the model name says: OpenAI's weights were trained with it
    clip = build_clip(config, merges)
    visual, text = state.get("visual.positional_embedding"), state.get("positional_embedding")
    resized = text is not None and len(text) != wanted.context_length
    if visual is not None and len(visual) == 1 + old[0] * old[1]:
        state["visual.positional_embedding"] = resize_image_grid(visual, old, _patch_grid(config))
    if resized and wanted.as_released.text_positions:
        state["positional_embedding"] = _random_positions(
            wanted.context_length, text.shape[1], params.seed
        )
    elif text is not None:
        state["positional_embedding"] = resize_text_positions(text, wanted.context_length)
    load_state(clip.model, state, source)
    clip.text_positions_resized = resized
    return clip


def empty_clip(params) -> Clip:
    """The CLIP that `params.backbone` describes, with random weights, for a checkpoint's to be put in.

    QuickGELU where it is not the small one: published ReID checkpoints descend from OpenAI's weights.
    """
    config, merges = read_config(params)
    config = with_sizes(config, params.backbone.image_size, params.backbone.context_length)
    return build_clip(
        config if params.backbone.clip == "small" else config | {"quick_gelu": True}, merges
    )


def read_config(params) -> tuple[dict, bytes | None]:
    """open_clip's model config of `params.backbone.clip` in its own sizes, and gzipped BPE merges (None:
    open_clip's).
    """
    if params.backbone.clip != "small":
        return _known_config(params.backbone.clip), None
    folder = _find_clip(params).parent
    config = json.loads((folder / CONFIG).read_text())
    return config.get("model_cfg", config), (folder / MERGES).read_bytes()


def find_weights(params) -> Path:
    """The file that the backbone of `params` starts from: its checkpoint, or the one that `load_clip` reads.

    FileNotFoundError says what was looked for and how to get it.
    """
    if params.backbone.checkpoint is None:
        return _find_clip(params)
    path = Path(params.backbone.checkpoint).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"a trained backbone was looked for at {path} (backbone.checkpoint), where "
            "there is nothing. Give a published checkpoint (.pth) or a folder that this "
            "kit trained into, or null to train one."
        )
    return path


def _find_clip(params) -> Path:
    name, weights = params.backbone.clip, params.backbone.weights
    if name == "small":
        folder = Path(weights).expanduser() if weights else SMALL
        absent = [file for file in (CONFIG, WEIGHTS, MERGES) if not (folder / file).is_file()]
        if absent:
            raise FileNotFoundError(
                f"The small CLIP was looked for in {folder}; missing there: {', '.join(absent)}. It ships "
                "with the kit: restore the folder from the repository, or make it anew with "
                "notebooks/A1_pretrain_small_clip.ipynb."
            )
        return folder / WEIGHTS
    _known_config(name)
    if weights not in (None, "openai"):
        path = Path(weights).expanduser()
        if not path.is_file():
            raise FileNotFoundError(
                f"CLIP weights were looked for at {path} (backbone.weights), where there is no file. Give "
                "the path of a JIT archive, a state dict (.pt) or a .safetensors file."
            )
        return path
    return _find_openai(name)


def build_clip(config: dict, merges: bytes | None = None) -> Clip:
    """A CLIP of open_clip's class with random weights, from open_clip's model config and gzipped BPE merges."""
    from open_clip.model import CLIP

    tokenizer = _tokenizer(merges, config["text_cfg"].get("context_length", 77))
    known, expected = len(tokenizer.encoder), config["text_cfg"]["vocab_size"]
    if known != expected:
        raise ValueError(
            f"the vocabulary has {known} tokens but the text encoder {expected}: {MERGES} and "
            f"{CONFIG} do not belong together"
        )
    return Clip(CLIP(**_constructor(config)), tokenizer, config, merges)


def with_sizes(config: dict, image_size, context_length: int) -> dict:
    """`config` for pictures of image_size (height, width) pixels and texts of context_length tokens."""
    patch = config["vision_cfg"]["patch_size"]
    if image_size[0] % patch or image_size[1] % patch:
        raise ValueError(
            f"image_size {tuple(image_size)} must be multiples of the patch size {patch}"
        )
    return config | {
        "vision_cfg": config["vision_cfg"] | {"image_size": list(image_size)},
        "text_cfg": config["text_cfg"] | {"context_length": int(context_length)},
    }


def read_state(path: Path) -> dict[str, Tensor]:
    """CLIP's tensors in float32 by OpenAI's names, from any file that `read_tensors` reads.

    Whatever stands before OpenAI's names, such as a ReID model's `base_model.`, is taken off; what lies
    outside it is left out.
    """
    state = read_tensors(path)
    prefix = next(
        (name[: -len(IMAGE_ENCODER)] for name in state if name.endswith(IMAGE_ENCODER)), None
    )
    if prefix is None:
        raise ValueError(
            f"{path} holds no CLIP image encoder (no tensor {IMAGE_ENCODER}). The file looks "
            f"like {looks_like(state)}."
        )
    # Numbers that OpenAI's archive keeps as tensors.
    drop = {"input_resolution", "context_length", "vocab_size"}
    names = {name: name[len(prefix) :] for name in state if name.startswith(prefix)}
    return {short: state[name].float() for name, short in names.items() if short not in drop}


def _known_config(name: str) -> dict:
    import difflib

    import open_clip

    config = open_clip.get_model_config(name)
    if config is None:
        close = difflib.get_close_matches(name, open_clip.list_models(), n=1)
        raise ValueError(
            f'unknown CLIP {name!r}: use "small" or a model name of open_clip'
            + (f", such as {close[0]!r}" if close else "")
        )
    return config


def _find_openai(name: str) -> Path:
    file, repository = OPENAI.get(name.removesuffix("-quickgelu"), (None, None))
    if file is None:
        raise FileNotFoundError(
            f"OpenAI's weights are known here for {', '.join(OPENAI)} only; for {name} "
            "give a local file as backbone.weights."
        )
    from huggingface_hub import try_to_load_from_cache

    usual = Path("~/.cache/clip").expanduser() / file
    if usual.is_file():
        return usual
    for hub_file in ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"):
        found = try_to_load_from_cache(repository, hub_file)
        if isinstance(found, str):
            return Path(found)
    raise FileNotFoundError(
        f"OpenAI's CLIP weights for {name} were looked for as {usual} and in the Hugging Face cache under "
        f"{repository}; neither is there, and nothing is downloaded by itself. On a machine with a network, "
        f"run `python -c \"import open_clip; open_clip.create_model('{name}', pretrained='openai')\"`, which "
        f"fills the cache, and copy the cache here if need be; or put OpenAI's {file} anywhere and set "
        "backbone.weights to its path."
    )


def _patch_grid(config: dict) -> tuple[int, int]:
    size, patch = config["vision_cfg"]["image_size"], config["vision_cfg"]["patch_size"]
    height, width = (size, size) if isinstance(size, int) else size
    return height // patch, width // patch


def _constructor(config: dict) -> dict:
    vision = dict(config["vision_cfg"])
    if not isinstance(vision["image_size"], int):
        vision["image_size"] = tuple(vision["image_size"])
    return {
        "embed_dim": config["embed_dim"],
        "vision_cfg": vision,
        "text_cfg": dict(config["text_cfg"]),
        "quick_gelu": config.get("quick_gelu", False),
    }


def _tokenizer(merges: bytes | None, context_length: int):
    import os
    import tempfile

    from open_clip import SimpleTokenizer

    if merges is None:
        return SimpleTokenizer(context_length=context_length)
    with (
        tempfile.TemporaryDirectory() as folder
    ):  # the tokenizer reads a file, once, when it is made
        path = os.path.join(folder, MERGES)
        Path(path).write_bytes(merges)
        return SimpleTokenizer(bpe_path=path, context_length=context_length)


def _random_positions(length: int, width: int, seed: int) -> Tensor:
    """[length, width] as CLIP's own constructor draws them, standard deviation 0.01."""
    return torch.randn(length, width, generator=torch.Generator().manual_seed(seed)) * 0.01
