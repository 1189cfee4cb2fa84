"""Arms with sleeves and hands, as shapes for the pen."""

from icl_lib.data.standin.body import Body
from icl_lib.data.standin.pen import Pen, Shape

_LOOSE = ("hoodie", "coat", "jacket", "sweater")  # garments with wide sleeves


def joints(body: Body, which: int) -> tuple:
    """(shoulder, elbow, hand) of the left (-1) or the right arm (1), which holds things."""
    breadth = body.shoulder
    held = body.person["held"]
    swing = body.swing * 0.10 if body.walking else 0.012
    shoulder = (0 if body.side else which * (breadth - 0.012), 0.80)
    if which == 1 and held == "umbrella":
        if body.side:
            return shoulder, (0.0, 0.65), (0.075, 0.78)
        return shoulder, (breadth + 0.05, 0.67), (breadth + 0.035, 0.80)
    if which == 1 and held in ("phone", "book", "cup") and not body.back:
        if body.side:
            return shoulder, (0.0, 0.63), (0.105, 0.66)
        return shoulder, (breadth + 0.03, 0.645), (breadth * 0.55, 0.665)
    if body.side:
        elbow = (which * swing * 0.6 - 0.01, 0.64)
        return shoulder, elbow, (elbow[0] + which * swing + 0.02, 0.50)
    elbow = (which * (breadth + 0.024 * body.width), 0.645)
    return shoulder, elbow, (which * (breadth + 0.012 + swing * 0.25), 0.495)


def arm(body: Body, which: int) -> list[Shape]:
    """The left (-1) or the right arm (1); seen from the side, the left one is the far one."""
    shoulder, elbow, hand = joints(body, which)
    sleeves = body.person["sleeves"]
    far = body.side and which == -1
    r = 0.026 * body.width
    skin = ("skin", 0.86) if far else "skin"
    bare = [
        (Pen.limb, shoulder, elbow, r, r * 0.86, skin),
        (Pen.limb, elbow, hand, r * 0.86, r * 0.62, skin),
    ]
    palm = (Pen.oval, hand[0], hand[1] - 0.012, 0.019 * body.width, 0.023, skin)
    if sleeves == "none":
        return [*bare, palm]
    wide = r * (1.32 if body.person["upper"] in _LOOSE else 1.2)
    halfway = ((shoulder[0] + elbow[0]) / 2, (shoulder[1] + elbow[1]) / 2 - 0.01)
    end = elbow if sleeves == "long" else halfway
    cloth = ("upper", 0.84 if far else 0.93)
    start = (shoulder[0], shoulder[1] + 0.01)
    upper = (Pen.limb, shoulder, end, wide, wide * 0.95, cloth)
    lower = (Pen.limb, elbow, hand, wide * 0.93, wide * 0.78, cloth)
    patterned = [_patterned(body, start, end, wide * 0.9, wide * 0.9)]
    if sleeves == "short":
        return [*bare, upper, *(patterned if body.cloth else []), palm]
    patterned.append(_patterned(body, elbow, hand, wide * 0.9 * 0.9, wide * 0.9 * 0.8))
    return [*bare, upper, lower, *(patterned if body.cloth else []), palm]


def _patterned(body: Body, start: tuple, end: tuple, at_start: float, at_end: float) -> Shape:
    """The pattern of one part of a sleeve; `at_start` and `at_end` are half breadths."""
    corners = [
        (start[0] - at_start, start[1]),
        (start[0] + at_start, start[1]),
        (end[0] + at_end, end[1]),
        (end[0] - at_end, end[1]),
    ]
    return (Pen.textured, corners, body.cloth)
