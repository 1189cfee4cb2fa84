"""Pictures of the drawn world."""

import random

import numpy as np

from icl_lib.data.standin.attributes import draw_identities
from icl_lib.data.standin.cameras import INDOOR
from icl_lib.data.standin.characters import CHARACTERS
from icl_lib.data.standin.world import camera_shot, generic_shot


def test_shots_are_pictures_of_the_size_and_differ_between_worlds():
    someone = draw_identities(1, 2)[0]
    clean, _, _ = generic_shot(someone, random.Random(0))
    spoilt, _, seen, view = camera_shot(someone, 3, random.Random(0))
    assert clean.size == spoilt.size == (64, 192) and clean.mode == spoilt.mode == "RGB"
    assert np.asarray(spoilt).mean() < np.asarray(clean).mean()  # camera 4 is a dark one
    assert "glasses" not in seen if view == "back" else "glasses" in seen


def test_icfg_has_indoor_and_outdoor_cameras():
    collection = CHARACTERS["icfg"].collections[0]
    indoor = [set(camera.scenes) == set(INDOOR) for camera in collection.cameras]
    assert len(indoor) == 15 and sum(indoor) == 3
    someone = draw_identities(1, 2)[0]
    for number, inside in enumerate(indoor):
        _, truth, _, _ = camera_shot(
            someone, number, random.Random(number), cameras=collection.cameras, size=(40, 96)
        )
        assert (truth["background"] in INDOOR) == inside
