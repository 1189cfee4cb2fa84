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

    `width` is the body's breadth relative to the average; `shoulder`, `waist` and `hip` are half
    breadths; `colours` has an entry for each part that is there; `cloth` is the pattern of the
    upper garment, if one is drawn.
    """

    def __init__(self, person: dict, view: str, swing: float, width: float):
        self.person = person
        self.side = view == "side"
        self.back = view == "back"
        self.walking = person["action"] == "walking"
        self.swing = swing
        self.width = width
        narrow = 0.62 if self.side else 1
        half_breadths = (size * width * narrow for size in _MEASURES[person["sex"]])
        self.shoulder, self.waist, self.hip = half_breadths
        self.middle = self.shoulder * 0.55 if self.side else 0  # x of the middle of the chest
        self.colours = _colours(person)
        self.cloth: Image.Image | None = None

    def dark(self, part: str, factor: float) -> Colour:
        """The colour of a part, darkened."""
        return shade(self.colours[part], factor)

    def contrast(self, part: str, pale: int, factor: float, amount: int) -> Colour:
        """The part's colour darkened if its channels sum up to more than `pale`, else lightened."""
        colour = self.colours[part]
        return shade(colour, factor) if sum(colour) > pale else lighter(colour, amount)


def _colours(person: dict) -> dict[str, Colour]:
    """Part -> colour; a person's shades of the named colours are the same in every picture."""
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
    return colours
