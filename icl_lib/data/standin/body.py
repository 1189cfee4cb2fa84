"""What the parts of one drawn figure share: attributes, view, measures and colours."""

import random

from PIL import Image

from icl_lib.data.standin.attributes import COLOURS, HAIR, SKIN
from icl_lib.data.standin.pen import Colour, lighter, shade

_MEASURES = {"woman": (0.098, 0.064, 0.083), "man": (0.118, 0.082, 0.080)}
_HELD_COLOURS = {
    "umbrella": [(64, 52, 110), (150, 40, 50), (40, 84, 120)],
    "book": [(176, 60, 50), (60, 90, 140), (230, 224, 206)],
}


class Body:
    """One figure that is to be drawn.

    Args:
        person: Attribute -> value, the action included.
        view: "front", "side" or "back".
        swing: How far the legs are apart, 0 to 1.
        width: Breadth of the body relative to the average.

    `shoulder`, `waist` and `hip` are half breadths, `middle` is x of the middle of the chest;
    `cloth` is the pattern of the upper garment, if one is drawn.
    """

    def __init__(self, person: dict, view: str, swing: float, width: float):
        self.person = person
        self.view = view
        self.side = view == "side"
        self.back = view == "back"
        self.walking = person["action"] == "walking"
        self.swing = swing
        self.width = width
        narrow = 0.62 if self.side else 1
        half_breadths = (size * width * narrow for size in _MEASURES[person["sex"]])
        self.shoulder, self.waist, self.hip = half_breadths
        self.middle = self.shoulder * 0.55 if self.side else 0
        self.cloth: Image.Image | None = None


def colours_of(person: dict) -> dict[str, Colour]:
    """The colour of each part; a person's shades of the named colours are always the same."""
    own = random.Random(person.get("shade", 0))
    there = [thing for thing in ("bag", "hat") if person[thing] != "none"]
    names = {part: person[f"{part}_colour"] for part in ("upper", "lower", "shoes", *there)}
    names |= {thing: person[thing] for thing in ("scarf", "belt") if person[thing] != "none"}
    named = {"hair": HAIR[person["hair_colour"]]}
    named |= {part: COLOURS[name] for part, name in names.items()}
    colours = {"skin": SKIN[person["skin"]]}
    for part, colour in named.items():
        colours[part] = tuple(max(0, min(255, c + own.randint(-13, 13))) for c in colour)
    if person["held"] in _HELD_COLOURS:
        colours["held"] = own.choice(_HELD_COLOURS[person["held"]])
    upper = colours["upper"]
    lower = colours["lower"]
    return colours | {
        "trim": shade(upper, 0.55) if sum(upper) > 300 else lighter(upper, 70),
        "buttons": (245, 245, 240) if sum(upper) < 450 else (60, 60, 60),
        "lining": (236, 234, 228) if sum(upper) < 480 else (70, 76, 92),
        "print": (240, 238, 230) if sum(upper) < 450 else (178, 46, 60),
        "thread": shade(lower, 0.7) if sum(lower) > 330 else lighter(lower, 46),
        "sole": (236, 236, 232) if sum(colours["shoes"]) < 600 else (168, 168, 170),
        "polish": lighter(colours["shoes"], 70),
        "pompon": lighter(colours.get("hat", upper), 40),
    }
