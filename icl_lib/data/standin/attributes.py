"""What the drawn people look like: the attributes, their values, and how identities are drawn.

An identity is a plain dict `attribute -> value`. Identities come in families: a family shares a
prototype, and each member redraws a few of its attributes, so that every person has near-twins (the
hard negatives of re-identification).
"""

import random
from collections.abc import Mapping
from types import MappingProxyType

COLOURS = {  # name -> sRGB, 0-255; every garment deviates from it a little
    "black": (28, 28, 32),
    "white": (238, 238, 235),
    "grey": (132, 134, 138),
    "red": (196, 36, 42),
    "blue": (38, 78, 178),
    "green": (44, 122, 62),
    "yellow": (228, 196, 52),
    "orange": (228, 122, 34),
    "purple": (112, 58, 148),
    "pink": (232, 142, 172),
    "brown": (112, 72, 42),
    "beige": (212, 192, 158),
}
HAIR = {
    "black": (26, 22, 22),
    "brown": (88, 56, 34),
    "blond": (208, 172, 98),
    "grey": (158, 156, 154),
    "red": (150, 62, 28),
}
SKIN = [(244, 210, 184), (226, 182, 148), (194, 144, 106), (146, 98, 66), (98, 64, 44)]

_CLOTH = list(COLOURS)
_CLOTH_WEIGHT = [5, 4, 4, 3, 4, 3, 2, 2, 2, 2, 2, 2]

# attribute -> (values, weights). "none" always means that the person has no such thing.
VALUES = {
    "sex": (["man", "woman"], [1, 1]),
    "hair_length": (["short", "shoulder-length", "long", "tied"], [4, 2, 3, 2]),
    "hair_colour": (list(HAIR), [4, 4, 2, 1, 1]),
    "upper": (
        ["t-shirt", "shirt", "sweater", "hoodie", "jacket", "coat", "vest"],
        [5, 4, 3, 3, 4, 3, 2],
    ),
    "upper_colour": (_CLOTH, _CLOTH_WEIGHT),
    "sleeves": (["short", "long", "none"], [1, 1, 0]),  # `settle` decides for all but shirts
    "pattern": (["plain", "striped", "checked", "dotted", "printed"], [6, 3, 2, 1.5, 2]),
    "lower": (["trousers", "jeans", "shorts", "skirt"], [4, 4, 3, 3]),
    "lower_colour": (_CLOTH, [6, 2, 4, 1, 5, 1.5, 0.7, 0.7, 1, 1, 2.5, 2.5]),
    "lower_length": (["long", "knee-length", "short"], [1, 1, 1]),  # trousers are always long
    "shoes": (["sneakers", "boots", "sandals", "leather shoes"], [5, 2, 2, 2]),
    "shoes_colour": (_CLOTH, [5, 5, 3, 2, 2, 1, 1, 1, 0.6, 1, 3, 1]),
    "bag": (["none", "backpack", "handbag", "shoulder bag"], [3, 4, 3, 3]),
    "bag_colour": (_CLOTH, _CLOTH_WEIGHT),
    "hat": (["none", "cap", "woolly hat", "sun hat"], [6, 2, 2, 1]),
    "hat_colour": (_CLOTH, _CLOTH_WEIGHT),
    "glasses": (["none", "glasses", "sunglasses"], [5, 2, 2]),
    "scarf": (["none", *_CLOTH], [24, *_CLOTH_WEIGHT]),
    "held": (["nothing", "phone", "book", "bottle", "cup", "umbrella"], [8, 3, 2, 2, 2, 1]),
    "belt": (["none", "black", "brown", "white"], [6, 2, 2, 1]),
    # of one picture, not of the person:
    "action": (["walking", "standing"], [1, 1]),
    "background": (
        ["street", "brick wall", "park", "shop window", "office building", "tiled floor"],
        [2, 1, 2, 1, 1, 1],
    ),
    "bystanders": (["nobody", "other people"], [2, 1]),
}
ABSENT = ("none", "nothing", "nobody")  # the values that say that there is no such thing
PICTURE_ATTRIBUTES = ("action", "background", "bystanders")
IDENTITY_ATTRIBUTES = tuple(name for name in VALUES if name not in PICTURE_ATTRIBUTES)
FAMILY = 8  # people who share a prototype
REDRAWN = 5  # attributes in which a member of a family is drawn anew
_SLEEVES = {"t-shirt": "short", "vest": "none"}
_SLEEVES |= dict.fromkeys(["sweater", "hoodie", "jacket", "coat"], "long")


def draw_value(name: str, rng: random.Random, wardrobe: Mapping = MappingProxyType({})) -> str:
    """A random value of an attribute; `wardrobe` may replace the usual weights of its values."""
    values, weights = VALUES[name]
    return rng.choices(values, wardrobe.get(name, weights))[0]


def settle(person: dict) -> dict:
    """Make the values agree: a vest has no sleeves, jeans are long, a missing bag has no colour."""
    lower = "shorts" if (person["sex"], person["lower"]) == ("man", "skirt") else person["lower"]
    length = person["lower_length"]
    if lower in ("trousers", "jeans"):
        length = "long"
    elif lower == "shorts" and length == "long":
        length = "knee-length"
    person |= {"lower": lower, "lower_length": length}
    if lower == "jeans" and person["lower_colour"] not in ("blue", "black", "grey", "white"):
        person["lower_colour"] = "blue"
    sleeves = "short" if person["sleeves"] == "none" else person["sleeves"]
    person["sleeves"] = _SLEEVES.get(person["upper"], sleeves)
    if person["upper"] in ("jacket", "coat", "vest") and person["pattern"] in ("printed", "dotted"):
        person["pattern"] = "plain"
    if person["upper"] == "coat":
        person["belt"] = "none"
    for thing in ("bag", "hat"):
        colour = "black" if person[f"{thing}_colour"] == "none" else person[f"{thing}_colour"]
        person[f"{thing}_colour"] = "none" if person[thing] == "none" else colour
    return person


def draw_identities(
    count: int, seed: int | str, wardrobe: Mapping = MappingProxyType({})
) -> list[dict]:
    """`count` identities in families of near-twins, in any order.

    Skin, build, height and shade vary as well and are never described. `wardrobe`: attribute ->
    weights of its values, in place of those in `VALUES`.
    """
    rng = random.Random(f"identities-{seed}")
    people = []
    while len(people) < count:
        prototype = {name: draw_value(name, rng, wardrobe) for name in IDENTITY_ATTRIBUTES}
        for _ in range(min(FAMILY, count - len(people))):
            person = dict(prototype)
            for name in rng.sample(IDENTITY_ATTRIBUTES, REDRAWN):
                person[name] = draw_value(name, rng, wardrobe)
            person.update(
                skin=rng.randrange(len(SKIN)),
                build=round(rng.uniform(0.86, 1.2), 3),
                height=round(rng.uniform(0.93, 1.04), 3),
                shade=rng.randrange(1 << 30),
            )
            people.append(settle(person))
    rng.shuffle(people)
    return people


def draw_scene(rng: random.Random) -> dict:
    """Action, background and bystanders of one picture."""
    return {name: draw_value(name, rng) for name in PICTURE_ATTRIBUTES}


def visible(
    truth: dict, view: str, feet_hidden: bool = False, left_hidden: bool = False
) -> set[str]:
    """The attributes that a picture shows.

    Args:
        truth: Attribute -> value, of the person and of the scene.
        view: "front", "side" or "back"; from behind, what is worn or held in front is hidden.
        feet_hidden: Whether the feet are covered or cut off.
        left_hidden: Whether a strip on the left is covered, where bags hang.
    """
    back = view == "back"
    under_hat = truth["hat"] == "woolly hat" and truth["hair_length"] == "short"
    hidden = [
        (back, ["glasses"]),
        (back and truth["held"] != "umbrella", ["held"]),
        (back and truth["pattern"] == "printed", ["pattern"]),
        (truth["upper"] == "coat", ["belt"]),
        (feet_hidden, ["shoes", "shoes_colour"]),
        (left_hidden and truth["bag"] in ("handbag", "shoulder bag"), ["bag", "bag_colour"]),
        (view == "front" and under_hat, ["hair_length", "hair_colour"]),
    ]
    return set(VALUES).difference(*(names for is_hidden, names in hidden if is_hidden))
