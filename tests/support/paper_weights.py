"""Files with the names and shapes of the paper profile's models, narrow and with random weights."""

import json
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from open_clip.model import CLIP
from tiny_qwen2vl import tiny_qwen2vl

# A ViT-B/16 of two narrow layers: 224 x 224 pictures, patches of 16, 77 of 49,408 words.
NARROW = {
    "embed_dim": 32,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 224, "layers": 2, "width": 64, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
SIZES, WEIGHTS, MLLM = "ViT-B-16-quickgelu.json", "ViT-B-16.pt", "Qwen2-VL"


def write_models(folder: Path) -> None:
    """Writes SIZES (for open_clip.add_model_config), WEIGHTS and the folder MLLM."""
    (folder / SIZES).write_text(json.dumps(NARROW))
    torch.manual_seed(0)
    model = CLIP(NARROW["embed_dim"], NARROW["vision_cfg"], NARROW["text_cfg"], quick_gelu=True)
    torch.save(model.state_dict(), folder / WEIGHTS)
    tiny_qwen2vl(folder / MLLM, hidden=48)


def narrow_sizes():
    """A context in which open_clip's ViT-B-16-quickgelu has the narrow model's sizes."""
    return patch.dict("open_clip.factory._MODEL_CONFIGS", {Path(SIZES).stem: NARROW})


def write_published(model, file: Path) -> None:
    """Writes an RDE as a best.pth with the names of the released code."""
    names = {
        "clip.": "base_model.",
        "tse_image.linear.": "visul_emb_layer.fc.",
        "tse_image.": "visul_emb_layer.",
        "tse_text.": "texual_emb_layer.",
    }
    state = {"visul_emb_layer.linear.bias": torch.zeros(1024)}  # the released model never uses it
    for name, tensor in model.state_dict().items():
        old = next(prefix for prefix in names if name.startswith(prefix))
        state[names[old] + name[len(old) :]] = tensor
    torch.save({"model": state, "epoch": 60}, file)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with WEIGHTS and MLLM, and open_clip knows the narrow sizes."""
    folder = tmp_path_factory.mktemp("weights")
    write_models(folder)
    with narrow_sizes():
        yield folder
