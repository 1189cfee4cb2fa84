"""A tiny random CLIP, a tiny benchmark, and the recorded numbers of the released code."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "official_reference.safetensors"
COLOURS = {
    "red": (200, 30, 30),
    "green": (30, 160, 40),
    "blue": (30, 50, 200),
    "white": (235, 235, 235),
    "black": (20, 20, 20),
    "yellow": (220, 210, 40),
}


@pytest.fixture(scope="session")
def golden():
    return load_file(GOLDEN)


@pytest.fixture(scope="session")
def golden_metadata():
    with safe_open(GOLDEN, "pt") as file:
        return {
            key: json.loads(value)
            for key, value in file.metadata().items()
            if value.startswith("{")
        }


def write_small_clip(folder: Path, merges: int = 300, seed: int = 0) -> Path:
    """A random CLIP, 2 + 2 layers, width 32, 48 x 16 pixels, in the form of icl_lib/small/clip."""
    import open_clip
    from open_clip.model import CLIP

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = Path(open_clip.__file__).with_name("bpe_simple_vocab_16e6.txt.gz")
    lines = gzip.decompress(vocabulary.read_bytes()).decode().split("\n")[: merges + 1]
    (folder / "bpe_merges.txt.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    config = {
        "embed_dim": 32,
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": [48, 16],
            "layers": 2,
            "width": 32,
            "head_width": 16,
            "patch_size": 8,
        },
        "text_cfg": {
            "context_length": 40,
            "vocab_size": 512 + merges + 2,
            "width": 32,
            "heads": 2,
            "layers": 2,
        },
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    torch.manual_seed(seed)
    vision = config["vision_cfg"] | {"image_size": (48, 16)}
    state = CLIP(32, vision, config["text_cfg"], quick_gelu=True).state_dict()
    save_file(state, folder / "model.safetensors")
    return folder


def write_benchmark(folder: Path, identities=(10, 4), images: int = 2) -> pd.DataFrame:
    """A manifest of two-coloured 48 x 16 images, with two captions each, of train and val."""
    folder.mkdir(parents=True, exist_ok=True)
    rng, rows, names = np.random.default_rng(0), [], list(COLOURS)
    for pid in range(sum(identities)):
        top, bottom = names[pid % 6], names[(pid // 6 + pid + 1) % 6]
        for _ in range(images):
            picture = np.empty((48, 16, 3))
            picture[:24], picture[24:] = COLOURS[top], COLOURS[bottom]
            picture = (picture + rng.normal(0, 10, picture.shape)).clip(0, 255).astype(np.uint8)
            image_id = len(rows) // 2
            path = folder / f"{image_id}.png"
            Image.fromarray(picture).save(path)
            for caption in (
                f"A person in a {top} shirt and {bottom} trousers.",
                f"{bottom} trousers, {top} top",
            ):
                rows.append(
                    {
                        "split": "train" if pid < identities[0] else "val",
                        "pid": pid,
                        "image_id": image_id,
                        "path": str(path),
                        "caption_id": len(rows),
                        "caption": caption,
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory):
    return write_small_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def benchmark_table(tmp_path_factory):
    return write_benchmark(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture(scope="session")
def tiny_params(small_folder):
    """load_params for the tiny CLIP; further overrides as keywords."""
    from icl_lib import load_params

    def make(**overrides):
        fixed = {
            "backbone": {
                "weights": str(small_folder),
                "image_size": [48, 16],
                "context_length": 40,
                "embed_tse": 32,
                "epochs": 3,
                "batch_size": 8,
                "precision": "fp32",
                "pad": 2,
            }
        }
        fixed["backbone"] |= overrides.pop("backbone", {})
        return load_params("rstp", "demo", **fixed, **overrides)

    return make


@pytest.fixture
def tiny(tiny_params):
    return tiny_params
