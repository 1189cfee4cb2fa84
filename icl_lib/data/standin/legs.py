"""Legs, trousers, shorts or skirt, and shoes, as shapes for the pen."""

import random

from icl_lib.data.standin.body import Body
from icl_lib.data.standin.pen import Pen, Shape

_SKIRT_HEMS = {"long": 0.06, "knee-length": 0.27, "short": 0.36}  # heights


def legs(body: Body, rng: random.Random) -> list[Shape]:
    """Both legs and what covers them; of a figure seen from the side, the far leg comes first."""
    shapes = []
    for number, (hip, ankle) in enumerate(_stance(body, rng)):
        far = body.side and number == 0
        ahead = 0.03 if body.side else (0.006 if number else -0.006)
        shapes += _leg(body, hip, ankle, far) + _shoe(body, ankle, ahead)
    return shapes + (_skirt(body) if body.person["lower"] == "skirt" else _seat(body))


def _stance(body: Body, rng: random.Random) -> list[tuple]:
    """(hip, ankle) of both legs."""
    swing = body.swing
    if body.side:
        ankles = [(-0.14 * swing, 0.05 + 0.035 * swing), (0.13 * swing, 0.045)]
        return [((0, 0.49), ankle) for ankle in ankles]
    apart = 0.045 * body.width
    heights = [0.045 + (0.05 * swing if body.walking else 0), 0.045]
    if rng.random() < 0.5:
        heights.reverse()
    return [
        ((s * apart, 0.49), (s * apart * 1.1, y)) for s, y in zip((-1, 1), heights, strict=True)
    ]


def _leg(body: Body, hip: tuple, ankle: tuple, far: bool) -> list[Shape]:
    bend = 0.018 * body.swing if body.side else 0
    knee = ((hip[0] + ankle[0]) / 2 + bend, 0.27 + (ankle[1] - 0.045) * 0.6)
    thigh_r, knee_r, ankle_r = (size * body.width for size in (0.043, 0.031, 0.02))
    skin = ("skin", 0.85) if far else "skin"
    bare = [
        (Pen.limb, hip, knee, thigh_r, knee_r, skin),
        (Pen.limb, knee, ankle, knee_r, ankle_r, skin),
    ]
    kind = body.person["lower"]
    if kind == "skirt":
        return bare
    cloth = ("lower", 0.84) if far else "lower"
    loose = 1.16 if kind == "trousers" else 1.04
    above_ankle = (ankle[0], ankle[1] + 0.012)
    below_knee = (knee[0] + (ankle[0] - knee[0]) * 0.12, knee[1] - 0.03)
    over_knee = knee_r * loose * (1.25 if kind == "shorts" else 1.05)
    upper = (Pen.limb, hip, knee, thigh_r * loose * 1.06, over_knee, cloth)
    lower = {
        "long": (Pen.limb, knee, above_ankle, knee_r * loose * 1.05, ankle_r * loose * 1.25, cloth),
        "knee-length": (Pen.limb, knee, below_knee, knee_r * 1.35, knee_r * 1.35, cloth),
    }
    length = body.person["lower_length"]
    covered = [*bare, upper] + ([lower[length]] if length in lower else [])
    return covered + (_seams(body, hip, knee, ankle) if kind == "jeans" else [])


def _seams(body: Body, hip: tuple, knee: tuple, ankle: tuple) -> list[Shape]:
    x, y = ankle
    w = body.width
    seam = [(hip[0] + 0.02 * w, 0.47), (knee[0] + 0.012 * w, knee[1]), (x + 0.006, y + 0.02)]
    hem = [(x + s * 0.02 * w * 1.2, y + 0.016) for s in (-1, 1)]
    return [(Pen.line, seam, "thread", 0.007), (Pen.line, hem, "thread", 0.010)]


def _shoe(body: Body, ankle: tuple, ahead: float) -> list[Shape]:
    """The shoe; `ahead` is how far its tip points away from the ankle."""
    x = ankle[0]
    ankle_r = 0.02 * body.width
    sole = [(x - 0.022, 0.003), (x + ahead + 0.024, 0.003)]
    heel = [(x - 0.022, 0.002), (x + ahead + 0.022, 0.002)]
    shaft = ((x, 0.127), (x, 0.037), ankle_r * 1.5, ankle_r * 1.4)
    straps = [
        [(x - 0.016 + ahead * 0.5, 0.022), (x + 0.02 + ahead, 0.014)],
        [(x - 0.024, 0.003), (x + ahead * 1.4 + 0.012, 0.003)],
    ]
    foot_r = 0.034 if body.side else 0.021
    shoe = (Pen.oval, x + ahead * 0.75, 0.019, 0.043 if body.side else 0.024, 0.021, "shoes")
    kinds = {
        "sandals": [
            (Pen.oval, x + ahead * 0.8, 0.014, foot_r, 0.013, "skin"),
            *((Pen.line, strap, "shoes", 0.010) for strap in straps),
        ],
        "boots": [(Pen.limb, *shaft, "shoes"), shoe],
        "sneakers": [shoe, (Pen.line, sole, "sole", 0.012)],
        "leather shoes": [
            shoe,
            (Pen.oval, x + ahead, 0.021, 0.010, 0.005, "polish"),
            (Pen.line, heel, ("shoes", 0.5), 0.007),
        ],
    }
    return [(Pen.shapes, kinds[body.person["shoes"]], (0.0, ankle[1] - 0.042))]


def _seat(body: Body) -> list[Shape]:
    hip = body.hip
    points = [(-hip, 0.56), (hip, 0.56), (hip * 1.06, 0.47), (0, 0.435), (-hip * 1.06, 0.47)]
    return [(Pen.polygon, points, "lower")]


def _skirt(body: Body) -> list[Shape]:
    hip = body.hip
    length = body.person["lower_length"]
    hem = _SKIRT_HEMS[length]
    flare = (1.5 if length == "long" else 1.75) * max(hip, 0.075 * body.width)
    outline = [(-hip * 0.95, 0.55), (hip * 0.95, 0.55), (flare, hem), (-flare, hem)]
    folds = [[(f * hip, 0.5), (f * flare * 1.1, hem + 0.01)] for f in (-0.4, 0.1, 0.5)]
    cloth = (Pen.polygon, outline, "lower")
    return [cloth, *((Pen.line, fold, ("lower", 0.86), 0.006) for fold in folds)]
