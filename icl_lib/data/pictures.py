"""Pictures: opened, resized, normalised for CLIP, named and hashed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

MEAN = (0.48145466, 0.4578275, 0.40821073)  # OpenAI CLIP's, of RGB in [0, 1]
STD = (0.26862954, 0.26130258, 0.27577711)


Picture = str | Path | Image.Image


def open_picture(picture: Picture) -> Image.Image:
    """The picture as RGB, fully decoded.

    16-bit grey is scaled to 8 bits, and transparency is laid on white.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read as a picture.
    """
    if isinstance(picture, Image.Image):
        return _as_rgb(picture)
    if not Path(picture).is_file():
        raise FileNotFoundError(
            f"There is no picture {picture}. Check the data set's folder (`icl data check`)."
        )
    try:
        with Image.open(picture) as opened:
            return _as_rgb(opened)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as problem:
        raise ValueError(
            f"The picture {picture} cannot be read ({problem}). It is damaged, cut off or no "
            "picture: replace the file or leave out its record (`icl data check` lists such files)."
        ) from problem


def read_image(picture: Picture, size: tuple[int, int]) -> np.ndarray:
    """A picture as uint8 RGB [3, H, W], resized by bicubic interpolation to `size` (H, W).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file cannot be read as a picture.
    """
    resized = open_picture(picture).resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return np.asarray(resized).transpose(2, 0, 1)


def normalise(pixels: Tensor) -> Tensor:
    """uint8 RGB [B, 3, H, W] as the float32 that CLIP expects: (x/255 − mean) / std by channel."""
    mean = torch.tensor(MEAN, device=pixels.device)[:, None, None] * 255
    std = torch.tensor(STD, device=pixels.device)[:, None, None] * 255
    # In place: on a CPU, allocating memory costs more than the arithmetic.
    return pixels.to(torch.float32, copy=True).sub_(mean).div_(std)


def picture_id(picture: Picture) -> str:
    """A name of the picture that holds within one call: its path, or the object's identity."""
    return f"object {id(picture)}" if isinstance(picture, Image.Image) else str(picture)


def picture_hash(picture: Picture) -> str:
    """Hash of a picture's content, 32 hex digits: of the file, or of a PIL image's mode and pixels.

    Raises:
        FileNotFoundError: The file cannot be opened.
    """
    if isinstance(picture, Image.Image):
        content = f"{picture.mode} {picture.size}".encode() + picture.tobytes()
    else:
        try:
            content = Path(picture).read_bytes()
        except OSError as problem:
            raise FileNotFoundError(
                f"The picture {picture} cannot be opened ({problem.strerror or problem}). Check "
                "the data set's folder (`icl data check`)."
            ) from problem
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith(("I", "F")):  # convert("RGB") would clip more than 8 bits to white
        values = np.asarray(picture, dtype=np.float64)
        top = 65535 if picture.mode.startswith("I") else max(values.max(), 1e-12)
        picture = Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        clear = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    return picture.convert("RGB")
