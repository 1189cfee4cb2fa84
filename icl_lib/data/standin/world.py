"""Pictures of the drawn world: clean ones for pre-training, and those of surveillance cameras."""

import random
from collections.abc import Sequence

from PIL import Image

from icl_lib.data.standin.attributes import draw_scene, visible
from icl_lib.data.standin.cameras import CAMERAS, VIEWS, Camera, cover, spoil
from icl_lib.data.standin.draw import SIZE, draw_picture


def generic_shot(person: dict, rng: random.Random) -> tuple[Image.Image, dict, set[str]]:
    """One clean picture of a person: (picture, truth of person and scene, visible attributes)."""
    truth = {**person, **draw_scene(rng)}
    view = rng.choices(VIEWS, (5, 3, 3))[0]
    zoom = rng.uniform(0.84, 1.03)
    picture = draw_picture(truth, view, rng, zoom=zoom, shift=(rng.uniform(-0.07, 0.07), 0))
    return picture, truth, visible(truth, view)


def camera_shot(
    person: dict,
    camera_id: int,
    rng: random.Random,
    cameras: Sequence[Camera] = CAMERAS,
    size: tuple[int, int] = SIZE,
) -> tuple[Image.Image, dict, set[str], str]:
    """One picture from a surveillance camera: (picture, truth, visible attributes, view).

    Args:
        person: Attribute -> value.
        camera_id: Which of `cameras` sees the person, from 0.
        rng: Draws everything that differs between pictures.
        cameras: The cameras of one collection.
        size: (width, height) in pixels.
    """
    camera = cameras[camera_id]
    truth = {**person, **draw_scene(rng)}
    if camera.scenes:
        truth["background"] = rng.choice(camera.scenes)
    view = rng.choices(VIEWS, camera.views)[0]
    zoom = rng.uniform(*camera.zoom)
    cut = rng.random() < camera.cut
    covered = rng.random() < camera.cover
    shift = (rng.uniform(-0.1, 0.1), 0.09 if cut else rng.uniform(-0.05, 0.01) * (1.1 - zoom) * 4)
    picture = draw_picture(truth, view, rng, size, zoom, shift)
    kind = rng.choice(["left", "feet"]) if covered else ""
    if covered:
        picture = cover(picture, rng, kind)
    seen = visible(truth, view, feet_hidden=cut or kind == "feet", left_hidden=kind == "left")
    return spoil(picture, camera, rng), truth, seen, view
