"""Weight files: read without running pickled code, recognised, and mapped to this kit's names."""

import pickle
import warnings
import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy._core.multiarray import scalar
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

IMAGE_ENCODER = "visual.conv1.weight"  # every CLIP has it, under some prefix
NOT_NEEDED = ("logit_scale", "identities")  # no similarity depends on them

# Prefix in RDE's, ICL's and IRRA's checkpoints → this kit's, the first match counts. None: a tensor that
# the released models hold and never use.
PUBLISHED = {
    "visul_emb_layer.fc.": "tse_image.linear.",
    "visul_emb_layer.linear.": None,  # the image head applies `fc`
    "visul_emb_layer.mlp.bns.1.": None,
    "visul_emb_layer.": "tse_image.",
    "texual_emb_layer.mlp.bns.1.": None,
    "texual_emb_layer.": "tse_text.",
    "base_model.": "clip.",
}

# (part of a tensor's name, what a file with such a tensor is); the first match counts.
KINDS = [
    ("lora_A", "a LoRA adapter"),
    ("visul_emb_layer.", "an RDE or ICL checkpoint"),
    ("cross_modal_transformer.", "an IRRA checkpoint"),
    ("mlm_head.", "an IRRA checkpoint"),
    ("tse_image.", "the weights of an RDE that this kit trained"),
    ("visual.attnpool.", "a CLIP whose image encoder is a ResNet"),
    ("visual.trunk.", "an open_clip model with timm's image encoder"),
    ("text.transformer.resblocks.", "an open_clip model with a separate text encoder"),
    ("vision_model.embeddings.", "a CLIP in the form of Hugging Face's transformers"),
    (IMAGE_ENCODER, "a CLIP in OpenAI's form"),
    ("visual.blocks.", "a Qwen2-VL"),
    ("self_attn.q_proj.", "a language model"),
    ("layer4.0.conv1.", "a ResNet"),
    ("encoder.layer.0.attention.self.", "a BERT"),
    ("blocks.0.attn.qkv.", "a vision transformer in timm's form"),
]

# numpy's scalars, which training scripts save beside the tensors (an epoch's Rank-1, for example).
_PLAIN_NUMBERS = [
    (scalar, "numpy.core.multiarray.scalar"),
    (scalar, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "?")),
]


def read_tensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of a JIT archive, a .pt/.pth or a .safetensors file, by name, on the CPU.

    A state dict under "model" or "state_dict" is unwrapped, and the prefix "module." is removed. No
    pickled code is run.

    Raises:
        FileNotFoundError: there is no file at `path`.
        ValueError: the file is damaged, holds pickled code or holds no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights were looked for at {path}, but there is no file")
    try:
        state = _read(path)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors and numbers, or is no file of PyTorch at all, and "
            f"pickled code is not run here ({_first_line(error)}). If you trust the file, save the "
            "state dict inside it alone, with torch.save or as safetensors, and give that."
        ) from None
    except (RuntimeError, EOFError, KeyError, zipfile.BadZipFile, SafetensorError) as error:
        raise ValueError(
            f"{path} ({path.stat().st_size:,} bytes) cannot be read as weights "
            f"({_first_line(error)}): was it copied or downloaded whole?"
        ) from None
    for key in ("model", "state_dict"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    named = state.items() if isinstance(state, dict) else ()
    tensors = {str(k).removeprefix("module."): v for k, v in named if isinstance(v, Tensor)}
    if not tensors:
        raise ValueError(
            f"{path} holds no tensors by name: it should be a state dict, or have one under "
            '"model" or "state_dict"'
        )
    return tensors


def is_jit(path: Path) -> bool:
    """Whether a file is a TorchScript archive, as OpenAI's are."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any("/code/" in name for name in archive.namelist())


def kit_names(state: dict[str, Tensor]) -> dict[str, str]:
    """{this kit's name: the file's name} of a backbone's tensors, see `PUBLISHED`.

    The tensors of a bare CLIP go under `clip.`.
    """
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
            names[PUBLISHED[old] + name.removeprefix(old)] = name
    return names


def method_of(state: dict[str, Tensor]) -> str | None:
    """The method of a checkpoint: "rde", "irra", "clip", or None if it is no backbone."""
    starts = {name.split(".")[0] for name in state}
    if not any(name.endswith(IMAGE_ENCODER) for name in state):
        return None
    if starts & {"visul_emb_layer", "texual_emb_layer", "tse_image", "tse_text"}:
        return "rde"
    return "irra" if starts & {"cross_attn", "cross_modal_transformer", "mlm_head"} else "clip"


def looks_like(state: dict[str, Tensor]) -> str:
    """What a file with these tensors seems to be, in words."""
    for part, kind in KINDS:
        if any(part in name for name in state):
            return kind + _clip_sizes(state)
    return f"nothing known here; its first tensors are {', '.join(list(state)[:5])}"


def load_state(
    model: nn.Module, tensors: dict[str, Tensor], source, names: dict[str, str] | None = None
) -> None:
    """Copies a file's tensors into `model`. Heads that the model lacks are ignored.

    Args:
        model: receives the tensors, in its own precision.
        tensors: the file's tensors.
        source: the file, for the error message.
        names: {the model's name: the file's name}; by default both are the same.

    Raises:
        ValueError: tensors are missing, have another shape, or belong to a deeper encoder than the
            model's. The message names the first of them and says what the file looks like.
    """
    own, names = model.state_dict(), names or {name: name for name in tensors}
    fitting = {name: tensors[names[name]] for name in own if name in names}
    missing = [n for n in own if n not in names and n.split(".")[-1] not in NOT_NEEDED]
    wrong = [
        f"{names[name]} {tuple(tensor.shape)} instead of {tuple(own[name].shape)}"
        for name, tensor in fitting.items()
        if tensor.shape != own[name].shape
    ]
    # More layers of a part that the model has: without them it would be another model.
    parts = {name.split(".")[0] for name in own if "." in name}
    extra = [
        names[name]
        for name in names
        if name not in own and "." in name and name.split(".")[0] in parts
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
            f"{source} does not fit this model, tensors: {', and '.join(faults)}. The file looks "
            f"like {looks_like(tensors)}."
        )
    model.load_state_dict(fitting, strict=False)


def _read(path: Path):
    if path.suffix == ".safetensors":
        return load_file(path)
    if not is_jit(path):
        with torch.serialization.safe_globals(_PLAIN_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    with warnings.catch_warnings():  # TorchScript is deprecated, but OpenAI's archives use it
        warnings.simplefilter("ignore")
        return torch.jit.load(str(path), map_location="cpu").state_dict()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]


def _clip_sizes(state: dict[str, Tensor]) -> str:
    """The sizes of a CLIP in OpenAI's form, to be added to a sentence; empty if there is none."""
    at = next((name for name in state if name.endswith(IMAGE_ENCODER)), None)
    if at is None or state[at].ndim != 4 or any("visual.layer1." in name for name in state):
        return ""
    prefix, (width, _, _, patch) = at.removesuffix(IMAGE_ENCODER), state[at].shape
    blocks = f"{prefix}visual.transformer.resblocks."
    layers = {name.removeprefix(blocks).split(".")[0] for name in state if name.startswith(blocks)}
    sizes = [f"width {width}", f"{len(layers)} layers", f"patches of {patch} pixels"]
    if f"{prefix}visual.positional_embedding" in state:
        sizes.append(f"{len(state[f'{prefix}visual.positional_embedding']) - 1} patches per image")
    if f"{prefix}positional_embedding" in state:
        sizes.append(f"{len(state[f'{prefix}positional_embedding'])} text tokens")
    return f"{f' under {prefix!r}' if prefix else ''}: {', '.join(sizes)}"
