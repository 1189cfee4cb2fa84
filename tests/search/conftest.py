"""A folder of pictures, and an encoder that reads them and keeps what it was asked to encode."""

import numpy as np
import pytest
from clip_fixtures import small_folder, tiny_params  # noqa: F401
from layouts import picture
from mllm_fixtures import pictures  # noqa: F401
from paper_weights import files  # noqa: F401

from icl_lib.data.pictures import read_image


class Pixels:
    """Encodes a picture as its own pixels, shrunk to 8 x 4: different pictures, other vectors."""

    def __init__(self):
        self.encoded = []

    def encode_images(self, paths):
        pixels = np.stack([read_image(path, (8, 4)) for path in paths]).astype(np.float32)
        vectors = pixels.reshape(len(paths), -1) - 127
        self.encoded += paths
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def pixels():
    return Pixels()


@pytest.fixture
def folder(tmp_path):
    """Seven pictures, in two subfolders and beside them."""
    names = ["a.png", "b.jpg", "gate/c.jpg", "gate/d.png", "hall/1/e.jpg", "hall/f.jpg", "z.JPG"]
    for seed, name in enumerate(names):
        picture(tmp_path / "mine" / name, seed)
    return tmp_path / "mine"
