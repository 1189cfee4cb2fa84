"""Texts about a drawn person: captions, answers to the 15 questions, canonical sentences.

A caption is made from `facts` (attribute -> value said), so that analyses know what it claims.
"""

import random

from icl_lib.data.standin.attributes import ABSENT
from icl_lib.data.standin.grammars import GRAMMARS
from icl_lib.data.standin.phrases import GROUPS, SEX_WORDS, groups_of, listed, noun_phrase

_WHO = {"man": ["man", "guy", "male"], "woman": ["woman", "lady", "female"]}
# Group -> the sentences that tell it, the canonical one first.
_WORN = [
    "{who} wears {thing}.",
    "{who} is dressed in {thing}.",
    "{who} has {thing} on.",
    "{thing} is worn by {who}.",
]
_SENTENCES = {
    "hair": [
        "{who} has {thing}.",
        "{his} hair is {adjectives}.",
        "{thing} is what {who} has.",
        "{who} is seen with {thing}.",
    ],
    "bag": [
        "{who} carries {thing}.",
        "{who} has {thing}.",
        "{thing} is carried by {who}.",
        "{who} is seen with {thing}.",
    ],
    "held": [
        "{who} holds {thing}.",
        "in {his} hand {who} has {thing}.",
        "{thing} is in {his} hand.",
        "{who} is holding {thing}.",
    ],
    "action": [
        "{who} is {thing}.",
        "we see {who} {thing}.",
        "{thing} is what {who} is doing.",
        "{who} can be seen {thing}.",
    ],
    "background": [
        "the background is {thing}.",
        "{thing} is behind {who}.",
        "{who} is seen near {thing}.",
        "there is {thing} in the background.",
    ],
    "bystanders": [
        "there are other people.",
        "other people are near {who}.",
        "other people can be seen.",
        "{who} is not alone.",
    ],
}


def caption(
    facts: dict, rng: random.Random, grammar: str = "street", view: str | None = None
) -> str:
    """The facts as one caption in free, varied English; every fact is stated.

    Args:
        facts: Attribute -> value said; the sex must be among them.
        rng: Draws words and sentence patterns.
        grammar: A key of `grammars.GRAMMARS`.
        view: The side from which the person is seen, which the grammars "free" and "long" may tell.
    """
    return GRAMMARS[grammar](facts, rng, view)


def answers(truth: dict, seen: set[str]) -> list[str]:
    """The 15 answers of Eq. 4 in the order of the prompt; "not visible" for what is hidden.

    Args:
        truth: Attribute -> value, of the person and of the scene.
        seen: The attributes that the picture shows.
    """

    def thing(group, absent=""):
        names = seen.intersection(GROUPS[group])
        if not names:
            return "not visible"
        if truth[GROUPS[group][0]] in ABSENT:
            return absent
        told = {n: truth[n] for n in names if n != "pattern" and truth[n] != "none"}
        return noun_phrase(group, told)

    return [
        f"a {truth['sex']}",
        thing("hair"),
        thing("upper"),
        thing("lower"),
        truth["pattern"] if "pattern" in seen else "not visible",
        thing("shoes"),
        thing("glasses", "no glasses"),
        thing("scarf", "no scarf"),
        thing("held", "nothing"),
        thing("bag", "no bag"),
        thing("hat", "no hat"),
        thing("belt", "no belt"),
        truth["action"],
        noun_phrase("background", truth),
        "other people" if truth["bystanders"] == "other people" else "nobody else",
    ]


def sentence(group: str, facts: dict, rng: random.Random | None = None) -> str:
    """One group's facts as a sentence: canonical without rng, else one of its rewritings."""
    thing = noun_phrase(group, facts, rng)
    who = rng.choice(_WHO[facts["sex"]]) if rng else facts["sex"]
    forms = _SENTENCES.get(group, _WORN)
    form = rng.choice(forms) if rng else forms[0]
    adjectives = thing.removesuffix(" hair")
    words = SEX_WORDS[facts["sex"]]
    text = form.format(who=f"the {who}", thing=thing, adjectives=adjectives, **words)
    return text[0].upper() + text[1:]


def sentences(facts: dict) -> list[str]:
    """The facts as canonical single sentences (what T_dec is to be answered with)."""
    return [sentence(g, facts) for g in groups_of(facts)] or [f"This is a {facts['sex']}."]


def merged(facts: dict) -> str:
    """The facts as one fluent, concise, canonical text (what T_aggr is to be answered with)."""
    said = {group: noun_phrase(group, facts) for group in groups_of(facts)}
    he = SEX_WORDS[facts["sex"]]["He"]
    worn = ("upper", "lower", "shoes", "scarf", "belt", "hat", "glasses")
    worn = listed([said[group] for group in worn if group in said])
    carried = {"bag": "carries", "held": "holds"}
    carried = [f"{verb} {said[group]}" for group, verb in carried.items() if group in said]
    hair = f" with {said['hair']}" if "hair" in said else ""
    parts = [f"A {facts['sex']}{hair}" + (f" wears {worn}." if worn else ".")]
    if carried:
        parts.append(f"{he} {' and '.join(carried)}.")
    if "action" in said:
        parts.append(f"{he} is {said['action']}.")
    if "background" in said:
        parts.append(f"The background is {said['background']}.")
    if "bystanders" in said:
        parts.append("There are other people.")
    return " ".join(parts)
