"""Pictures of every mode are opened, resized and normalised; damaged ones are named."""

import numpy as np
import pytest
import torch
from PIL import Image

from icl_lib.data.pictures import MEAN, STD, normalise, read_image


@pytest.fixture
def pictures(tmp_path):
    rng, paths = np.random.default_rng(0), []
    for i in range(5):
        paths.append(tmp_path / f"{i}.jpg")
        Image.fromarray(rng.integers(0, 256, (40, 20, 3), dtype=np.uint8)).save(paths[-1])
    return paths


def test_read_image_resizes_as_pil_does(pictures):
    found = read_image(pictures[0], (24, 8))
    with Image.open(pictures[0]) as image:
        expected = np.asarray(image.convert("RGB").resize((8, 24), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(found, expected.transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "I;16", "F"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    ramp = np.tile(np.linspace(0, 1, 16), (32, 1))
    if mode == "I;16":
        image = Image.fromarray((ramp * 65535).astype(np.uint16))
    elif mode == "F":
        image = Image.fromarray((ramp * 7).astype(np.float32))
    else:
        image = Image.fromarray((ramp * 255).astype(np.uint8)).convert(mode)
    found = read_image(image, (32, 16))
    assert found.shape == (3, 32, 16) and found.dtype == np.uint8
    assert found[:, :, 0].mean() < 60 and found[:, :, -1].mean() > 195


def test_one_pixel_is_a_picture():
    found = read_image(Image.new("RGB", (1, 1), (9, 8, 7)), (4, 2))
    assert (found == np.array([9, 8, 7])[:, None, None]).all()


def test_bad_files_are_named(tmp_path, pictures):
    with pytest.raises(FileNotFoundError, match=r"none\.jpg"):
        read_image(tmp_path / "none.jpg", (4, 2))
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(ValueError, match=r"text\.jpg"):
        read_image(tmp_path / "text.jpg", (4, 2))
    (tmp_path / "cut.jpg").write_bytes(pictures[0].read_bytes()[:300])
    with pytest.raises(ValueError, match=r"cut\.jpg"):
        read_image(tmp_path / "cut.jpg", (4, 2))


def test_normalise_is_clips():
    pixels = torch.randint(0, 256, (2, 3, 4, 2), dtype=torch.uint8)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    assert torch.allclose(normalise(pixels), (pixels / 255 - mean) / std, atol=1e-5)
