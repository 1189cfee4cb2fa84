"""Two grammars: RSTPReid's ("street"), and the one that the small models are taught ("generic").

They share most words, as any two English texts do, and no sentence pattern.
"""

import random

from icl_lib.data.standin.phrases import SEX_WORDS, groups_of, listed, noun_phrase, place

_WHO = {"man": ["man", "man", "guy", "male"], "woman": ["woman", "woman", "lady", "female"]}
# Main sentences, each with and without the hair.
_STREET = [
    ("{S} with {hair} is wearing {outfit}.", "{S} is wearing {outfit}."),
    ("{S} wears {outfit} and has {hair}.", "{S} wears {outfit}."),
    ("{S} is dressed in {outfit}. {He} has {hair}.", "{S} is dressed in {outfit}."),
    ("Wearing {outfit}, the {who} has {hair}.", "Wearing {outfit}, the {who} {idle}"),
    ("{S} in {outfit} with {hair}.", "{S} in {outfit}."),
]
_GENERIC = [
    "The picture shows a {who}{with_hair}, clothed in {outfit}.",
    "In the picture there is a {who}{with_hair}. The clothes are {outfit}.",
    "Photo of a {who}{with_hair}; {outfit} can be seen.",
    "Here we see a {who} who has put on {outfit}.{then_hair}",
    "One person, a {who}{with_hair}, dressed with {outfit}.",
]
# Group -> sentences that add one thing; "" for all other groups.
_STREET_MORE = {
    "bag": [
        "{He} is carrying {thing}.",
        "{He} has {thing}.",
        "{He} carries {thing}.",
        "{He} has {thing} with {him}.",
    ],
    "held": [
        "{He} is holding {thing}.",
        "{He} has {thing} in {his} hand.",
        "{He} holds {thing} in one hand.",
    ],
    "hat": [
        "{He} has {thing} on.",
        "{He} is also wearing {thing}.",
        "On {his} head {he} has {thing}.",
    ],
    "": ["{He} is also wearing {thing}.", "{He} has {thing} on.", "{He} also wears {thing}."],
}
_GENERIC_MORE = {
    "bag": [
        "There is {thing} with this person.",
        "{Thing} is carried along.",
        "One also sees {thing}.",
    ],
    "held": [
        "{His} hand holds {thing}.",
        "One hand keeps {thing}.",
        "{Thing} is held in the hand.",
    ],
    "hat": ["The head is covered by {thing}.", "{His} head wears {thing}."],
    "": ["{Thing} can be seen too.", "The outfit includes {thing}.", "One also sees {thing}."],
}
_LINKS = [
    *(", ", ", ", " and ", " with ", " plus ", "; ", ". Also ", ". {He} has ", ". {He} wears "),
    *(" wearing ", ", wearing ", " who has ", " in ", " carrying ", ", dressed in "),
    *(". {His} things: ", " that has ", ". Note "),
]


def street(facts: dict, rng: random.Random, view: str | None = None) -> str:
    """A main sentence about clothes and hair with short sentences for the rest, or a bare list."""
    said, who, outfit, more = _drawn_words(facts, rng, street=True)
    words = SEX_WORDS[facts["sex"]]
    subject = rng.choice([f"A {who}", f"A {who}", f"The {who}", f"This {who}"])
    hair = said.get("hair", "")
    act = facts.get("action")
    background = facts.get("background")
    scene = f"{act or 'is'} {place(background, act, rng, True) if background else ''}".rstrip()
    form = rng.randrange(6)
    if outfit and form == 5:
        parts = [who, *([hair] if hair else []), outfit, *(said[g] for g in more)]
        if act:
            parts.append(scene)
        elif background:
            parts.append(place(background, act, rng, True))
        return ", ".join(parts + (["people behind"] if "bystanders" in said else []))
    if not outfit:
        text = f"{subject} with {hair}." if hair else f"{subject}."
    else:
        idle = ""
        if form == 3 and not hair:
            idle = rng.choice(["looks ahead.", "is seen here.", "goes along."])
        pattern = _STREET[form][0 if hair else 1]
        text = pattern.format(S=subject, who=who, outfit=outfit, hair=hair, idle=idle, **words)
    extras = [_more(_STREET_MORE, g, said[g], words, rng) for g in more]
    if act or background:
        extras.append(f"{words['He']} is {scene}." if act else f"{words['He']} {scene}.")
    if "bystanders" in said:
        behind = f"Other people are behind {words['him']}."
        extras.append(rng.choice([behind, "There are other people nearby."]))
    return " ".join([text, *extras])


def generic(facts: dict, rng: random.Random, view: str | None = None) -> str:
    """Half of the time sentences about a picture, else noun phrases in any order."""
    said, who, outfit, more = _drawn_words(facts, rng, street=False)
    if rng.random() < 0.5:
        return _loose(facts, who, rng)
    words = SEX_WORDS[facts["sex"]]
    form = rng.randrange(5)
    with_hair = then_hair = ""
    if hair := said.get("hair"):
        adjectives = hair.removesuffix(" hair")
        with_hair = f" whose hair is {adjectives}" if rng.random() < 0.5 else f" having {hair}"
        then_hair = f" The hair is {adjectives}."
    pattern = _GENERIC[form] if outfit else "In the picture there is a {who}{with_hair}."
    text = pattern.format(who=who, outfit=outfit, with_hair=with_hair, then_hair=then_hair)
    extras = [_more(_GENERIC_MORE, g, said[g], words, rng) for g in more]
    if act := facts.get("action"):
        extras.append(rng.choice([f"The {who} is {act}.", f"The person is {act} at this moment."]))
    if background := facts.get("background"):
        taken = f"The photo was taken {place(background, None, rng, False)}."
        extras.append(rng.choice([f"The background is {said['background']}.", taken]))
    if "bystanders" in said:
        people = ["Other people appear in the picture.", "Some other people can be seen."]
        extras.append(rng.choice(people))
    return " ".join([text, *extras])


def _drawn_words(
    facts: dict, rng: random.Random, street: bool
) -> tuple[dict[str, str], str, str, list[str]]:
    """(group -> noun phrase, noun for the person, the main sentence's outfit, other groups)."""
    said = {g: noun_phrase(g, facts, rng, street) for g in groups_of(facts)}
    who = rng.choice(_WHO[facts["sex"]])
    clothes = ("upper", "lower", "shoes")
    worn = [g for g in (*clothes, "scarf", "belt", "hat", "glasses") if g in said]
    if street and rng.random() < 0.3:
        rng.shuffle(worn)
    in_list = [g for g in worn if g in clothes or rng.random() < 0.5]
    more = [g for g in worn if g not in in_list] + [g for g in ("bag", "held") if g in said]
    rng.shuffle(more)
    return said, who, listed([said[g] for g in in_list]), more


def _more(forms: dict[str, list[str]], group: str, thing: str, words: dict, rng) -> str:
    form = rng.choice(forms.get(group, forms[""]))
    return form.format(thing=thing, Thing=thing.capitalize(), **words)


def _loose(facts: dict, who: str, rng: random.Random) -> str:
    """Noun phrases in any order, joined by any link, so that a model learns from words alone."""
    parts = [noun_phrase(g, facts, rng, rng.random() < 0.5) for g in groups_of(facts)]
    rng.shuffle(parts)
    at = 0 if rng.random() < 0.6 else rng.randint(0, len(parts))
    parts.insert(at, rng.choice([f"a {who}", f"the {who}", f"this {who}", who]))
    text = parts[0]
    for part in parts[1:]:
        text += rng.choice(_LINKS).format(**SEX_WORDS[facts["sex"]]) + part
    return text[0].upper() + text[1:] + rng.choice([".", ""])
