"""The words and noun phrases of the stand-in's captions."""

import random

SEX_WORDS = {
    "man": {"he": "he", "him": "him", "his": "his", "He": "He", "His": "His"},
    "woman": {"he": "she", "him": "her", "his": "her", "He": "She", "His": "Her"},
}
SYNONYMS = {
    "t-shirt": ["t-shirt", "t-shirt", "tee"],
    "shirt": ["shirt", "shirt", "button-up shirt"],
    "sweater": ["sweater", "pullover", "jumper"],
    "hoodie": ["hoodie", "hoodie", "hooded sweatshirt"],
    "vest": ["vest", "tank top", "sleeveless top"],
    "coat": ["coat", "long coat"],
    "trousers": ["trousers", "pants"],
    "jeans": ["jeans", "jeans", "denim pants"],
    "sneakers": ["sneakers", "trainers", "sports shoes"],
    "leather shoes": ["leather shoes", "dress shoes"],
    "backpack": ["backpack", "backpack", "rucksack"],
    "handbag": ["handbag", "purse"],
    "shoulder bag": ["shoulder bag", "messenger bag"],
    "woolly hat": ["woolly hat", "beanie", "knit hat"],
    "sun hat": ["sun hat", "wide-brimmed hat"],
    "cap": ["cap", "cap", "baseball cap"],
    "glasses": ["glasses", "eyeglasses"],
    "grey": ["grey", "gray"],
    "checked": ["checked", "plaid", "checkered"],
    "dotted": ["dotted", "polka-dot"],
    "phone": ["phone", "mobile phone", "cell phone"],
    "cup": ["cup", "cup of coffee"],
    "bottle": ["bottle", "water bottle"],
    "tied": ["tied-up", "pulled-back"],
    "brick wall": ["brick wall", "red brick wall"],
    "shop window": ["shop window", "shop front"],
    "park": ["park", "green park"],
}
# Content of one noun phrase -> its attributes, the attribute that gives the noun first.
GROUPS = {
    "hair": ("hair_colour", "hair_length"),
    "upper": ("upper", "upper_colour", "pattern", "sleeves"),
    "lower": ("lower", "lower_colour", "lower_length"),
    "shoes": ("shoes", "shoes_colour"),
    "scarf": ("scarf",),
    "belt": ("belt",),
    "hat": ("hat", "hat_colour"),
    "glasses": ("glasses",),
    "bag": ("bag", "bag_colour"),
    "held": ("held",),
    "action": ("action",),
    "background": ("background",),
    "bystanders": ("bystanders",),
}
SCENE = ("action", "background", "bystanders")  # groups that tell of the picture, not the person
UNNAMED = {  # group -> its noun where the facts do not tell the kind
    "hair": "hair",
    "upper": "top",
    "lower": "trousers",
    "shoes": "shoes",
    "scarf": "scarf",
    "belt": "belt",
    "hat": "hat",
    "bag": "bag",
}


def groups_of(facts: dict) -> list[str]:
    """The groups of which the facts tell anything."""
    return [g for g, attributes in GROUPS.items() if any(n in facts for n in attributes)]


def with_article(noun: str) -> str:
    """The noun with "a" or "an"."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def word(value: str, rng: random.Random | None) -> str:
    """A value in one of its synonyms; without rng, in its canonical word."""
    return rng.choice(SYNONYMS.get(value, [value])) if rng else value


def listed(items: list[str]) -> str:
    """The items as "a, b and c"; empty for none."""
    return ", ".join(items[:-1]) + " and " + items[-1] if len(items) > 1 else "".join(items)


def noun_phrase(
    group: str, facts: dict, rng: random.Random | None = None, street: bool = False
) -> str:
    """The facts of one group as a noun phrase, e.g. "a red striped t-shirt with short sleeves".

    Args:
        group: A key of `GROUPS`.
        facts: Attribute -> value; missing attributes are left out.
        rng: Draws synonyms; None for canonical words.
        street: Use the word order of the grammar "street" ("a short-sleeved red t-shirt").
    """
    if group in ("glasses", "action", "bystanders"):
        return word(facts[group], rng)
    if group in ("held", "background"):
        return with_article(word(facts[group], rng))
    if group in ("scarf", "belt"):
        return with_article(f"{word(facts[group], rng)} {group}")
    if group == "hair":
        told = [word(facts[n], rng) for n in ("hair_length", "hair_colour") if n in facts]
        return " ".join(told) + " hair"
    noun = word(facts[group], rng) if group in facts else UNNAMED[group]
    colour = [word(facts[f"{group}_colour"], rng)] if f"{group}_colour" in facts else []
    if group == "upper":
        return _upper(noun, colour, facts, rng, street)
    length = [facts["lower_length"]] if group == "lower" and "lower_length" in facts else []
    text = " ".join([*length, *colour, noun])
    if group == "lower" and noun != "skirt":
        return f"a pair of {text}" if street and rng and rng.random() < 0.25 else text
    return text if group == "shoes" else with_article(text)


def _upper(noun: str, colour: list[str], facts: dict, rng, street: bool) -> str:
    pattern = []
    if "pattern" in facts and (facts["pattern"] != "plain" or rng is None):
        pattern = [word(facts["pattern"], rng)]
    sleeves = facts.get("sleeves", "none")
    if facts.get("upper") == "vest":
        sleeves = "none"
    if not street:
        text = with_article(" ".join([*colour, *pattern, noun]))
        return text if sleeves == "none" else f"{text} with {sleeves} sleeves"
    adjectives = pattern + colour if rng and rng.random() < 0.4 else colour + pattern
    front = [] if sleeves == "none" else [f"{sleeves}-sleeved"]
    return with_article(" ".join([*front, *adjectives, noun]))


def place(background: str, action: str | None, rng: random.Random, street: bool) -> str:
    """The background as the place where the person is, e.g. "in front of a brick wall"."""
    spot = word(background, rng)
    where = {"street": "on", "tiled floor": "on", "park": "in"}.get(background, "in front of")
    if street and action == "walking" and where == "in front of" and rng.random() < 0.6:
        where = "past"
    return f"{where} {with_article(spot) if rng.random() < 0.4 else 'the ' + spot}"
