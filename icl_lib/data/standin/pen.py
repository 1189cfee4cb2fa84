"""Draws shapes and cloth at any scale."""

import math

from PIL import Image, ImageDraw


def shade(colour, factor):
    """The sRGB colour made darker (factor below 1) or lighter, 0-255."""
    return tuple(int(max(0, min(255, c * factor))) for c in colour)


class Pen:
    """Body coordinates -> pixels, and shapes that people are made of."""

    def __init__(self, image, foot, scale, width=1.0, flip=1):
        self.image, self.draw = image, ImageDraw.Draw(image)
        self.foot, self.scale, self.width, self.flip = foot, scale, width, flip

    def at(self, x, y):
        return (self.foot[0] + self.flip * x * self.scale, self.foot[1] - y * self.scale)

    def polygon(self, points, fill):
        self.draw.polygon([self.at(*p) for p in points], fill=fill)

    def oval(self, x, y, rx, ry, fill):
        (cx, cy), s = self.at(x, y), self.scale
        self.draw.ellipse([cx - rx * s, cy - ry * s, cx + rx * s, cy + ry * s], fill=fill)

    def box(self, x0, y0, x1, y1, fill, round_=0.0):
        (ax, ay), (bx, by) = self.at(x0, y1), self.at(x1, y0)
        box = [min(ax, bx), ay, max(ax, bx), by]
        self.draw.rounded_rectangle(box, radius=round_ * self.scale, fill=fill)

    def limb(self, a, b, ra, rb, fill):
        """A tapered limb from a to b with round ends of radii ra and rb."""
        dx, dy = b[0] - a[0], b[1] - a[1]
        n = math.hypot(dx, dy) or 1e-6
        ux, uy = -dy / n, dx / n
        self.polygon(
            [
                (a[0] + ux * ra, a[1] + uy * ra),
                (b[0] + ux * rb, b[1] + uy * rb),
                (b[0] - ux * rb, b[1] - uy * rb),
                (a[0] - ux * ra, a[1] - uy * ra),
            ],
            fill,
        )
        self.oval(*a, ra, ra, fill)
        self.oval(*b, rb, rb, fill)

    def line(self, points, fill, width):
        self.draw.line(
            [self.at(*p) for p in points],
            fill=fill,
            width=max(1, round(width * self.scale)),
            joint="curve",
        )

    def textured(self, points, tile):
        """Fill a polygon with a picture of cloth as large as the canvas."""
        mask = Image.new("1", self.image.size)
        ImageDraw.Draw(mask).polygon([self.at(*p) for p in points], fill=1)
        self.image.paste(tile, (0, 0), mask)


def _cloth(size, colour, pattern, scale):
    """A canvas-sized piece of cloth: plain, striped, checked or dotted; the second colour contrasts with the first."""
    tile = Image.new("RGB", size, colour)
    if pattern in ("plain", "printed"):
        return tile
    light = sum(colour) > 330
    other = shade(colour, 0.35) if light else tuple(min(255, c + 150) for c in colour)
    draw, step = ImageDraw.Draw(tile), max(4, int(scale * 0.042))
    if pattern == "striped":
        for y in range(0, size[1], step):
            draw.rectangle([0, y, size[0], y + step * 0.42], fill=other)
    elif pattern == "checked":
        thin = max(1, step // 5)
        for y in range(0, size[1], step):
            draw.rectangle([0, y, size[0], y + thin], fill=other)
        for x in range(0, size[0], step):
            draw.rectangle([x, 0, x + thin, size[1]], fill=other)
    else:
        r = step * 0.24
        for i, y in enumerate(range(0, size[1], step)):
            for x in range((i % 2) * step // 2, size[0], step):
                draw.ellipse([x - r, y - r, x + r, y + r], fill=other)
    return tile
