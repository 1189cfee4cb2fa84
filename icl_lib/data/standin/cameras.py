"""Surveillance cameras: each sees people, and spoils the clean picture, in its own way."""

import io
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

VIEWS = ("front", "side", "back")
OUTDOOR = ("street", "brick wall", "park")
INDOOR = ("shop window", "office building", "tiled floor")


@dataclass(frozen=True)
class Camera:
    """What one camera does; a range (lowest, highest) is drawn from anew for every picture.

    Args:
        views: Weights of the front, the side and the back of a person.
        zoom: Range of the person's relative size.
        cast: Factors on red, green and blue.
        gain: Range of the brightness.
        blur: Range of the Gaussian radius in pixels.
        pixels: Range of the height in pixels at which the scene is sampled.
        noise: Range of the standard deviation of the noise, on the scale 0-255.
        cover: Chance that something stands before the person.
        cut: Chance that the picture ends above the feet.
        scenes: The backgrounds it looks at; empty for any.
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


# The five cameras of RSTPReid's stand-in; the fields in the order of `Camera`.
# fmt: off
CAMERAS = (
    Camera((6, 2, 1), (0.86, 1.0), (1.0, 0.98, 1.05), (0.85, 1.1), (0, 0.7), (130, 192), (2, 7),
           0.12, 0.10),
    Camera((1, 2, 6), (0.80, 0.98), (1.08, 1.0, 0.88), (0.7, 1.0), (0.3, 1.0), (100, 160), (3, 9),
           0.12, 0.10),
    Camera((2, 6, 1), (0.9, 1.06), (0.92, 1.04, 0.98), (0.8, 1.2), (0, 0.8), (110, 180), (3, 8),
           0.15, 0.15),
    Camera((4, 3, 2), (0.70, 0.88), (0.94, 0.97, 1.12), (0.55, 0.8), (0.4, 1.1), (88, 140), (5, 12),
           0.10, 0.05),
    Camera((3, 3, 3), (1.0, 1.16), (1.02, 1.02, 0.96), (0.95, 1.3), (0.2, 0.9), (110, 170), (3, 9),
           0.15, 0.35),
)
# fmt: on


def cover(picture: Image.Image, rng: random.Random, kind: str) -> Image.Image:
    """A copy with something before the person: on the left ("left") or at the bottom ("feet")."""
    picture = picture.copy()
    w, h = picture.size
    colour = rng.choice([(90, 92, 96), (112, 96, 84), (70, 86, 76)])
    shade = tuple(int(c * rng.uniform(0.7, 1.2)) for c in colour)
    if kind == "left":
        box = [0, rng.randint(0, h // 3), int(w * rng.uniform(0.2, 0.32)), h]
    else:
        box = [0, int(h * rng.uniform(0.84, 0.9)), w, h]
    ImageDraw.Draw(picture).rectangle(box, fill=shade)
    return picture


def spoil(picture: Image.Image, camera: Camera, rng: random.Random) -> Image.Image:
    """The picture with a camera's low resolution, blur, brightness, colour cast, haze, noise."""
    w, h = picture.size
    low = rng.randint(*camera.pixels)
    if low < h:
        picture = picture.resize((max(8, round(w * low / h)), low), Image.BOX)
    radius = rng.uniform(*camera.blur) * low / h
    if radius > 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(radius))
    pixels = np.asarray(picture, np.float32)
    gain = rng.uniform(*camera.gain)
    cast = np.array([c * rng.uniform(0.95, 1.05) for c in camera.cast], np.float32)
    haze = rng.uniform(0, 22)
    pixels = pixels * gain * cast * (1 - haze / 255) + haze
    noise_rng = np.random.default_rng(rng.randrange(1 << 32))
    noise = noise_rng.normal(0, rng.uniform(*camera.noise), pixels.shape)
    spoilt = Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))
    return spoilt.resize((w, h), Image.BICUBIC)


def encoded(picture: Image.Image, name: str, quality: int) -> bytes:
    """The picture as the bytes of a file called `name`: PNG, or JPEG of `quality`."""
    out = io.BytesIO()
    kind = {"format": "PNG"} if name.endswith(".png") else {"format": "JPEG", "quality": quality}
    picture.save(out, **kind)
    return out.getvalue()
