"""A pen that draws shapes in body coordinates, and the colours and the cloth that it draws with.

Body coordinates: x runs to the right from the body's axis, y upwards from the soles (0) to the
crown (1), both in units of body height. Colours are sRGB triples, 0-255. A shape is filled with a
colour, with that of a part of the figure ("hair"), or with a darker shade of it (("hair", 0.8)).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Shape = tuple  # (method of Pen, *its arguments)


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (factor below 1) or brighter (factor above 1)."""
    return tuple(int(max(0, min(255, c * factor))) for c in colour)


def lighter(colour: Colour, amount: int) -> Colour:
    """The colour with `amount` added to each channel."""
    return tuple(min(255, c + amount) for c in colour)


@dataclass
class Pen:
    """Turns body coordinates into pixels and draws the shapes that people are made of.

    Args:
        image: The RGB picture to draw on.
        foot: Pixel (x, y) on which the figure stands.
        scale: Body height in pixels.
        flip: 1, or -1 to mirror the figure.
        colours: The colour of each part of the figure.
        origin: The point from which coordinates count.
    """

    image: Image.Image
    foot: tuple[float, float]
    scale: float
    flip: int = 1
    colours: dict[str, Colour] = field(default_factory=dict)
    origin: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self):
        self.draw = ImageDraw.Draw(self.image)

    def at(self, x, y):
        """The pixel of a point."""
        right = self.flip * (self.origin[0] + x) * self.scale
        return self.foot[0] + right, self.foot[1] - (self.origin[1] + y) * self.scale

    def fill(self, fill):
        """The colour of a fill."""
        if isinstance(fill, str):
            return self.colours[fill]
        return shade(self.colours[fill[0]], fill[1]) if isinstance(fill[0], str) else fill

    def shapes(self, shapes: Iterable[Shape], origin=(0.0, 0.0)):
        """Draw one shape after another; their coordinates count from `origin`."""
        before = self.origin
        self.origin = origin
        for method, *arguments in shapes:
            method(self, *arguments)
        self.origin = before

    def polygon(self, points, fill):
        """A filled polygon."""
        self.draw.polygon([self.at(*p) for p in points], fill=self.fill(fill))

    def oval(self, x, y, rx, ry, fill):
        """An ellipse around (x, y) with the radii rx and ry."""
        (cx, cy), s = self.at(x, y), self.scale
        self.draw.ellipse(
            [cx - rx * s, cy - ry * s, cx + rx * s, cy + ry * s], fill=self.fill(fill)
        )

    def dome(self, x, top, bottom, radius, fill):
        """The upper half of an ellipse that spans the heights from `bottom` to `top`."""
        (cx, y0), (_, y1), r = self.at(x, top), self.at(x, bottom), radius * self.scale
        self.draw.pieslice([cx - r, y0, cx + r, y1], 180, 360, fill=self.fill(fill))

    def box(self, x0, y0, x1, y1, fill, corner=0.0):
        """A rectangle whose corners are rounded with the radius `corner`."""
        (ax, ay), (bx, by) = self.at(x0, y1), self.at(x1, y0)
        box = [min(ax, bx), ay, max(ax, bx), by]
        self.draw.rounded_rectangle(box, radius=corner * self.scale, fill=self.fill(fill))

    def limb(self, a, b, ra, rb, fill):
        """A tapered limb from a to b with round ends of radii ra and rb."""
        dx, dy = b[0] - a[0], b[1] - a[1]
        n = math.hypot(dx, dy) or 1e-6
        ux, uy = -dy / n, dx / n
        corners = [
            (a[0] + ux * ra, a[1] + uy * ra),
            (b[0] + ux * rb, b[1] + uy * rb),
            (b[0] - ux * rb, b[1] - uy * rb),
            (a[0] - ux * ra, a[1] - uy * ra),
        ]
        self.polygon(corners, fill)
        self.oval(*a, ra, ra, fill)
        self.oval(*b, rb, rb, fill)

    def line(self, points, fill, width):
        """A line through the points."""
        pixels = [self.at(*p) for p in points]
        self.draw.line(
            pixels, fill=self.fill(fill), width=max(1, round(width * self.scale)), joint="curve"
        )

    def textured(self, points, cloth):
        """A polygon filled with a picture of cloth that is as large as the canvas."""
        mask = Image.new("1", self.image.size)
        ImageDraw.Draw(mask).polygon([self.at(*p) for p in points], fill=1)
        self.image.paste(cloth, (0, 0), mask)


def woven(size: tuple[int, int], colour: Colour, pattern: str, scale: float) -> Image.Image | None:
    """A piece of cloth of `size` pixels, striped, checked or dotted in a contrasting colour.

    None for a pattern that does not cover the whole garment. `scale`: body height in pixels.
    """
    if pattern not in ("striped", "checked", "dotted"):
        return None
    cloth = Image.new("RGB", size, colour)
    draw = ImageDraw.Draw(cloth)
    contrast = shade(colour, 0.35) if sum(colour) > 330 else lighter(colour, 150)
    step = max(4, int(scale * 0.042))
    if pattern == "dotted":
        r = step * 0.24
        for row, y in enumerate(range(0, size[1], step)):
            for x in range((row % 2) * step // 2, size[0], step):
                draw.ellipse([x - r, y - r, x + r, y + r], fill=contrast)
        return cloth
    thick = step * 0.42 if pattern == "striped" else max(1, step // 5)
    for y in range(0, size[1], step):
        draw.rectangle([0, y, size[0], y + thick], fill=contrast)
    for x in range(0, size[0] if pattern == "checked" else 0, step):
        draw.rectangle([x, 0, x + thick, size[1]], fill=contrast)
    return cloth
