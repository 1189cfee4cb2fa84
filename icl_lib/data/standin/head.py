"""Neck, head, hair, scarf, glasses and hat, as shapes for the pen."""

from icl_lib.data.standin.body import Body
from icl_lib.data.standin.pen import Pen, Shape

_LOCKS = [(Pen.limb, (s * 0.043, 0.95), (s * 0.048, 0.87), 0.012, 0.013, "hair") for s in (-1, 1)]
_HAIR_BEHIND = {  # (hair length, view) -> hair behind the face
    ("long", "front"): (Pen.box, -0.06, 0.745, 0.06, 0.95, "hair", 0.03),
    ("long", "side"): (Pen.box, -0.062, 0.745, 0.005, 0.95, "hair", 0.03),
    ("long", "back"): (Pen.box, -0.058, 0.74, 0.058, 0.95, "hair", 0.03),
    ("shoulder-length", "front"): (Pen.box, -0.06, 0.835, 0.06, 0.96, "hair", 0.03),
    ("shoulder-length", "side"): (Pen.box, -0.058, 0.835, 0.008, 0.96, "hair", 0.03),
    ("shoulder-length", "back"): (Pen.box, -0.06, 0.835, 0.06, 0.96, "hair", 0.03),
    ("tied", "side"): (Pen.limb, (-0.062, 0.93), (-0.082, 0.80), 0.022, 0.012, "hair"),
    ("tied", "back"): (Pen.limb, (0.0, 0.93), (0.0, 0.80), 0.022, 0.012, "hair"),
}
_PROFILE = [
    *((-0.05, 0.93), (-0.042, 0.972), (0, 0.992), (0.035, 0.975)),
    *((0.03, 0.955), (-0.005, 0.95), (-0.014, 0.915), (-0.04, 0.895)),
]
_HAIR = {  # view -> hair before the face
    "front": (Pen.dome, 0, 0.994, 0.90, 0.047, "hair"),
    "side": (Pen.polygon, _PROFILE, "hair"),
    "back": (Pen.oval, 0, 0.928, 0.049, 0.064, "hair"),
}
_MORE_HAIR = {
    ("long", "front"): _LOCKS,
    ("shoulder-length", "front"): _LOCKS,
    ("tied", "front"): [(Pen.oval, 0, 0.992, 0.02, 0.016, "hair")],
    ("tied", "back"): [(Pen.limb, (0, 0.935), (0, 0.815), 0.02, 0.012, ("hair", 0.8))],
}
_EYE = (40, 34, 32)
_FACE = {
    "front": [
        *((Pen.oval, s * 0.017, 0.925, 0.006, 0.006, _EYE) for s in (-1, 1)),
        (Pen.line, [(-0.012, 0.889), (0.012, 0.889)], ("skin", 0.6), 0.006),
    ],
    "side": [
        (Pen.oval, 0.022, 0.928, 0.005, 0.006, _EYE),
        (Pen.polygon, [(0.042, 0.925), (0.056, 0.912), (0.042, 0.906)], "skin"),
    ],
    "back": [],
}
_RIMS = {"sunglasses": (16, 16, 18), "glasses": (64, 52, 44)}
_CAP = (Pen.dome, 0, 1.012, 0.91, 0.052, "hat")
_PEAK = [(0.02, 0.966), (0.098, 0.952), (0.094, 0.943), (0.02, 0.95)]
_CAPS = {  # by view
    "front": [_CAP, (Pen.oval, 0, 0.958, 0.046, 0.013, ("hat", 0.75))],
    "side": [_CAP, (Pen.polygon, _PEAK, ("hat", 0.8))],
    "back": [_CAP],
}
_OTHER_HATS = {
    "woolly hat": [
        (Pen.oval, 0, 0.968, 0.055, 0.05, "hat"),
        (Pen.box, -0.056, 0.945, 0.056, 0.968, ("hat", 0.8), 0.01),
        (Pen.oval, 0, 1.018, 0.018, 0.016, "pompon"),
    ],
    "sun hat": [
        (Pen.oval, 0, 0.972, 0.105, 0.02, ("hat", 0.9)),
        (Pen.oval, 0, 0.99, 0.052, 0.034, "hat"),
        (Pen.line, [(-0.05, 0.978), (0.05, 0.978)], ("hat", 0.55), 0.012),
    ],
}
_SCARF = (Pen.box, -0.052, 0.83, 0.052, 0.872, "scarf", 0.018)
_SCARF_END = [(0.01, 0.85), (0.045, 0.85), (0.04, 0.70), (0.012, 0.70)]


def head(body: Body) -> list[Shape]:
    """The head: neck, hair behind it, face, scarf, hair before it, glasses, hat."""
    person = body.person
    view = body.view
    x = 0.012 if body.side else 0  # seen from the side, the head leans forward
    neck = (Pen.limb, (0, 0.84), (x * 0.6, 0.88), 0.026 * body.width, 0.026, ("skin", 0.88))
    face = (Pen.oval, x, 0.925, 0.047 if body.side else 0.043, 0.061, "skin")
    scarf_end = [(Pen.polygon, _SCARF_END, ("scarf", 0.88))]
    scarf = [_SCARF, *([] if body.back else [(Pen.shapes, scarf_end, (body.middle * 0.6, 0.0))])]
    scarf = [] if person["scarf"] == "none" else scarf
    length = (person["hair_length"], view)
    behind = [_HAIR_BEHIND[length]] if length in _HAIR_BEHIND else []
    before = [_HAIR[view], *_MORE_HAIR.get(length, []), *_FACE[view]]
    hat = _CAPS[view] if person["hat"] == "cap" else _OTHER_HATS.get(person["hat"], [])
    before += _glasses(person["glasses"], view) + hat
    inner = [*scarf, *behind, face] if body.back else [*behind, face, *scarf]
    return [neck, *inner, (Pen.shapes, before, (x, 0.0))]


def _glasses(kind: str, view: str) -> list[Shape]:
    if kind == "none" or view == "back":
        return []
    rim = _RIMS[kind]
    lens = [(0.017, 0.014, rim)]
    if kind == "glasses":
        lens.append((0.012, 0.009, (206, 214, 218)))
    eyes, left = ((0.023,), -0.035) if view == "side" else ((-0.02, 0.02), -0.04)
    lenses = [(Pen.oval, x, 0.926, *oval) for x in eyes for oval in lens]
    return [*lenses, (Pen.line, [(left, 0.93), (0.035, 0.93)], rim, 0.006)]
