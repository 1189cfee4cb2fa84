"""Draws one person in one scene as a clean, sharp picture.

Everything is drawn at `OVER` times the size and scaled down, which smooths the edges.
"""

import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from icl_lib.data.standin.attributes import draw_identities
from icl_lib.data.standin.figure import draw_person
from icl_lib.data.standin.pen import Pen
from icl_lib.data.standin.scenes import draw_background

SIZE = (64, 192)  # width and height of a finished picture in pixels
OVER = 2


def draw_picture(
    truth: dict,
    view: str,
    rng: random.Random,
    size: tuple[int, int] = SIZE,
    zoom: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Image.Image:
    """One clean RGB picture of a person.

    Args:
        truth: Attribute -> value, of the person and of the scene.
        view: "front", "side" or "back".
        rng: Draws pose, light and scene.
        size: (width, height) in pixels.
        zoom: 1.0 lets the person fill about 86% of the height; larger values cut the feet off.
        shift: How far the feet are moved to the right and down, in parts of the size.
    """
    w, h = size[0] * OVER, size[1] * OVER
    horizon = int(h * rng.uniform(0.36, 0.58))
    image = draw_background(truth["background"], (w, h), horizon, rng)
    tall = 0.80 if truth["held"] == "umbrella" else 0.88
    scale = h * tall * zoom * truth.get("height", 1.0)
    x, y = w * (0.5 + shift[0]), h * (0.965 + shift[1])
    if truth["bystanders"] == "other people":
        _draw_bystanders(image, y, scale, rng)
        image = image.filter(ImageFilter.GaussianBlur(0.8))
    before = np.asarray(image, np.int16)
    shadow = [x - 0.15 * scale, y - 0.02 * scale, x + 0.15 * scale, y + 0.018 * scale]
    ImageDraw.Draw(image, "RGBA").ellipse(shadow, fill=(0, 0, 0, 70))
    pen = Pen(image, (x, y), scale, flip=rng.choice([-1, 1]))
    draw_person(pen, truth, view, rng, truth.get("build", 1.0))
    figure = np.abs(np.asarray(image, np.int16) - before).max(-1) > 6
    return _lit(image, figure, rng).resize(size, Image.LANCZOS)


def _draw_bystanders(image: Image.Image, foot: float, scale: float, rng: random.Random) -> None:
    """One or two people farther away; foot: the row on which the main person stands."""
    w, h = image.size
    for _ in range(rng.randint(1, 2)):
        other = draw_identities(1, rng.randrange(1 << 30))[0]
        other.update(action=rng.choice(["walking", "standing"]), held="nothing", bag="none")
        x = w * rng.choice([rng.uniform(-0.05, 0.16), rng.uniform(0.84, 1.05)])
        small = scale * rng.uniform(0.42, 0.6)
        pen = Pen(image, (x, foot - h * rng.uniform(0.1, 0.2)), small)
        draw_person(pen, other, rng.choice(["front", "back"]), rng, plain=True)


def _lit(image: Image.Image, figure: np.ndarray, rng: random.Random) -> Image.Image:
    """Light the figure (bool [H, W]) from one side and above, and give everything a fine grain."""
    h, w = figure.shape
    mask = figure[..., None].astype(np.float32)
    coarse = np.random.default_rng(rng.randrange(1 << 30)).normal(0, 1, (h // 4 + 1, w // 4 + 1))
    grain = Image.fromarray(coarse.astype(np.float32)).resize((w, h), Image.BILINEAR)
    columns = np.linspace(-1, 1, w, dtype=np.float32)[None, :, None]
    columns = columns * rng.choice([-1, 1]) * rng.uniform(0.05, 0.17)
    rows = np.linspace(0.05, -0.07, h, dtype=np.float32)[:, None, None]
    factor = 1 + mask * (columns + rows) + np.asarray(grain)[..., None] * (0.018 + 0.014 * mask)
    lit = np.asarray(image, np.float32) * factor
    return Image.fromarray(np.clip(lit, 0, 255).astype(np.uint8))
