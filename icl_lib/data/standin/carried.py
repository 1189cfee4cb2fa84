"""The bag and what the hands hold, as shapes for the pen."""

from icl_lib.data.standin.arms import joints
from icl_lib.data.standin.body import Body
from icl_lib.data.standin.pen import Pen, Shape

_CUP = [(-0.018, -0.01), (0.018, -0.01), (0.024, 0.05), (-0.024, 0.05)]
_HELD = {  # thing -> shapes relative to the hand
    "phone": [
        (Pen.box, -0.012, -0.005, 0.014, 0.045, (20, 20, 24), 0.006),
        (Pen.box, -0.007, 0.002, 0.009, 0.038, (130, 196, 232)),
    ],
    "book": [
        (Pen.box, -0.035, -0.03, 0.035, 0.06, "held", 0.004),
        (Pen.line, [(-0.022, 0.03), (0.022, 0.03)], (245, 240, 225), 0.009),
    ],
    "cup": [
        (Pen.polygon, _CUP, (236, 232, 224)),
        (Pen.box, -0.022, 0.012, 0.022, 0.03, (150, 96, 58)),
    ],
    "bottle": [
        (Pen.box, -0.014, -0.075, 0.014, 0.03, (116, 196, 224), 0.008),
        (Pen.box, -0.008, 0.028, 0.008, 0.048, (40, 92, 168)),
    ],
}


def bag(body: Body) -> tuple[list[Shape], list[Shape], list[Shape]]:
    """The bag in three layers: what lies behind the torso, on it below the arms, above the arms."""
    kind = body.person["bag"]
    if kind == "none":
        return [], [], []
    if kind == "handbag":
        handle = [(-0.035, -0.06), (0, -0.005), (0.035, -0.06)]
        sides = [(-0.045, -0.055), (0.045, -0.055), (0.06, -0.15), (-0.06, -0.15)]
        shapes = [
            (Pen.line, handle, ("bag", 0.75), 0.010),
            (Pen.polygon, sides, "bag"),
            (Pen.box, -0.012, -0.085, 0.012, -0.065, (214, 188, 110)),
        ]
        return [], [], [(Pen.shapes, shapes, joints(body, -1)[2])]
    if kind == "shoulder bag":
        x = 0.02 if body.side else -body.shoulder - 0.005
        strap = [(0.0 if body.side else body.shoulder * 0.55, 0.845), (x, 0.55)]
        shapes = [
            (Pen.line, strap, ("bag", 0.85), 0.014),
            (Pen.box, x - 0.055, 0.42, x + 0.055, 0.53, "bag", 0.015),
            (Pen.line, [(x - 0.05, 0.49), (x + 0.05, 0.49)], ("bag", 0.7), 0.008),
        ]
        return [], shapes, []
    return _backpack(body)


def _backpack(body: Body) -> tuple[list[Shape], list[Shape], list[Shape]]:
    w = body.width
    if body.side:
        shapes = [
            (Pen.box, -0.15 * w, 0.56, -0.03, 0.82, "bag", 0.03),
            (Pen.box, -0.165 * w, 0.58, -0.11 * w, 0.68, ("bag", 0.82), 0.02),
        ]
        strap = [(-0.02, 0.845), (0.028, 0.74), (-0.03, 0.64)]
        return shapes, [], [(Pen.line, strap, "bag", 0.024)]
    if body.back:
        handle = [(-0.03, 0.82), (0, 0.845), (0.03, 0.82)]
        shapes = [
            (Pen.box, -0.085 * w, 0.55, 0.085 * w, 0.82, "bag", 0.03),
            (Pen.box, -0.055 * w, 0.57, 0.055 * w, 0.66, ("bag", 0.8), 0.02),
            (Pen.line, handle, ("bag", 0.7), 0.012),
        ]
        return [], shapes, []
    chest = body.shoulder
    strap = [(chest * 0.6, 0.845), (chest * 0.66, 0.66), (chest * 0.95, 0.58)]
    return [], [(Pen.line, [(s * x, y) for x, y in strap], "bag", 0.03) for s in (-1, 1)], []


def held(body: Body) -> list[Shape]:
    """What the right hand holds; seen from behind, only an umbrella shows."""
    kind = body.person["held"]
    hand = joints(body, 1)[2]
    if kind == "umbrella":
        stick = [(hand[0], hand[1] - 0.03), (hand[0], 1.05)]
        roof = (Pen.dome, hand[0], 1.14, 0.92, 0.20, "held")
        return [(Pen.line, stick, (70, 66, 64), 0.008), roof]
    return [] if body.back else [(Pen.shapes, _HELD.get(kind, []), hand)]
