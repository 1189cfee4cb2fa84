"""Draws one person in one scene: `draw_picture(truth, view, rng)` -> an RGB picture, clean and sharp.

Everything is drawn at `OVER` times the size and scaled down, which smooths the edges.
"""

import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from icl_lib.data.standin.attributes import draw_identities
from icl_lib.data.standin.figure import draw_person
from icl_lib.data.standin.pen import Pen, shade

SIZE = (64, 192)  # width, height of a finished picture in pixels
OVER = 2


def _background(kind, size, horizon, rng):
    """The scene behind the person; `horizon` is the row in pixels where ground meets wall."""
    w, h = size
    tone = rng.uniform(0.82, 1.1)
    image = Image.new("RGB", size, shade((150, 152, 156), tone))
    draw = ImageDraw.Draw(image)
    ground = {
        "street": (104, 104, 108),
        "brick wall": (140, 134, 128),
        "park": (96, 140, 70),
        "shop window": (164, 154, 142),
        "office building": (136, 136, 138),
        "tiled floor": (190, 184, 174),
    }[kind]
    ground = shade(ground, tone)
    draw.rectangle([0, horizon, w, h], fill=ground)
    if kind == "street":
        draw.rectangle([0, 0, w, horizon], fill=shade((158, 164, 172), tone))
        step = rng.randint(18, 26)
        for y in range(horizon + rng.randint(2, 20), h, step):
            draw.rectangle([0, y, w, y + step * 0.45], fill=shade((206, 206, 202), tone))
    elif kind == "brick wall":
        wall, mortar = shade((150, 82, 66), tone), shade((180, 160, 150), tone)
        draw.rectangle([0, 0, w, horizon], fill=wall)
        for i, y in enumerate(range(0, horizon, 9)):
            draw.line([0, y, w, y], fill=mortar)
            for x in range((i % 2) * 9, w, 18):
                draw.line([x, y, x, y + 9], fill=mortar)
    elif kind == "park":
        draw.rectangle([0, 0, w, horizon], fill=shade((166, 196, 214), tone))
        for _ in range(rng.randint(2, 4)):
            x, y, r = rng.randint(0, w), rng.randint(horizon // 4, horizon), rng.randint(24, 48)
            draw.rectangle([x - 4, y, x + 4, horizon + 8], fill=shade((92, 68, 46), tone))
            for _ in range(5):
                dx, dy = rng.randint(-r, r) // 2, rng.randint(-r, r) // 2
                green = shade((58, 108, 52), tone * rng.uniform(0.8, 1.3))
                draw.ellipse([x + dx - r // 2, y + dy - r, x + dx + r // 2, y + dy], fill=green)
    elif kind == "shop window":
        draw.rectangle([0, 0, w, horizon], fill=shade((206, 196, 180), tone))
        for x in range(-rng.randint(0, 40), w, 64):
            draw.rectangle([x, 34, x + 50, horizon - 26], fill=shade((86, 110, 128), tone))
            goods = rng.choice([(196, 90, 70), (90, 140, 90), (220, 190, 90), (110, 90, 150)])
            draw.rectangle([x + 8, horizon - 70, x + 26, horizon - 28], fill=shade(goods, tone))
        draw.rectangle(
            [0, 8, w, 28],
            fill=shade(rng.choice([(60, 70, 120), (140, 50, 46), (50, 96, 70)]), tone),
        )
    elif kind == "office building":
        draw.rectangle([0, 0, w, horizon], fill=shade((146, 150, 158), tone))
        for y in range(rng.randint(4, 14), horizon - 20, 30):
            for x in range(rng.randint(-10, 4), w, 26):
                draw.rectangle(
                    [x, y, x + 15, y + 18],
                    fill=shade((92, 116, 142), tone * rng.uniform(0.85, 1.2)),
                )
    else:
        draw.rectangle([0, 0, w, horizon], fill=shade((214, 212, 206), tone))
        for x in range(-w, 2 * w, 28):
            draw.line([w // 2 + (x - w // 2) // 2, horizon, x, h], fill=shade(ground, 0.86))
        for i in range(8):
            y = horizon + int((h - horizon) * (i / 8) ** 1.5)
            draw.line([0, y, w, y], fill=shade(ground, 0.86))
    return image.filter(ImageFilter.GaussianBlur(1.6))


def _lit(image, mask, rng):
    """Shade the figure like a lit body: brighter on one side, a little cloth texture; the background stays."""
    a = np.asarray(image, np.float32)
    m = np.asarray(mask, np.float32)[..., None] / 255.0
    h, w = a.shape[:2]
    grain = (
        np.random.default_rng(rng.randrange(1 << 30))
        .normal(0, 1, (h // 4 + 1, w // 4 + 1))
        .astype(np.float32)
    )
    grain = np.asarray(Image.fromarray(grain).resize((w, h), Image.BILINEAR))[..., None]
    columns = (
        np.linspace(-1, 1, w, dtype=np.float32)[None, :, None]
        * rng.choice([-1, 1])
        * rng.uniform(0.05, 0.17)
    )
    rows = np.linspace(0.05, -0.07, h, dtype=np.float32)[:, None, None]
    factor = 1 + m * (columns + rows) + grain * (0.018 + 0.014 * m)
    return Image.fromarray(np.clip(a * factor, 0, 255).astype(np.uint8))


def draw_picture(
    truth: dict,
    view: str,
    rng: random.Random,
    size: tuple[int, int] = SIZE,
    zoom: float = 1.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> Image.Image:
    """One clean picture of a person.

    truth: attribute -> value (identity and scene together). view: "front", "side" or "back". size: (width, height) in
    pixels. zoom: 1.0 fills about 86% of the height; larger cuts the feet off. shift: of the feet, in parts of the size.
    """
    w, h = size[0] * OVER, size[1] * OVER
    horizon = int(h * rng.uniform(0.36, 0.58))
    image = _background(truth["background"], (w, h), horizon, rng)
    tall = 0.80 if truth["held"] == "umbrella" else 0.88
    scale = h * tall * zoom * truth.get("height", 1.0)
    foot = (w * (0.5 + shift[0]), h * (0.965 + shift[1]))
    if truth["bystanders"] == "other people":
        for _ in range(rng.randint(1, 2)):
            other = draw_identities(1, rng.randrange(1 << 30))[0]
            other.update(action=rng.choice(["walking", "standing"]), held="nothing", bag="none")
            x = w * rng.choice([rng.uniform(-0.05, 0.16), rng.uniform(0.84, 1.05)])
            small = scale * rng.uniform(0.42, 0.6)
            draw_person(
                Pen(image, (x, foot[1] - h * rng.uniform(0.1, 0.2)), small, 1.0),
                other,
                rng.choice(["front", "back"]),
                rng,
                detailed=False,
            )
        image = image.filter(ImageFilter.GaussianBlur(0.8))
    before = image.copy()
    ImageDraw.Draw(image, "RGBA").ellipse(
        [
            foot[0] - 0.15 * scale,
            foot[1] - 0.02 * scale,
            foot[0] + 0.15 * scale,
            foot[1] + 0.018 * scale,
        ],
        fill=(0, 0, 0, 70),
    )
    flip = rng.choice([-1, 1])
    draw_person(Pen(image, foot, scale, truth.get("build", 1.0), flip), truth, view, rng)
    difference = np.abs(np.asarray(image, np.int16) - np.asarray(before, np.int16)).max(-1) > 6
    image = _lit(image, Image.fromarray((difference * 255).astype(np.uint8)), rng)
    return image.resize(size, Image.LANCZOS)
