"""Benchmarks in their own layout, small enough to write in a test."""

import json
import re

import numpy as np
from PIL import Image

from icl_lib.data.benchmarks import PATH_KEYS
from icl_lib.params import load_params


def picture(path, seed=0, size=(16, 40)):
    """A picture of noise, the same for the same seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)


def record(name, split="train", pid=0, texts=("a man", "a person in red"), key="img_path"):
    """An annotation record as the benchmarks write it."""
    return {"split": split, "captions": list(texts), key: name, "id": pid}


def layout(root, records, name="rstp"):
    """A benchmark with these records below `root`; pictures are drawn for the sound paths."""
    data, key = load_params(name).data, PATH_KEYS[name]
    folder = root / data.title
    (folder / "imgs").mkdir(parents=True, exist_ok=True)
    for index, entry in enumerate(records):
        path = entry.get(key) if isinstance(entry, dict) else None
        sound = isinstance(path, str) and re.fullmatch(
            r"(?!/|imgs/|.*\.\.)[\w./]+\.(jpg|png)", path
        )
        if sound and not (folder / "imgs" / path).exists():
            picture(folder / "imgs" / path, seed=index)
    (folder / data.annotation).write_text(json.dumps(records), encoding="utf-8")
    return folder
