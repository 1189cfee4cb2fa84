"""Draws the scene behind a person: a ground and a wall in two colours, and what is on them."""

import random

from PIL import Image, ImageDraw, ImageFilter

from icl_lib.data.standin.pen import shade


def draw_background(
    kind: str, size: tuple[int, int], horizon: int, rng: random.Random
) -> Image.Image:
    """The scene `kind` (see `attributes.VALUES`), slightly out of focus.

    Args:
        kind: A value of the attribute "background".
        size: (width, height) in pixels.
        horizon: The row in pixels in which the ground meets the wall.
        rng: Draws brightness and details.
    """
    tone = rng.uniform(0.82, 1.1)
    ground, wall, add_details = _SCENES[kind]
    image = Image.new("RGB", size, shade(ground, tone))
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, 0, size[0], horizon], fill=shade(wall, tone))
    add_details(draw, *size, horizon, tone, rng)
    return image.filter(ImageFilter.GaussianBlur(1.6))


def _zebra_crossing(draw, w, h, horizon, tone, rng):
    step = rng.randint(18, 26)
    for y in range(horizon + rng.randint(2, 20), h, step):
        draw.rectangle([0, y, w, y + step * 0.45], fill=shade((206, 206, 202), tone))


def _bricks(draw, w, h, horizon, tone, rng):
    mortar = shade((180, 160, 150), tone)
    for row, y in enumerate(range(0, horizon, 9)):
        draw.line([0, y, w, y], fill=mortar)
        for x in range((row % 2) * 9, w, 18):
            draw.line([x, y, x, y + 9], fill=mortar)


def _trees(draw, w, h, horizon, tone, rng):
    for _ in range(rng.randint(2, 4)):
        x, y, r = rng.randint(0, w), rng.randint(horizon // 4, horizon), rng.randint(24, 48)
        draw.rectangle([x - 4, y, x + 4, horizon + 8], fill=shade((92, 68, 46), tone))
        for _ in range(5):
            dx, dy = rng.randint(-r, r) // 2, rng.randint(-r, r) // 2
            green = shade((58, 108, 52), tone * rng.uniform(0.8, 1.3))
            draw.ellipse([x + dx - r // 2, y + dy - r, x + dx + r // 2, y + dy], fill=green)


def _shop(draw, w, h, horizon, tone, rng):
    for x in range(-rng.randint(0, 40), w, 64):
        draw.rectangle([x, 34, x + 50, horizon - 26], fill=shade((86, 110, 128), tone))
        goods = rng.choice([(196, 90, 70), (90, 140, 90), (220, 190, 90), (110, 90, 150)])
        draw.rectangle([x + 8, horizon - 70, x + 26, horizon - 28], fill=shade(goods, tone))
    sign = rng.choice([(60, 70, 120), (140, 50, 46), (50, 96, 70)])
    draw.rectangle([0, 8, w, 28], fill=shade(sign, tone))


def _windows(draw, w, h, horizon, tone, rng):
    for y in range(rng.randint(4, 14), horizon - 20, 30):
        for x in range(rng.randint(-10, 4), w, 26):
            pane = shade((92, 116, 142), tone * rng.uniform(0.85, 1.2))
            draw.rectangle([x, y, x + 15, y + 18], fill=pane)


def _tiles(draw, w, h, horizon, tone, rng):
    joint = shade(shade((190, 184, 174), tone), 0.86)
    for x in range(-w, 2 * w, 28):
        draw.line([w // 2 + (x - w // 2) // 2, horizon, x, h], fill=joint)
    for i in range(8):
        y = horizon + int((h - horizon) * (i / 8) ** 1.5)
        draw.line([0, y, w, y], fill=joint)


_SCENES = {  # kind -> colour of the ground, colour of the wall or sky, what draws the rest
    "street": ((104, 104, 108), (158, 164, 172), _zebra_crossing),
    "brick wall": ((140, 134, 128), (150, 82, 66), _bricks),
    "park": ((96, 140, 70), (166, 196, 214), _trees),
    "shop window": ((164, 154, 142), (206, 196, 180), _shop),
    "office building": ((136, 136, 138), (146, 150, 158), _windows),
    "tiled floor": ((190, 184, 174), (214, 212, 206), _tiles),
}
