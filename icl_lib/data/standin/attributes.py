"""What the drawn people look like: the attributes, their values, and how identities are drawn.

An identity is a plain dict `attribute -> value`. Identities come in families: a family shares a prototype, and each
member redraws a few of its attributes, so that every person has near-twins (the hard negatives of re-identification).
"""

import random
from collections.abc import Mapping
from types import MappingProxyType

COLOURS = {  # name -> sRGB, 0-255; every garment gets its own small shift around it
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

_CLOTH = [
    "black",
    "white",
    "grey",
    "red",
    "blue",
    "green",
    "yellow",
    "orange",
    "purple",
    "pink",
    "brown",
    "beige",
]
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
    "sleeves": (
        ["short", "long", "none"],
        [1, 1, 0],
    ),  # settled by `settle` for most kinds of garment
    "pattern": (["plain", "striped", "checked", "dotted", "printed"], [6, 3, 2, 1.5, 2]),
    "lower": (["trousers", "jeans", "shorts", "skirt"], [4, 4, 3, 3]),
    "lower_colour": (_CLOTH, [6, 2, 4, 1, 5, 1.5, 0.7, 0.7, 1, 1, 2.5, 2.5]),
    "lower_length": (
        ["long", "knee-length", "short"],
        [1, 1, 1],
    ),  # settled by `settle` for trousers and jeans
    "shoes": (["sneakers", "boots", "sandals", "leather shoes"], [5, 2, 2, 2]),
    "shoes_colour": (_CLOTH, [5, 5, 3, 2, 2, 1, 1, 1, 0.6, 1, 3, 1]),
    "bag": (["none", "backpack", "handbag", "shoulder bag"], [3, 4, 3, 3]),
    "bag_colour": (_CLOTH, _CLOTH_WEIGHT),
    "hat": (["none", "cap", "woolly hat", "sun hat"], [6, 2, 2, 1]),
    "hat_colour": (_CLOTH, _CLOTH_WEIGHT),
    "glasses": (["none", "glasses", "sunglasses"], [5, 2, 2]),
    "scarf": (["none"] + _CLOTH, [24] + _CLOTH_WEIGHT),
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
PICTURE_ATTRIBUTES = ("action", "background", "bystanders")
IDENTITY_ATTRIBUTES = tuple(name for name in VALUES if name not in PICTURE_ATTRIBUTES)
UNSPOKEN = ("skin", "build", "height")  # vary, and are never described


def draw_value(name: str, rng: random.Random, wardrobe: Mapping = MappingProxyType({})):
    """One value of an attribute, drawn by its weight: the `wardrobe`'s own where it has one."""
    values, weights = VALUES[name]
    return rng.choices(values, wardrobe.get(name, weights))[0]


def settle(person: dict) -> dict:
    """Make the values agree with each other: a vest has no sleeves, jeans are long, no bag has no colour."""
    fixed = {
        "t-shirt": "short",
        "vest": "none",
        "sweater": "long",
        "hoodie": "long",
        "jacket": "long",
        "coat": "long",
    }
    person["sleeves"] = fixed.get(
        person["upper"], "short" if person["sleeves"] == "none" else person["sleeves"]
    )
    if person["sex"] == "man" and person["lower"] == "skirt":
        person["lower"] = "shorts"
    if person["lower"] in ("trousers", "jeans"):
        person["lower_length"] = "long"
    elif person["lower"] == "shorts" and person["lower_length"] == "long":
        person["lower_length"] = "knee-length"
    if person["lower"] == "jeans" and person["lower_colour"] not in (
        "blue",
        "black",
        "grey",
        "white",
    ):
        person["lower_colour"] = "blue"
    if person["upper"] in ("jacket", "coat", "vest") and person["pattern"] in ("printed", "dotted"):
        person["pattern"] = "plain"
    if person["upper"] == "coat":
        person["belt"] = "none"
    for thing in ("bag", "hat"):
        if person[thing] == "none":
            person[thing + "_colour"] = "none"
        elif person[thing + "_colour"] == "none":
            person[thing + "_colour"] = "black"
    return person


def draw_identities(
    count: int,
    seed: int | str,
    family: int = 8,
    redrawn: int = 5,
    wardrobe: Mapping = MappingProxyType({}),
) -> list[dict]:
    """`count` identities in families of `family`, each member redrawing `redrawn` attributes of its prototype."""
    rng = random.Random(f"identities-{seed}")
    people = []
    while len(people) < count:
        prototype = {name: draw_value(name, rng, wardrobe) for name in IDENTITY_ATTRIBUTES}
        for _ in range(min(family, count - len(people))):
            person = dict(prototype)
            for name in rng.sample(IDENTITY_ATTRIBUTES, redrawn):
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
    """The attributes that a picture shows, given the view ("front", "side", "back") and what is cut off or covered.

    From behind, glasses, prints and what the hands hold before the body are hidden; without the feet, so are the shoes.
    """
    seen = set(VALUES)
    if view == "back":
        seen -= {"glasses", "held"}
        if truth["held"] == "umbrella":
            seen.add("held")
        if truth["pattern"] == "printed":
            seen.discard("pattern")
    if truth["upper"] == "coat":
        seen.discard("belt")
    if feet_hidden:
        seen -= {"shoes", "shoes_colour"}
    if left_hidden and truth["bag"] in ("handbag", "shoulder bag"):
        seen -= {"bag", "bag_colour"}
    if truth["hat"] == "woolly hat" and truth["hair_length"] == "short" and view == "front":
        seen -= {"hair_length", "hair_colour"}
    return seen
