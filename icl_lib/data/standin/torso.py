"""The garment on the upper body with its details, and the belt, as shapes for the pen."""

from icl_lib.data.standin.body import Body
from icl_lib.data.standin.pen import Pen, Shape

_HEMS = {"coat": 0.335, "hoodie": 0.49, "jacket": 0.49, "sweater": 0.49}  # heights; others: 0.52


def torso(body: Body) -> list[Shape]:
    """The garment; a picture printed on it lies above its details, but below a hoodie's pocket."""
    kind = body.person["upper"]
    chest = body.shoulder
    hem = _HEMS.get(kind, 0.52)
    end = max(body.hip * 1.12, body.waist) if kind == "coat" else body.hip * 1.04
    outline = _outline(body, hem, end)
    neck = [(-chest * 0.6, 0.845), (chest * 0.6, 0.845), (chest, 0.80), (-chest, 0.80)]
    shapes = [(Pen.polygon, neck, "skin")] if kind == "vest" else []
    shapes.append((Pen.polygon, outline, "upper"))
    if body.cloth:
        shapes.append((Pen.textured, outline, body.cloth))
    details = (_back if body.back else _front)(body, hem, end).get(kind, [])
    printed = [] if body.back or body.person["pattern"] != "printed" else _print(body)
    shapes += printed + details if kind == "hoodie" else details + printed
    return shapes + (_belt(body, hem, end) if body.person["belt"] != "none" else [])


def _outline(body: Body, hem: float, end: float) -> list[tuple]:
    """The garment's outline; `end` is its half breadth at the height `hem`."""
    vest = body.person["upper"] == "vest"
    shoulder = (
        [(0.2, 0.78), (0.34, 0.85), (0.62, 0.85), (0.74, 0.74)]
        if vest
        else [(0.55, 0.845), (1, 0.80)]
    )
    top = [(body.shoulder * x, y) for x, y in shoulder]
    half = [*top, (body.waist * (1.05 if vest else 1.08), 0.62), (end, hem)]
    return half + [(-x, y) for x, y in reversed(half)]


def _front(body: Body, hem: float, end: float) -> dict[str, list[Shape]]:
    """Kind of garment -> shapes on its front."""
    x = body.middle
    lapel = x + (0.01 if body.side else 0.034)
    hood = (-0.01, 0.852, 0.052, 0.034) if body.side else (0, 0.852, 0.066, 0.034)
    pocket = (-body.shoulder * 0.6, 0.52, body.shoulder * 0.6, 0.60)
    cords = [] if body.side else [[(s * 0.02, 0.83), (s * 0.022, 0.75)] for s in (-1, 1)]
    return {
        "shirt": [
            (Pen.line, [(x, 0.84), (x, hem)], "trim", 0.006),
            *((Pen.oval, x, y, 0.007, 0.007, "buttons") for y in (0.76, 0.69, 0.62, 0.55)),
            (Pen.polygon, [(x - 0.045, 0.86), (x, 0.815), (x + 0.03, 0.86)], "trim"),
        ],
        "jacket": [
            (Pen.polygon, [(x - 0.034, 0.845), (lapel, 0.845), (x, 0.56)], "lining"),
            (Pen.line, [(x, 0.56), (x, hem)], "trim", 0.008),
            (Pen.line, [(-end, hem + 0.012), (end, hem + 0.012)], ("upper", 0.7), 0.02),
        ],
        "coat": [
            (Pen.polygon, [(x - 0.034, 0.845), (lapel, 0.845), (x, 0.72)], "lining"),
            (Pen.line, [(x, 0.72), (x, hem)], "trim", 0.008),
            *((Pen.oval, x - 0.025, y, 0.009, 0.009, "trim") for y in (0.66, 0.58, 0.50, 0.42)),
        ],
        "t-shirt": [(Pen.oval, x * 0.8, 0.85, 0.033, 0.02, "skin")],
        "sweater": [
            (Pen.line, [(-end, hem + 0.01), (end, hem + 0.01)], ("upper", 0.8), 0.024),
            (Pen.line, [(-0.035, 0.846), (0.035, 0.846)], ("upper", 0.72), 0.02),
        ],
        "hoodie": [
            (Pen.oval, *hood, ("upper", 0.74)),
            (Pen.box, *pocket, ("upper", 0.85), 0.02),
            *((Pen.line, cord, (240, 240, 236), 0.007) for cord in cords),
        ],
    }


def _back(body: Body, hem: float, end: float) -> dict[str, list[Shape]]:
    """Kind of garment -> shapes on its back."""
    collar = (Pen.line, [(-0.045, 0.85), (0.045, 0.85)], "trim", 0.022)
    band = [(-end, hem + 0.01), (end, hem + 0.01)]
    return {
        "hoodie": [(Pen.oval, 0, 0.81, 0.062, 0.062, ("upper", 0.8))],
        "sweater": [(Pen.line, band, ("upper", 0.8), 0.024)],
        "jacket": [collar],
        "shirt": [collar],
        "coat": [collar, (Pen.line, [(0, 0.52), (0, hem)], ("upper", 0.7), 0.008)],
    }


def _print(body: Body) -> list[Shape]:
    """A picture printed on the chest."""
    x = body.middle * 0.6
    return [
        (Pen.oval, x, 0.71, 0.035 * (0.6 if body.side else 1), 0.035, "print"),
        (Pen.box, x - 0.02, 0.635, x + 0.02, 0.655, "print"),
    ]


def _belt(body: Body, hem: float, end: float) -> list[Shape]:
    x = body.middle
    belt = (Pen.box, -end * 1.02, hem - 0.012, end * 1.02, hem + 0.018, "belt")
    buckle = (Pen.box, x - 0.014, hem - 0.014, x + 0.014, hem + 0.02, (206, 178, 92))
    return [belt] if body.back else [belt, buckle]
