"""What sets the four stand-ins apart, each after its benchmark: files, people, cameras, texts.

RSTPReid's five cameras are `cameras.CAMERAS`. The other benchmarks see, dress and describe people
in their own way, so that a model trained on one stand-in and tested on another meets a domain gap
in its pictures and in its texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from icl_lib.data.standin.cameras import CAMERAS, INDOOR, OUTDOOR, Camera
from icl_lib.data.standin.draw import SIZE


@dataclass(frozen=True)
class Collection:
    """Cameras that saw the same people, and how their pictures are stored.

    Args:
        name: Path below imgs/ with the fields split, query (folder of a split), pid, camera (from
            1), letter (a or b, of the camera) and number (of the picture, from 0).
        cameras: Its cameras.
        size: (width, height) of a picture in pixels.
        more: How many pictures more (negative: fewer) than requested each identity has on average.
        stride: By how many cameras the first camera moves on from one identity to the next.
    """

    name: str
    cameras: tuple[Camera, ...]
    size: tuple[int, int] = SIZE
    more: int = 0
    stride: int = 0


@dataclass(frozen=True)
class Character:
    """What sets one benchmark's stand-in apart.

    Args:
        collections: Where its people were seen; identities are dealt out to them in turn.
        captions: Number of captions of each picture.
        grammar: A key of `grammars.GRAMMARS`.
        path_key: The key under which its annotation records keep the path.
        tokens: Whether its records have `processed_tokens`.
        first_id: The number of the first identity.
        splits: The splits it has.
        facts: Arguments of `facts.choose_facts`: how much its describers say.
        wardrobe: Attribute -> weights, in place of those in `attributes.VALUES`.
    """

    collections: tuple[Collection, ...]
    captions: int
    grammar: str
    path_key: str = "file_path"
    tokens: bool = False
    first_id: int = 0
    splits: tuple[str, ...] = ("train", "val", "test")
    facts: Mapping = field(default_factory=dict)
    wardrobe: Mapping[str, Sequence[float]] = field(default_factory=dict)


def _times(camera: Camera) -> tuple[Camera, ...]:
    """One place in the morning, at noon and in the afternoon: cool and dim, bright, warm."""
    looks = (((0.93, 0.99, 1.1), 0.78), ((1.0, 1.0, 1.0), 1.12), ((1.12, 1.0, 0.86), 0.92))
    return tuple(
        replace(
            camera,
            cast=tuple(round(a * b, 3) for a, b in zip(camera.cast, cast, strict=True)),
            gain=tuple(round(g * gain, 3) for g in camera.gain),
        )
        for cast, gain in looks
    )


# fmt: off
# CUHK-PEDES joins several older collections, each with two cameras and a picture size of its own.
_CAMPUS = (
    Camera((7, 2, 1), (0.9, 1.02), (1.04, 1.0, 0.94), (0.9, 1.15), (0, 0.6), (120, 160), (2, 6),
           0.05, 0.05, ("park", "tiled floor")),
    Camera((1, 2, 7), (0.9, 1.02), (0.97, 1.0, 1.04), (0.8, 1.05), (0.1, 0.8), (110, 160), (2, 7),
           0.05, 0.05, ("park", "brick wall")),
)
_SQUARE = (
    Camera((4, 4, 2), (0.92, 1.1), (1.0, 1.03, 0.93), (0.9, 1.2), (0.2, 0.9), (84, 128), (3, 8),
           0.15, 0.25, ("park", "shop window")),
    Camera((3, 3, 4), (0.92, 1.1), (1.05, 0.99, 0.96), (0.8, 1.1), (0.2, 0.9), (84, 128), (3, 8),
           0.15, 0.25, ("street", "shop window")),
)
_YARD = (
    Camera((5, 3, 1), (0.86, 1.0), (0.95, 1.03, 1.0), (0.7, 1.3), (0.4, 1.1), (70, 112), (4, 9),
           0.08, 0.10, ("street", "brick wall")),
    Camera((1, 6, 3), (0.86, 1.0), (1.08, 1.02, 0.9), (0.7, 1.3), (0.4, 1.1), (70, 112), (4, 9),
           0.08, 0.10, ("street", "park")),
)
_TOWN = (
    Camera((5, 3, 3), (0.8, 1.1), (1.03, 1.0, 0.97), (0.75, 1.2), (0, 0.6), (130, 176), (1, 6),
           0.2, 0.2),
    Camera((3, 4, 3), (0.8, 1.1), (0.98, 1.0, 1.03), (0.75, 1.2), (0, 0.6), (130, 176), (1, 6),
           0.2, 0.2),
)
# ICFG-PEDES took its people from 12 outdoor and 3 indoor cameras at different times of the day.
_PLACES = (
    Camera((5, 3, 2), (0.94, 1.08), (1, 1, 1), (0.9, 1.15), (0, 0.7), (110, 192), (2, 8),
           0.2, 0.12, OUTDOOR),
    Camera((2, 3, 5), (0.94, 1.08), (1, 1.02, 0.97), (0.85, 1.1), (0.1, 0.9), (100, 192), (2, 8),
           0.25, 0.12, OUTDOOR),
    Camera((3, 5, 2), (0.9, 1.05), (0.97, 1, 1.03), (0.8, 1.1), (0.1, 1.0), (96, 180), (3, 9),
           0.2, 0.2, OUTDOOR),
    Camera((2, 6, 2), (0.96, 1.12), (1.02, 1.01, 0.98), (0.85, 1.15), (0.2, 1.0), (90, 170), (3, 9),
           0.3, 0.2, OUTDOOR),
)
_ICFG = (
    *(camera for place in _PLACES for camera in _times(place)),
    Camera((4, 3, 3), (0.9, 1.08), (1.1, 1.0, 0.84), (0.6, 0.9), (0.3, 1.1), (96, 160), (5, 11),
           0.2, 0.2, INDOOR),
    Camera((3, 3, 4), (0.9, 1.08), (0.96, 1.06, 0.96), (0.65, 0.95), (0.3, 1.1), (96, 160), (5, 11),
           0.2, 0.2, INDOOR),
    Camera((3, 4, 3), (0.9, 1.08), (1.04, 0.98, 1.0), (0.6, 0.9), (0.3, 1.1), (96, 160), (5, 11),
           0.2, 0.2, INDOOR),
)
# UFine6926 is cut from videos of streets and halls: large, sharp pictures for its long captions.
_UFINE = (
    Camera((6, 3, 1), (0.9, 1.02), (1.0, 1.0, 1.0), (0.9, 1.15), (0, 0.3), (220, 240), (0, 3),
           0.04, 0.02, OUTDOOR),
    Camera((2, 3, 5), (0.9, 1.02), (1.02, 1.0, 0.98), (0.85, 1.1), (0, 0.4), (200, 240), (0, 4),
           0.04, 0.02, OUTDOOR),
    Camera((4, 4, 2), (0.92, 1.04), (1.06, 1.0, 0.9), (0.8, 1.05), (0, 0.4), (200, 240), (1, 4),
           0.06, 0.04, INDOOR),
    Camera((3, 3, 4), (0.92, 1.04), (0.97, 1.0, 1.05), (0.8, 1.05), (0, 0.5), (200, 240), (1, 4),
           0.06, 0.04, INDOOR),
)
# fmt: on

_CUHK = (
    Collection("CUHK01/{pid:04d}{number:03d}.png", _CAMPUS, (60, 160), more=1),
    Collection(
        "CUHK03/{pid}_{number}.jpg",
        (replace(_CAMPUS[0], cover=0.2), replace(_CAMPUS[1], cut=0.2)),
        (60, 160),
    ),
    Collection("Market/{pid:04d}_c{camera}s1_{number:06d}_00.jpg", _SQUARE, (64, 128)),
    Collection("cam_{letter}/{pid:03d}_{number}.png", _YARD, (48, 128), more=-1),
    Collection("{query}/p{pid}_s{pid}{number}.jpg", _TOWN, (72, 176)),
)
_SUMMER = {
    "upper": [8, 4, 1, 1, 1.5, 0.5, 4],
    "lower": [3, 4, 5, 3],
    "bag": [2, 6, 2, 3],
    "scarf": [60] + [1] * 12,
    "shoes": [6, 1, 4, 1.5],
    "hat": [8, 2, 0.5, 2],
}
_WINTER = {
    "upper": [1.5, 2, 4, 4, 7, 6, 0.5],
    "lower": [5, 6, 1, 1.5],
    "shoes": [5, 4, 0.5, 3],
    "hat": [6, 1.5, 4, 0.5],
    "scarf": [14] + [1.5] * 12,
    "upper_colour": [8, 3, 5, 2, 3, 1.5, 1, 1, 1.5, 1.5, 2.5, 2.5],
}
_TOWNSFOLK = {
    "upper": [4, 5, 3, 2, 4, 4, 3],
    "lower": [4, 3, 2, 5],
    "shoes": [4, 2.5, 2.5, 4],
    "bag": [3, 2, 5, 4],
    "upper_colour": [3, 4, 2, 3, 3, 3, 3, 2.5, 3, 3, 2, 3],
}

CHARACTERS = {
    "rstp": Character(
        (Collection("{pid:04d}_c{camera}_{number:04d}.jpg", CAMERAS),),
        2,
        "street",
        path_key="img_path",
    ),
    "cuhk": Character(
        _CUHK, 2, "free", tokens=True, first_id=1, wardrobe=_SUMMER, facts={"most": 7}
    ),
    "icfg": Character(
        tuple(
            Collection(
                "{split}/{pid:04d}/{pid:04d}_{number:03d}_{camera:02d}_0_{number}_ex.jpg",
                _ICFG,
                (80, 192),
                more,
                7,
            )
            for more in (0, 2, -3, 4, -3)
        ),
        1,
        "fine",
        tokens=True,
        splits=("train", "test"),
        wardrobe=_WINTER,
        facts={"most": 9, "eager": 0.35},
    ),
    "ufine": Character(
        tuple(
            Collection("{pid:05d}/{pid:05d}_{number:02d}.jpg", _UFINE, (80, 240), more, 1)
            for more in (0, 1, -1)
        ),
        2,
        "long",
        splits=("train", "test"),
        wardrobe=_TOWNSFOLK,
        facts={"everything": True},
    ),
}
