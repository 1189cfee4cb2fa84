"""The pre-trained CLIP that a backbone starts from. Nothing is ever downloaded.

It is the small model that ships with the kit, a file on this disk, or OpenAI's weights in a cache
that CLIP or open_clip has filled.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from icl_lib.params.names import nearest
from icl_lib.retrieval.checkpoints import (
    IMAGE_ENCODER,
    is_jit,
    kit_names,
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
    """A CLIP with what is needed to rebuild it.

    Attributes:
        model: open_clip's module.
        tokenizer: open_clip's tokenizer.
        config: open_clip's model config, with the image size and context length in use.
        merges: gzipped BPE merges of the vocabulary; None for open_clip's own.
        text_positions_resized: whether the context length is not the one of the pre-training.
    """

    model: nn.Module
    tokenizer: object
    config: dict
    merges: bytes | None = None
    text_positions_resized: bool = False


def load_clip(params) -> Clip:
    """The pre-trained CLIP of `params.backbone`, resized to its image_size and context_length.

    clip "small": the folder that ships with the kit, or the folder `weights`. Otherwise `clip` is
    an open_clip model name, and `weights` a file (JIT archive, state dict or safetensors; also a
    ReID model's `base_model.*`) or "openai" (or null) for OpenAI's weights in a cache. With
    as_released.text_positions, text positions that would be resized start random instead.

    Raises:
        FileNotFoundError: the weights are not there; the message says where they were looked for.
        ValueError: the file does not fit the model.
    """
    wanted = params.backbone
    source = _find_clip(params)
    state = read_state(source)
    config, merges = _read_config(params)
    openai = wanted.clip != "small" and (wanted.weights in (None, "openai") or is_jit(source))
    clip = build_clip(_sized(config, params, quick_gelu=openai), merges)
    old = _patch_grid(config)
    if len(state.get("visual.positional_embedding", ())) == 1 + old[0] * old[1]:
        state["visual.positional_embedding"] = resize_image_grid(
            state["visual.positional_embedding"], old, _patch_grid(clip.config)
        )
    text, length = state.get("positional_embedding"), wanted.context_length
    clip.text_positions_resized = text is not None and len(text) != length
    if clip.text_positions_resized:
        if wanted.as_released.text_positions:  # as CLIP's constructor draws them
            generator = torch.Generator().manual_seed(params.seed)
            positions = torch.randn(length, text.shape[1], generator=generator) * 0.01
        else:
            positions = resize_text_positions(text, length)
        state["positional_embedding"] = positions
    load_state(clip.model, state, source)
    return clip


def empty_clip(params) -> Clip:
    """The CLIP that `params.backbone` describes, with random weights, to load a checkpoint into.

    Every model but the small one uses QuickGELU, since published ReID checkpoints descend from
    OpenAI's weights.
    """
    config, merges = _read_config(params)
    return build_clip(_sized(config, params, quick_gelu=params.backbone.clip != "small"), merges)


def build_clip(config: dict, merges: bytes | None = None) -> Clip:
    """A CLIP with random weights, from open_clip's model config and gzipped BPE merges."""
    from open_clip import CLIP, SimpleTokenizer

    length, expected = config["text_cfg"]["context_length"], config["text_cfg"]["vocab_size"]
    if merges is None:
        tokenizer = SimpleTokenizer(context_length=length)
    else:
        with tempfile.NamedTemporaryFile(suffix=MERGES) as file:  # read once, by the constructor
            file.write(merges)
            file.flush()
            tokenizer = SimpleTokenizer(file.name, context_length=length)
    if tokenizer.vocab_size != expected:
        raise ValueError(
            f"the vocabulary has {tokenizer.vocab_size} tokens but the text encoder {expected}: "
            f"{MERGES} and {CONFIG} do not belong together"
        )
    model = CLIP(
        config["embed_dim"],
        config["vision_cfg"],
        config["text_cfg"],
        quick_gelu=config.get("quick_gelu", False),
    )
    return Clip(model, tokenizer, config, merges)


def find_weights(params) -> Path:
    """What the backbone of `params` starts from: its checkpoint, or the file of CLIP's weights.

    Raises:
        FileNotFoundError: it is not there; the message says how to get it.
    """
    if params.backbone.checkpoint is None:
        return _find_clip(params)
    path = Path(params.backbone.checkpoint).expanduser()
    if not path.exists():
        raise FileNotFoundError(
            f"a trained backbone was looked for at {path} (backbone.checkpoint), but there is "
            "nothing. Give a published checkpoint (.pth) or a folder that this kit has trained, or "
            "null to train one."
        )
    return path


def read_state(path: Path) -> dict[str, Tensor]:
    """CLIP's tensors in float32 by OpenAI's names, from any file that `read_tensors` reads.

    The heads of a trained backbone (such as a ReID model's `base_model.*`) are left out.

    Raises:
        ValueError: the file holds no CLIP; the message says what it looks like.
    """
    tensors = read_tensors(path)
    state = {
        name.removeprefix("clip."): tensor.float()
        for name, tensor in kit_names(tensors).items()
        if name.startswith("clip.")
    }
    if IMAGE_ENCODER not in state:
        raise ValueError(
            f"{path} holds no CLIP image encoder (no tensor {IMAGE_ENCODER}). The file looks like "
            f"{looks_like(tensors)}."
        )
    for size in ("input_resolution", "context_length", "vocab_size"):  # kept as tensors by OpenAI
        state.pop(size, None)
    return state


def _read_config(params) -> tuple[dict, bytes | None]:
    """open_clip's config of `params.backbone.clip`, not resized, and its gzipped BPE merges."""
    if params.backbone.clip != "small":
        return _known_config(params.backbone.clip), None
    folder = _find_clip(params).parent
    config = json.loads((folder / CONFIG).read_text())
    return config.get("model_cfg", config), (folder / MERGES).read_bytes()


def _sized(config: dict, params, quick_gelu: bool) -> dict:
    """`config` with the image size and context length of `params.backbone`.

    With `quick_gelu` it uses QuickGELU, whatever `config` says.
    """
    size, patch = params.backbone.image_size, config["vision_cfg"]["patch_size"]
    if size[0] % patch or size[1] % patch:
        raise ValueError(f"image_size {tuple(size)} must be multiples of the patch size {patch}")
    sized = {
        "vision_cfg": config["vision_cfg"] | {"image_size": list(size)},
        "text_cfg": config["text_cfg"] | {"context_length": params.backbone.context_length},
    }
    return config | sized | ({"quick_gelu": True} if quick_gelu else {})


def _patch_grid(config: dict) -> tuple[int, int]:
    size, patch = config["vision_cfg"]["image_size"], config["vision_cfg"]["patch_size"]
    height, width = (size, size) if isinstance(size, int) else size
    return height // patch, width // patch


def _known_config(name: str) -> dict:
    import open_clip

    config = open_clip.get_model_config(name)
    if config is None:
        close = nearest(name, open_clip.list_models())
        hint = f", such as {close!r}" if close else ""
        raise ValueError(f'unknown CLIP {name!r}: use "small" or a model name of open_clip{hint}')
    return config


def _find_clip(params) -> Path:
    name, weights = params.backbone.clip, params.backbone.weights
    if name == "small":
        folder = Path(weights).expanduser() if weights else SMALL
        absent = [file for file in (CONFIG, WEIGHTS, MERGES) if not (folder / file).is_file()]
        if absent:
            raise FileNotFoundError(
                f"the small CLIP was looked for in {folder}, but {', '.join(absent)} is missing. "
                "It ships with the kit: restore the folder from the repository, or make it again "
                "with notebooks/A1_pretrain_small_clip.ipynb."
            )
        return folder / WEIGHTS
    _known_config(name)
    if weights in (None, "openai"):
        return _find_openai(name)
    path = Path(weights).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"CLIP weights were looked for at {path} (backbone.weights), but there is no file. "
            "Give the path of a JIT archive, a state dict (.pt) or a .safetensors file."
        )
    return path


def _find_openai(name: str) -> Path:
    from huggingface_hub import try_to_load_from_cache

    file, repository = OPENAI.get(name.removesuffix("-quickgelu"), (None, None))
    if file is None:
        raise FileNotFoundError(
            f"OpenAI's weights are known here for {', '.join(OPENAI)} only; for {name} give a "
            "local file as backbone.weights."
        )
    usual = Path("~/.cache/clip").expanduser() / file
    if usual.is_file():
        return usual
    for hub_file in ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"):
        found = try_to_load_from_cache(repository, hub_file)
        if isinstance(found, str):
            return Path(found)
    raise FileNotFoundError(
        f"OpenAI's CLIP weights for {name} were looked for as {usual} and in the Hugging Face "
        f"cache under {repository}; neither is there, and nothing is downloaded by itself. On a "
        "machine with a network, run `python -c \"import open_clip; open_clip.create_model('"
        f"{name}', pretrained='openai')\"`, which fills the cache, and copy the cache here if need "
        f"be; or put OpenAI's {file} anywhere and set backbone.weights to its path."
    )
