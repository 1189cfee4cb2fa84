"""Surveillance cameras: each sees people in its own way, and spoils the clean picture in its own way."""

import io
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def cover(picture: Image.Image, rng: random.Random, kind: str) -> Image.Image:
    """Something before the person: "left" hides a strip of the left side, "feet" the lowest part."""
    picture = picture.copy()
    w, h = picture.size
    shade = tuple(
        int(c * rng.uniform(0.7, 1.2))
        for c in rng.choice([(90, 92, 96), (112, 96, 84), (70, 86, 76)])
    )
    draw = ImageDraw.Draw(picture)
    if kind == "left":
        draw.rectangle([0, rng.randint(0, h // 3), int(w * rng.uniform(0.2, 0.32)), h], fill=shade)
    else:
        draw.rectangle([0, int(h * rng.uniform(0.84, 0.9)), w, h], fill=shade)
    return picture


@dataclass(frozen=True)
class Camera:
    """What one camera does; ranges are (lowest, highest) and are drawn anew for every picture.

    views: weights of front, side, back. zoom: relative size of the person. cast: factors on R, G, B. gain: brightness.
    blur: Gaussian radius in pixels. pixels: height in pixels the scene is sampled at before it is enlarged. noise:
    standard deviation in 0-255. cover: chance that something stands before the person. cut: chance that the feet are cut.
    scenes: the backgrounds it looks at; empty: any.
    """

    views: tuple[float, float, float]
    zoom: tuple[float, float]
    cast: tuple[float, float, float]
    gain: tuple[float, float]
    blur: tuple[float, float]
    pixels: tuple[int, int]
    noise: tuple[float, float]
    cover: float
    cut: float
    scenes: tuple[str, ...] = ()


OUTDOOR = ("street", "brick wall", "park")
INDOOR = ("shop window", "office building", "tiled floor")
CAMERAS = (
    Camera(
        (6, 2, 1),
        (0.86, 1.0),
        (1.0, 0.98, 1.05),
        (0.85, 1.1),
        (0, 0.7),
        (130, 192),
        (2, 7),
        0.12,
        0.10,
    ),
    Camera(
        (1, 2, 6),
        (0.80, 0.98),
        (1.08, 1.0, 0.88),
        (0.7, 1.0),
        (0.3, 1.0),
        (100, 160),
        (3, 9),
        0.12,
        0.10,
    ),
    Camera(
        (2, 6, 1),
        (0.9, 1.06),
        (0.92, 1.04, 0.98),
        (0.8, 1.2),
        (0, 0.8),
        (110, 180),
        (3, 8),
        0.15,
        0.15,
    ),
    Camera(
        (4, 3, 2),
        (0.70, 0.88),
        (0.94, 0.97, 1.12),
        (0.55, 0.8),
        (0.4, 1.1),
        (88, 140),
        (5, 12),
        0.10,
        0.05,
    ),
    Camera(
        (3, 3, 3),
        (1.0, 1.16),
        (1.02, 1.02, 0.96),
        (0.95, 1.3),
        (0.2, 0.9),
        (110, 170),
        (3, 9),
        0.15,
        0.35,
    ),
)
VIEWS = ("front", "side", "back")


def spoil(picture: Image.Image, camera: Camera, rng: random.Random) -> Image.Image:
    """Colour cast, brightness, blur, low resolution and noise of one camera on one clean picture."""
    w, h = picture.size
    low = rng.randint(*camera.pixels)
    if low < h:
        picture = picture.resize((max(8, round(w * low / h)), low), Image.BOX)
    radius = rng.uniform(*camera.blur) * low / h
    if radius > 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(radius))
    a = np.asarray(picture, np.float32)
    gain = rng.uniform(*camera.gain)
    cast = np.array([c * rng.uniform(0.95, 1.05) for c in camera.cast], np.float32)
    haze = rng.uniform(0, 22)
    a = a * gain * cast * (1 - haze / 255) + haze
    noise = np.random.default_rng(rng.randrange(1 << 32)).normal(
        0, rng.uniform(*camera.noise), a.shape
    )
    return Image.fromarray(np.clip(a + noise, 0, 255).astype(np.uint8)).resize(
        (w, h), Image.BICUBIC
    )


def encoded(picture: Image.Image, name: str, quality: int) -> bytes:
    """The picture as the bytes of a file called `name`: PNG, or JPEG of `quality`."""
    out = io.BytesIO()
    picture.save(out, "PNG") if name.endswith(".png") else picture.save(
        out, "JPEG", quality=quality
    )
    return out.getvalue()
