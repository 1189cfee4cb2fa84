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

# Prefixes of RDE's, ICL's and IRRA's checkpoints → this kit's. TokenSelection reads the rest.
PUBLISHED = {
    "visul_emb_layer.": "tse_image.",
    "texual_emb_layer.": "tse_text.",
    "base_model.": "clip.",
}
HEADS = {"tse_image": "rde", "tse_text": "rde", "cross_attn": "irra", "mlm_head": "irra"}

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


def kit_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a backbone by this kit's names; those of a bare CLIP go under `clip.`."""
    prefixes = PUBLISHED | {"": "clip." if IMAGE_ENCODER in state else ""}
    named = {}
    for name, tensor in state.items():
        old = next(prefix for prefix in prefixes if name.startswith(prefix))
        named[prefixes[old] + name.removeprefix(old)] = tensor
    return named


def method_of(state: dict[str, Tensor]) -> str | None:
    """The method ("rde", "irra", "clip") of tensors by this kit's names; None if no backbone."""
    if f"clip.{IMAGE_ENCODER}" not in state:
        return None
    parts = {name.split(".")[0] for name in state}
    return next((method for head, method in HEADS.items() if head in parts), "clip")


def looks_like(state: dict[str, Tensor]) -> str:
    """What a file with these tensors seems to be, in words."""
    found = (kind for part, kind in KINDS if any(part in name for name in state))
    return next(found, f"nothing known here; its first tensors are {', '.join(list(state)[:5])}")


def load_state(model: nn.Module, state: dict[str, Tensor], source) -> None:
    """Copies tensors into `model`; ignores heads it lacks, and `NOT_NEEDED` may be absent.

    Args:
        model: receives the tensors, in its own precision.
        state: the tensors, by the model's names.
        source: the file that they come from, for the error message.

    Raises:
        ValueError: tensors are missing, have another shape, or belong to a deeper encoder than the
            model's.
    """
    own = model.state_dict()
    parts = {name.split(".")[0] for name in own}
    kept = {name: tensor for name, tensor in own.items() if name.split(".")[-1] in NOT_NEEDED}
    kept |= {name: tensor for name, tensor in state.items() if name.split(".")[0] in parts}
    try:
        model.load_state_dict(kept)
    except RuntimeError as error:
        faults = [line.strip()[:300] for line in str(error).splitlines()[1:4]]
        raise ValueError(
            f"{source} does not fit this model: {' '.join(faults)} The file looks like "
            f"{looks_like(state)}. Check backbone.clip, image_size, context_length and embed_tse."
        ) from None


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
