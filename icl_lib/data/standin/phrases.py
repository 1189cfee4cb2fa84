"""Noun phrases, synonyms and places of the stand-in's captions."""

import random

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
GROUPS = {  # what is said in one breath -> its attributes, the naming one first
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
SCENE = ("action", "background", "bystanders")


def _a(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _words(value: str, rng) -> str:
    return rng.choice(SYNONYMS.get(value, [value])) if rng else value


def noun_phrase(
    group: str, facts: dict, rng: random.Random | None = None, street: bool = False
) -> str:
    """The facts of one group as a noun phrase, e.g. "a red striped t-shirt with short sleeves"; canonical without rng."""
    get = lambda name: facts.get(name)
    say = lambda name: _words(facts[name], rng)
    if group == "hair":
        return " ".join(say(n) for n in ("hair_length", "hair_colour") if get(n)) + " hair"
    if group == "upper":
        kind = say("upper") if get("upper") else "top"
        colour = say("upper_colour") + " " if get("upper_colour") else ""
        pattern = get("pattern")
        pattern = (
            ""
            if pattern in (None, "plain") and not (pattern and rng is None)
            else _words(pattern, rng) + " "
        )
        sleeves = get("sleeves")
        if get("upper") in ("vest",) or sleeves in (None, "none"):
            sleeves = ""
        if street:
            front = f"{sleeves}-sleeved " if sleeves else ""
            return _a(
                f"{front}{pattern}{colour}{kind}"
                if rng and rng.random() < 0.4
                else f"{front}{colour}{pattern}{kind}"
            )
        return _a(f"{colour}{pattern}{kind}") + (f" with {sleeves} sleeves" if sleeves else "")
    if group == "lower":
        kind = say("lower") if get("lower") else "trousers"
        text = " ".join(
            ([facts["lower_length"]] if get("lower_length") else [])
            + ([say("lower_colour")] if get("lower_colour") else [])
            + [kind]
        )
        return (
            _a(text)
            if kind == "skirt"
            else (f"a pair of {text}" if street and rng and rng.random() < 0.25 else text)
        )
    if group == "shoes":
        kind = say("shoes") if get("shoes") else "shoes"
        return f"{say('shoes_colour')} {kind}" if get("shoes_colour") else kind
    if group in ("bag", "hat"):
        kind = say(group) if get(group) else group
        return _a(f"{say(group + '_colour')} {kind}" if get(group + "_colour") else kind)
    if group == "glasses":
        return say("glasses")
    if group == "scarf":
        return _a(f"{say('scarf')} scarf")
    if group == "belt":
        return _a(f"{say('belt')} belt")
    if group == "held":
        return _a(say("held"))
    if group == "background":
        return _a(say("background"))
    return say(group)


def _place(background, action, rng, street):
    spot = _words(background, rng)
    on = {"street": "on", "tiled floor": "on", "park": "in"}.get(background, "in front of")
    if street and action == "walking" and on == "in front of" and rng.random() < 0.6:
        on = "past"
    return f"{on} {_a(spot) if rng.random() < 0.4 else 'the ' + spot}"


def _join(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def _groups_of(facts):
    return [g for g, attributes in GROUPS.items() if any(n in facts for n in attributes)]
