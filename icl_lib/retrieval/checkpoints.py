"""Weights in files: their tensors read without running any pickled code, told apart by name and shape, and
mapped from the published names of RDE and IRRA to this kit's.
"""

import math
import pickle
import warnings
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

IMAGE_ENCODER = "visual.conv1.weight"  # every CLIP has it, under whatever prefix

# Published name → this kit's, longest first; None: a tensor that the released model holds and never uses.
PUBLISHED = {
    "visul_emb_layer.fc.": "tse_image.linear.",
    "visul_emb_layer.linear.": None,  # the image head applies `fc`
    "visul_emb_layer.mlp.bns.1.": None,
    "visul_emb_layer.": "tse_image.",
    "texual_emb_layer.mlp.bns.1.": None,
    "texual_emb_layer.": "tse_text.",
    "base_model.": "clip.",
}

# (a part of some tensor's name, what such a file is), in the order of asking.
TELLS = [
    ("lora_A", "a LoRA adapter"),
    ("visul_emb_layer.", "an RDE or ICL checkpoint"),
    ("cross_modal_transformer.", "an IRRA checkpoint"),
    ("mlm_head.", "an IRRA checkpoint"),
    ("tse_image.", "the weights of an RDE that this kit trained"),
    ("visual.attnpool.", "a CLIP with a ResNet for its images"),
    ("visual.trunk.", "an open_clip model with timm's image encoder"),
    ("text.transformer.resblocks.", "an open_clip model whose text encoder stands apart"),
    ("vision_model.embeddings.", "a CLIP by the names of Hugging Face's transformers"),
    (IMAGE_ENCODER, "a CLIP by OpenAI's names"),
    ("visual.blocks.", "a Qwen2-VL"),
    ("self_attn.q_proj.", "a language model"),
    ("layer4.0.conv1.", "a ResNet"),
    ("encoder.layer.0.attention.self.", "a BERT"),
    ("blocks.0.attn.qkv.", "a vision transformer by timm's names"),
]
VIT = {
    (768, 32): "ViT-B/32",
    (768, 16): "ViT-B/16",
    (1024, 14): "ViT-L/14",
    (1280, 14): "ViT-H/14",
    (1408, 14): "ViT-g/14",
}
RESNET = {
    (512, 1024): "RN50",
    (512, 512): "RN101",
    (640, 640): "RN50x4",
    (768, 768): "RN50x16",
    (1024, 1024): "RN50x64",
}


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a JIT archive, a .pt/.pth or a .safetensors file, on the CPU, as they are.

    A state under "model" or "state_dict" is unwrapped, and the prefix "module." taken off. No pickled code is
    run. Raises FileNotFoundError, and ValueError for a file that cannot be read so.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights were looked for at {path}, where there is no file")
    with _told(path):
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state = load_file(path)
        elif is_jit(path):
            with (
                warnings.catch_warnings()
            ):  # TorchScript is deprecated; OpenAI's archives are what they are
                warnings.simplefilter("ignore")
                state = torch.jit.load(str(path), map_location="cpu").state_dict()
        else:
            with torch.serialization.safe_globals(_plain_numbers()):
                state = torch.load(path, map_location="cpu", weights_only=True)
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not any(
        isinstance(value, Tensor) for value in state.values()
    ):
        raise ValueError(
            f"{path} holds no tensors by name: it should be a state dict, or have one under "
            '"model" or "state_dict"'
        )
    return {
        str(name).removeprefix("module."): value
        for name, value in state.items()
        if isinstance(value, Tensor)
    }


def kit_names(state: dict[str, Tensor]) -> dict[str, str]:
    """{this kit's name: the file's} of a backbone's tensors: by `PUBLISHED`, a bare CLIP's under `clip.`."""
    bare = IMAGE_ENCODER in state
    names = {}
    for name in state:
        if name.startswith(("tse_image.", "tse_text.", "clip.")):
            names[name] = name
            continue
        old = next((prefix for prefix in PUBLISHED if name.startswith(prefix)), None)
        if old is None:
            names[f"clip.{name}" if bare else name] = name
        elif PUBLISHED[old] is not None:
            names[PUBLISHED[old] + name[len(old) :]] = name
    return names


def method_of(state: dict[str, Tensor]) -> str | None:
    """The method that made these tensors: "rde", "irra", "clip", or None if they are no backbone's."""
    starts = {name.split(".")[0] for name in state}
    if not any(name.endswith(IMAGE_ENCODER) for name in state):
        return None
    if starts & {"visul_emb_layer", "texual_emb_layer", "tse_image", "tse_text"}:
        return "rde"
    return "irra" if starts & {"cross_attn", "cross_modal_transformer", "mlm_head"} else "clip"


def looks_like(state: dict[str, Tensor]) -> str:
    """What a file of these tensors seems to be, in words, from a few tell-tale names and shapes."""
    for mark, told in TELLS:
        if any(mark in name for name in state):
            return told + _encoder(state)
    return f"nothing known here; its first tensors are {', '.join(list(state)[:5])}"


def load_state(
    model: nn.Module,
    state: dict[str, Tensor],
    source,
    names: dict[str, str] | None = None,
    whole: dict[str, Tensor] | None = None,
) -> None:
    """Copies `state` into `model`; logit_scale may be missing, and heads that the model lacks may be there.

    ValueError names the tensors that are missing, of another shape, or too many, and says what the file looks
    like. `names` {the model's name: the file's}, and `whole`, all that the file holds, serve that message.
    """
    own, names = model.state_dict(), names or {}
    parts = {name.split(".")[0] for name in own if "." in name}
    missing = [name for name in own if name not in state and name.split(".")[-1] != "logit_scale"]
    wrong = [
        f"{names.get(name, name)} {tuple(state[name].shape)} instead of {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    # More of what the model has (a deeper encoder): to leave it out would make another model of it.
    extra = [
        names.get(name, name)
        for name in state
        if name not in own and name.split(".")[0] in parts and "." in name
    ]
    faults = [
        f"{len(found)} {what} ({mark.join(found[:3])}{' …' if len(found) > 3 else ''})"
        for found, what, mark in (
            (missing, "missing", ", "),
            (wrong, "of another shape", "; "),
            (extra, "that the model has no place for", ", "),
        )
        if found
    ]
    if faults:
        raise ValueError(
            f"{source} does not fit this model, tensors: {', and '.join(faults)}. The file "
            f"looks like {looks_like(whole or state)}."
        )
    model.load_state_dict({name: state[name] for name in own if name in state}, strict=False)


def is_jit(path: Path) -> bool:
    """Whether a file is a TorchScript archive, as OpenAI's are."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def _encoder(state: dict[str, Tensor]) -> str:
    """The sizes of a CLIP by OpenAI's names, under whatever prefix, to be added to a sentence."""
    at = next((name for name in state if name.endswith(IMAGE_ENCODER)), None)
    if at is None or state[at].ndim != 4:
        return ""
    prefix = at[: -len(IMAGE_ENCODER)]
    clip = {
        name[len(prefix) :]: tensor for name, tensor in state.items() if name.startswith(prefix)
    }
    under = f" under {prefix!r}" if prefix else ""
    if "visual.layer1.0.conv1.weight" in clip:
        size = tuple(clip["text_projection"].shape) if "text_projection" in clip else None
        return under + (f", {RESNET[size]}" if size in RESNET else "")
    width, _, _, patch = clip[IMAGE_ENCODER].shape
    layers = {
        name.split(".")[3] for name in clip if name.startswith("visual.transformer.resblocks.")
    }
    told = [
        VIT.get((width, patch), "a vision transformer"),
        f"width {width}",
        f"{len(layers)} layers",
        f"patches of {patch} pixels",
    ]
    if "visual.positional_embedding" in clip:
        patches = len(clip["visual.positional_embedding"]) - 1
        square = math.isqrt(patches) ** 2 == patches
        told.append(
            f"{patches} of them a picture"
            + (
                f" of {math.isqrt(patches) * patch} x {math.isqrt(patches) * patch}"
                if square
                else ""
            )
        )
    if "positional_embedding" in clip:
        told.append(f"{len(clip['positional_embedding'])} text tokens")
    return f"{under}: {', '.join(told)}"


def _plain_numbers() -> list:
    """What a training script's own numbers may be pickled as, beside tensors: numpy's scalars."""
    from numpy._core.multiarray import scalar

    dtypes = {type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")}
    return [
        (scalar, "numpy.core.multiarray.scalar"),
        (scalar, "numpy._core.multiarray.scalar"),
        np.dtype,
        *dtypes,
    ]


@contextmanager
def _told(path: Path):
    """Any way of failing to read `path`, as a ValueError that says what to do."""
    try:
        yield
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors and numbers, or is no file of PyTorch at all, and pickled code "
            f"is not run here ({str(error).splitlines()[0][:160]}). If you trust the file, save the state dict "
            "inside it alone, with torch.save or as safetensors, and give that."
        ) from None
    except (RuntimeError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(_broken(path, error)) from None
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise ValueError(_broken(path, error)) from None


def _broken(path: Path, error: Exception) -> str:
    said = (str(error).splitlines() or [type(error).__name__])[0][:160]
    return (
        f"{path} ({path.stat().st_size:,} bytes) cannot be read as weights ({said}): was it copied or "
        "downloaded whole?"
    )
