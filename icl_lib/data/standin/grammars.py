"""The grammars of captions: those of `street`, and CUHK-PEDES', ICFG-PEDES' and UFine6926's own.

They share most words, as any two English texts do, and no sentence pattern. A grammar is a function
of the facts, a random number generator and the view. The order in which it draws is part of the
stand-ins: another order gives other captions.
"""

import random
from functools import partial

from icl_lib.data.standin.attributes import ABSENT
from icl_lib.data.standin.phrases import GROUPS, SEX_WORDS, groups_of, listed, noun_phrase
from icl_lib.data.standin.street import generic, street

LEAST_WORDS = 80  # a caption of the long grammar has more
_FROM = {"front": "from the front", "side": "from the side", "back": "from behind"}

_FREE_WHO = {
    "man": ["man", "young man", "gentleman", "pedestrian", "boy"],
    "woman": ["woman", "young woman", "lady", "girl", "female pedestrian"],
}
_FREE_NEXT = ["with {thing}", "along with {thing}", "and {thing}", "together with {thing}"]
_FREE_WORN = ["{he} has {thing} on", "there is also {thing}", "also wearing {thing}"]
_FREE = {
    "hair": ["{he} has {thing}", "{his} hair: {adjectives}", "{thing}"],
    "hat": _FREE_WORN,
    "glasses": _FREE_WORN,
    "scarf": _FREE_WORN,
    "belt": _FREE_WORN,
    "bag": ["carrying {thing}", "{he} carries {thing}", "{he} has {thing} along"],
    "held": ["{he} is holding {thing}", "with {thing} in hand"],
}
_FINE_WHO = {
    "man": ["man", "adult man", "man in middle age", "young man"],
    "woman": ["woman", "adult woman", "woman in middle age", "young woman"],
}
_FINE = {
    "upper": ["is clad in {thing}", "comes in {thing}"],
    "lower": [" over {thing}", ", matched with {thing}", " above {thing}"],
    "bag": ["{He}'s carrying {thing} with {him}.", "{Thing} hangs from {his} body."],
}
_LONG = {
    "hair": ["{His} head shows {thing}.", "As for the head, {he} has {thing}."],
    "upper": [
        "The upper body is covered by {thing}.",
        "On the upper part of the body {he} wears {thing}.",
    ],
    "lower": [
        "The lower body is dressed in {thing}{reach}.",
        "Underneath, {he} has put on {thing}{reach}.",
    ],
    "shoes": ["On {his} feet there are {thing}.", "{His} footwear consists of {thing}."],
}
_LONG_THINGS = {
    "hat": "{Thing} sits on top of {his} head.",
    "glasses": "A pair of {thing} rests on {his} nose.",
    "scarf": "{Thing} is wound around {his} neck.",
    "belt": "{Thing} is fastened around the waist.",
    "bag": "{He} takes {thing} along, which belongs to the look.",
    "held": "One of {his} hands holds on to {thing}.",
}
_LONG_ABSENT = {
    "hat": "a hat",
    "glasses": "glasses",
    "scarf": "a scarf",
    "belt": "a belt",
    "bag": "a bag",
}
_REACH = {
    "long": ", reaching down to the ankles",
    "knee-length": ", ending at the knees",
    "short": ", ending above the knees",
}
_CLOSING = [
    "The whole figure of the {who} fills most of the picture from top to bottom.",
    "Whoever looks for this {who} should pay attention to the colours of the clothes and to what is"
    " carried.",
    "The description holds for this very picture and for what the camera could see of the person at"
    " that moment.",
    "Nothing else about the {who} can be told with certainty from this one picture alone.",
]


def free(facts: dict, rng: random.Random, view: str | None = None) -> str:
    """Loose clauses in the present tense, as many hands write them."""
    given = _given_groups(facts)
    words = SEX_WORDS[facts["sex"]]
    who = rng.choice(_FREE_WHO[facts["sex"]])
    this = f"this person is a {who}, {words['he']}"
    start = rng.choice([f"the {who}", f"a {who}", this, f"pictured is a {who} who"])
    clauses = []
    for group in [g for g in ("upper", "lower", "shoes") if g in given]:
        if clauses:
            clauses.append(_one_of(_FREE_NEXT, group, facts, rng))
        else:
            verb = rng.choice(["is wearing", "wears", "has on"])
            clauses.append(f"{start} {verb} {noun_phrase(group, facts, rng)}")
    text = (", " if rng.random() < 0.5 else " ").join(clauses) or f"{start} is seen here"
    rest = [_one_of(forms, group, facts, rng) for group, forms in _FREE.items() if group in given]
    if "action" in given or (view and rng.random() < 0.25):
        way = {"front": "towards the camera", "back": "away from the camera"}
        action = facts.get("action", "in view")
        seen = f", seen {_FROM[view]}" if view else ""
        walking = f" {way.get(view, 'past the camera')}"
        rest.append(f"{words['he']} is {action}" + (walking if action == "walking" else seen))
    if "background" in given:
        rest.append(f"{noun_phrase('background', facts, rng)} in the back")
    if "bystanders" in given:
        rest.append("others are around")
    rng.shuffle(rest)
    whole = rng.choice([". ", ", ", "; "]).join([text, *rest]) + rng.choice([".", ".", " ."])
    return whole[0].upper() + whole[1:] if rng.random() < 0.7 else whole


def fine(facts: dict, rng: random.Random, view: str | None = None) -> str:
    """Careful full sentences in a fixed order from top to toe, as one annotator writes them."""
    given = _given_groups(facts)
    words = SEX_WORDS[facts["sex"]]
    say = partial(noun_phrase, facts=facts, rng=rng)
    who = rng.choice(_FINE_WHO[facts["sex"]])
    text = f"The {who}" + (f" with {say('hair')} " if "hair" in given else " ")
    text += _one_of(_FINE["upper"], "upper", facts, rng) if "upper" in given else "is on the way"
    if "lower" in given:
        text += _one_of(_FINE["lower"], "lower", facts, rng)
    out = [f"{text}."]
    if small := [say(g) for g in ("shoes", "belt", "scarf") if g in given]:
        out.append(f"{words['He']}'s got {listed(small)} as well.")
    if head := [say(g) for g in ("hat", "glasses") if g in given]:
        out.append(f"{listed(head).capitalize()} can be made out on {words['his']} head.")
    if "bag" in given:
        out.append(_one_of(_FINE["bag"], "bag", facts, rng))
    if "held" in given:
        out.append(f"{words['His']} hand grips {say('held')}.")
    if "action" in given:
        near = f" near {say('background')}" if "background" in given else ""
        out.append(f"{words['He']}'s {facts['action']}{near}.")
    elif "background" in given:
        out.append(f"Behind {words['him']} lies {say('background')}.")
    if "bystanders" in given:
        own = "himself" if facts["sex"] == "man" else "herself"
        out.append(f"{words['He']}'s not by {own}.")
    return " ".join(out)


def long(facts: dict, rng: random.Random, view: str | None = None) -> str:
    """Everything that is visible and what is absent, in sentences of over 80 words in all."""
    given = _given_groups(facts)
    who = facts["sex"]
    words = SEX_WORDS[who]
    # Sleeves and the length of trousers have clauses of their own.
    phrased = {n: v for n, v in facts.items() if n not in ("sleeves", "lower_length")}
    spot = noun_phrase("background", phrased, rng) if "background" in given else ""
    out = [_long_opening(facts, spot, view, rng)]
    body = []
    for group in [g for g in _LONG if g in given]:
        if group == "upper":
            garment = noun_phrase(group, phrased, rng) + _fabric(facts)
            body.append(rng.choice(_LONG[group]).format(thing=garment, **words))
        else:
            reach = _REACH.get(facts.get("lower_length"), "")
            body.append(_one_of(_LONG[group], group, phrased, rng, reach=reach))
    things = {g: noun_phrase(g, phrased, rng) for g in _LONG_THINGS if g in given}
    for group, thing in things.items():
        form = rng.choice([_LONG_THINGS[group]])
        body.append(form.format(thing=thing, Thing=thing.capitalize(), **words))
    lacking = [noun for group, noun in _LONG_ABSENT.items() if facts.get(group) == "none"]
    rng.shuffle(lacking)
    for first, *second in (lacking[i : i + 2] for i in range(0, len(lacking), 2)):
        pair = f"{words['He']} wears or carries neither {first} nor {''.join(second)}."
        body.append(pair if second else f"There is no sign of {first}.")
    if facts.get("held") == "nothing":
        body.append(f"{words['His']} hands are empty.")
    tail = body[4:]
    rng.shuffle(tail)
    out += body[:4] + tail
    if "bystanders" in facts:
        others = f"Further people appear in the scene behind {words['him']}."
        out.append(
            others if "bystanders" in given else f"Nobody else appears beside {words['him']}."
        )
    worn = listed([noun_phrase(g, phrased, rng) for g in ("upper", "lower", "shoes") if g in given])
    summary = f"Taken together, the clothes of this {who} are {worn}."
    closing = [summary if worn else f"This {who} is the main figure of the picture.", *_CLOSING]
    while len(" ".join(out).split()) <= LEAST_WORDS and closing:
        out.append(closing.pop(0).format(who=who))
    return " ".join(out)


def _long_opening(facts: dict, spot: str, view: str | None, rng: random.Random) -> str:
    who = facts["sex"]
    act = facts.get("action")
    seen = f", seen {_FROM[view]}" if view else ""
    comma = "," if view else ""
    walking = f" who is {act}" if act else ""
    there = f"In this picture{seen}{comma} there is a {who}{walking}"
    image = f"The image presents a {who}{seen}" + (f", {act}" if act else "")
    there += f"; {spot} forms the background." if spot else "."
    image += f", while {spot} makes up the scene behind." if spot else "."
    return rng.choice([there, image])


def _fabric(facts: dict) -> str:
    plain = ", without any pattern on the fabric" if facts.get("pattern") == "plain" else ""
    sleeves = facts.get("sleeves")
    return plain + (f", and its sleeves are {sleeves}" if sleeves in ("short", "long") else "")


def _given_groups(facts: dict) -> set[str]:
    """The groups about which the facts say that something is there."""
    return {g for g in groups_of(facts) if facts.get(GROUPS[g][0]) not in ABSENT}


def _one_of(forms: list[str], group: str, facts: dict, rng: random.Random, **words: str) -> str:
    """One of the forms; the synonyms of its noun phrase are drawn anew for each of them."""
    words |= SEX_WORDS[facts["sex"]]
    things = [noun_phrase(group, facts, rng) for _ in forms]
    sentences = [
        form.format(thing=t, Thing=t.capitalize(), adjectives=t.removesuffix(" hair"), **words)
        for form, t in zip(forms, things, strict=True)
    ]
    return rng.choice(sentences)


GRAMMARS = {"street": street, "generic": generic, "free": free, "fine": fine, "long": long}
