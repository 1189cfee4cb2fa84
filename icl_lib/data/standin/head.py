"""Neck, head, hair, scarf, glasses and hat, as shapes for the pen."""

from icl_lib.data.standin.body import Body
from icl_lib.data.standin.pen import Pen, Shape, lighter

_EYE = (40, 34, 32)
# Of a head seen from the side: the outline of the hair, and the nose.
_PROFILE = [
    *((-0.05, 0.93), (-0.042, 0.972), (0, 0.992), (0.035, 0.975)),
    *((0.03, 0.955), (-0.005, 0.95), (-0.014, 0.915), (-0.04, 0.895)),
]
_NOSE = [(0.042, 0.925), (0.056, 0.912), (0.042, 0.906)]
_PEAK = [(0.02, 0.966), (0.098, 0.952), (0.094, 0.943), (0.02, 0.95)]  # of a cap


def head(body: Body) -> list[Shape]:
    """The head: neck, hair behind it, face, scarf, hair before it, glasses, hat."""
    x = 0.012 if body.side else 0  # seen from the side, the head leans forward
    skin, scarf = body.colours["skin"], _scarf(body)
    throat = body.dark("skin", 0.88)
    neck = (Pen.limb, (0, 0.84), (x * 0.6, 0.88), 0.026 * body.width, 0.026, throat)
    face = (Pen.oval, x, 0.925, 0.047 if body.side else 0.043, 0.061, skin)
    behind = _hair_behind(body).get(body.person["hair_length"], [])
    hair = _back(body) if body.back else _profile(body) if body.side else _front(body)
    above = (Pen.shapes, hair + _glasses(body) + _hat(body), (x, 0.0))
    if body.back:
        return [neck, *scarf, *behind, face, above]
    return [neck, *behind, face, *scarf, above]


def _scarf(body: Body) -> list[Shape]:
    if body.person["scarf"] == "none":
        return []
    x = body.middle * 0.6
    wound = (Pen.box, -0.052, 0.83, 0.052, 0.872, body.colours["scarf"], 0.018)
    end = [(x + 0.01, 0.85), (x + 0.045, 0.85), (x + 0.04, 0.70), (x + 0.012, 0.70)]
    return [wound] if body.back else [wound, (Pen.polygon, end, body.dark("scarf", 0.88))]


def _hair_behind(body: Body) -> dict[str, list[Shape]]:
    """Hair length -> shapes behind the head."""
    colour = body.colours["hair"]
    left, right = (-0.062, 0.005) if body.side else (-0.06, 0.06)
    long = (-0.058, 0.74, 0.058) if body.back else (left, 0.745, right)
    medium = (-0.058, 0.835, 0.008) if body.side else (-0.06, 0.835, 0.06)
    tail = ((-0.062, 0.93), (-0.082, 0.80)) if body.side else ((0.0, 0.93), (0.0, 0.80))
    seen = body.side or body.back
    return {
        "long": [(Pen.box, *long, 0.95, colour, 0.03)],
        "shoulder-length": [(Pen.box, *medium, 0.96, colour, 0.03)],
        "tied": [(Pen.limb, *tail, 0.022, 0.012, colour)] if seen else [],
    }


def _back(body: Body) -> list[Shape]:
    """The hair on the back of the head."""
    crown = (Pen.oval, 0, 0.928, 0.049, 0.064, body.colours["hair"])
    tail = (Pen.limb, (0, 0.935), (0, 0.815), 0.02, 0.012, body.dark("hair", 0.8))
    return [crown, tail] if body.person["hair_length"] == "tied" else [crown]


def _profile(body: Body) -> list[Shape]:
    """Hair, eye and nose from the side."""
    return [
        (Pen.polygon, _PROFILE, body.colours["hair"]),
        (Pen.oval, 0.022, 0.928, 0.005, 0.006, _EYE),
        (Pen.polygon, _NOSE, body.colours["skin"]),
    ]


def _front(body: Body) -> list[Shape]:
    """Hair, eyes and mouth from the front."""
    hair = body.colours["hair"]
    locks = [(Pen.limb, (s * 0.043, 0.95), (s * 0.048, 0.87), 0.012, 0.013, hair) for s in (-1, 1)]
    knot = [(Pen.oval, 0, 0.992, 0.02, 0.016, hair)]
    return [
        (Pen.dome, 0, 0.994, 0.90, 0.047, hair),
        *{"long": locks, "shoulder-length": locks, "tied": knot}.get(
            body.person["hair_length"], []
        ),
        *((Pen.oval, s * 0.017, 0.925, 0.006, 0.006, _EYE) for s in (-1, 1)),
        (Pen.line, [(-0.012, 0.889), (0.012, 0.889)], body.dark("skin", 0.6), 0.006),
    ]


def _glasses(body: Body) -> list[Shape]:
    kind = body.person["glasses"]
    if kind == "none" or body.back:
        return []
    rim = (16, 16, 18) if kind == "sunglasses" else (64, 52, 44)
    shapes = []
    for x in [0.023] if body.side else [-0.02, 0.02]:
        shapes.append((Pen.oval, x, 0.926, 0.017, 0.014, rim))
        if kind == "glasses":
            shapes.append((Pen.oval, x, 0.926, 0.012, 0.009, (206, 214, 218)))
    temple = [(-0.035 if body.side else -0.04, 0.93), (0.035, 0.93)]
    return [*shapes, (Pen.line, temple, rim, 0.006)]


def _hat(body: Body) -> list[Shape]:
    kind = body.person["hat"]
    if kind == "none":
        return []
    colour = body.colours["hat"]
    peak = (Pen.oval, 0, 0.958, 0.046, 0.013, body.dark("hat", 0.75))
    if body.side:
        peak = (Pen.polygon, _PEAK, body.dark("hat", 0.8))
    crown = (Pen.dome, 0, 1.012, 0.91, 0.052, colour)
    kinds = {
        "cap": [crown] if body.back else [crown, peak],
        "woolly hat": [
            (Pen.oval, 0, 0.968, 0.055, 0.05, colour),
            (Pen.box, -0.056, 0.945, 0.056, 0.968, body.dark("hat", 0.8), 0.01),
            (Pen.oval, 0, 1.018, 0.018, 0.016, lighter(colour, 40)),
        ],
        "sun hat": [
            (Pen.oval, 0, 0.972, 0.105, 0.02, body.dark("hat", 0.9)),
            (Pen.oval, 0, 0.99, 0.052, 0.034, colour),
            (Pen.line, [(-0.05, 0.978), (0.05, 0.978)], body.dark("hat", 0.55), 0.012),
        ],
    }
    return kinds[kind]
