"""The fifth world: surveillance pictures of people in no benchmark, by cameras of no benchmark.

Methods that are pre-trained on pictures of people, such as MLLM4Text-ReID, start from a CLIP that
has seen such pictures with generated captions. In the demo, the small CLIP is trained further on
this world for that.
"""

import random

from PIL import Image

from icl_lib.data.standin.cameras import INDOOR, OUTDOOR, Camera
from icl_lib.data.standin.world import camera_shot

SURVEILLANCE_SEED = 8_000_000  # people drawn neither for the generic world nor for a stand-in

# Places that none of the four stand-ins has; the fields in the order of `Camera`.
# fmt: off
CAMERAS = (
    Camera((4, 2, 3), (0.84, 1.04), (1.06, 0.98, 0.98), (0.75, 1.1), (0, 0.9), (90, 170), (2, 8),
           0.15, 0.15, OUTDOOR),
    Camera((2, 4, 3), (0.78, 0.96), (0.94, 1.0, 1.07), (0.65, 1.0), (0.2, 1.1), (84, 150), (3, 10),
           0.12, 0.08, OUTDOOR),
    Camera((3, 3, 3), (0.94, 1.12), (1.0, 1.05, 0.94), (0.85, 1.25), (0, 0.7), (110, 200), (2, 7),
           0.18, 0.25, OUTDOOR),
    Camera((5, 4, 1), (0.88, 1.06), (1.09, 1.01, 0.87), (0.6, 0.95), (0.2, 1.0), (90, 160), (4, 11),
           0.15, 0.15, INDOOR),
    Camera((1, 4, 5), (0.82, 1.0), (0.96, 1.04, 1.0), (0.7, 1.15), (0, 0.8), (120, 190), (2, 9),
           0.10, 0.10, INDOOR),
    Camera((3, 4, 2), (0.98, 1.14), (1.01, 0.96, 1.08), (0.8, 1.2), (0.1, 0.9), (100, 180), (3, 8),
           0.14, 0.30, INDOOR),
)
# fmt: on


def surveillance_shot(person: dict, rng: random.Random) -> tuple[Image.Image, dict, set[str]]:
    """One picture by a camera of the fifth world: (picture, truth, visible attributes)."""
    return camera_shot(person, rng.randrange(len(CAMERAS)), rng, CAMERAS)[:3]
