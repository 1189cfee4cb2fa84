"""Shots of the drawn world: the generic one (clean, studio-like) and the surveilled one (five cameras)."""

import random

from PIL import Image

from .attributes import draw_scene, visible
from .cameras import CAMERAS, INDOOR, OUTDOOR, VIEWS, cover, spoil
from .draw import SIZE, draw_picture


def generic_shot(person: dict, rng: random.Random) -> tuple[Image.Image, dict, set[str]]:
    """One clean picture of a person: (picture, truth of person and scene, visible attributes)."""
    truth = {**person, **draw_scene(rng)}
    view = rng.choices(VIEWS, (5, 3, 3))[0]
    picture = draw_picture(truth, view, rng, zoom=rng.uniform(.84, 1.03), shift=(rng.uniform(-.07, .07), 0))
    return picture, truth, visible(truth, view)


def camera_shot(person: dict, camera_id: int, rng: random.Random, outdoor: bool | None = None):
    """One surveillance picture: (picture, truth, visible attributes, view); `outdoor` limits the scenes to choose from."""
    camera, truth = CAMERAS[camera_id], {**person, **draw_scene(rng)}
    if outdoor is not None:
        truth["background"] = rng.choice(OUTDOOR if outdoor else INDOOR)
    view = rng.choices(VIEWS, camera.views)[0]
    zoom = rng.uniform(*camera.zoom)
    cut, covered = rng.random() < camera.cut, rng.random() < camera.cover
    shift = (rng.uniform(-.1, .1), .09 if cut else rng.uniform(-.05, .01) * (1.1 - zoom) * 4)
    picture = draw_picture(truth, view, rng, SIZE, zoom, shift)
    kind = rng.choice(["left", "feet"]) if covered else ""
    if covered:
        picture = cover(picture, rng, kind)
    seen = visible(truth, view, feet_hidden=cut or kind == "feet", left_hidden=kind == "left")
    return spoil(picture, camera, rng), truth, seen, view
