"""What is said of a drawn person: captions in two grammars, answers to the 15 questions, and plain canonical sentences.

A caption is drawn together with its `facts` (attribute -> value said), so that studies know exactly what was claimed.
Grammar "street" writes RSTPReid's stand-in, those of `grammars` the other three; grammar "generic" teaches the small
models: they share most words, as any two English texts do, and no sentence pattern.
"""

import random

from icl_lib.data.standin.grammars import GRAMMARS, _generic, _loose, _street
from icl_lib.data.standin.phrases import GROUPS, _groups_of, _join, noun_phrase


def caption(
    facts: dict, rng: random.Random, grammar: str = "street", view: str | None = None
) -> str:
    """The facts as one caption in free, varied English; every fact is said, in one of many sentence patterns.

    grammar: street, generic, or one of `grammars`; these may also say from which side (`view`) the person is seen.
    """
    if grammar in GRAMMARS:
        apart = (
            ("sleeves", "lower_length") if grammar == "long" else ()
        )  # that grammar has clauses of its own for them
        phrased = {name: value for name, value in facts.items() if name not in apart}
        return GRAMMARS[grammar](rng, facts, lambda group: noun_phrase(group, phrased, rng), view)
    street = grammar == "street"
    said = {g: noun_phrase(g, facts, rng, street) for g in _groups_of(facts)}
    man = facts["sex"] == "man"
    he, him, his = ("he", "him", "his") if man else ("she", "her", "her")
    who = rng.choice(["man", "man", "guy", "male"] if man else ["woman", "woman", "lady", "female"])
    worn = [g for g in ("upper", "lower", "shoes", "scarf", "belt", "hat", "glasses") if g in said]
    if street and rng.random() < 0.3:
        rng.shuffle(worn)
    in_list = [g for g in worn if g in ("upper", "lower", "shoes") or rng.random() < 0.5]
    later = [g for g in worn if g not in in_list] + [g for g in ("bag", "held") if g in said]
    rng.shuffle(later)
    outfit, hair = _join([said[g] for g in in_list]) if in_list else "", said.get("hair", "")
    act, place = facts.get("action"), facts.get("background")
    if not street and rng.random() < 0.5:
        return _loose(rng, who, he, his, facts)
    return (_street if street else _generic)(
        rng, who, he, him, his, outfit, hair, said, later, act, place, facts
    )


# canonical language: what the small model answers, merges, splits and rewrites ------------------------------------


def answers(truth: dict, seen: set[str]) -> list[str]:
    """The 15 answers of Eq. 4 in the order of the prompt; "not visible" for what the picture does not show."""

    def thing(group, none):
        names = GROUPS[group]
        if not any(n in seen for n in names):
            return "not visible"
        if truth[names[0]] in ("none", "nothing"):
            return none
        return noun_phrase(
            group,
            {n: truth[n] for n in names if n in seen and n != "pattern" and truth[n] != "none"},
        )

    return [
        "a " + truth["sex"],
        thing("hair", ""),
        thing("upper", ""),
        thing("lower", ""),
        truth["pattern"] if "pattern" in seen else "not visible",
        thing("shoes", ""),
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
    """One group's facts as one self-contained sentence: canonical without rng, else one of its rewritings."""
    thing = noun_phrase(group, facts, rng)
    man = facts["sex"] == "man"
    who = "the " + (
        rng.choice(["man", "guy", "male"] if man else ["woman", "lady", "female"])
        if rng
        else facts["sex"]
    )
    his = "his" if man else "her"
    if group == "hair":
        forms = [
            f"{who} has {thing}.",
            f"{his} hair is {thing[:-5]}.",
            f"{thing} is what {who} has.",
            f"{who} is seen with {thing}.",
        ]
    elif group == "bag":
        forms = [
            f"{who} carries {thing}.",
            f"{who} has {thing}.",
            f"{thing} is carried by {who}.",
            f"{who} is seen with {thing}.",
        ]
    elif group == "held":
        forms = [
            f"{who} holds {thing}.",
            f"in {his} hand {who} has {thing}.",
            f"{thing} is in {his} hand.",
            f"{who} is holding {thing}.",
        ]
    elif group == "action":
        forms = [
            f"{who} is {thing}.",
            f"we see {who} {thing}.",
            f"{thing} is what {who} is doing.",
            f"{who} can be seen {thing}.",
        ]
    elif group == "background":
        forms = [
            f"the background is {thing}.",
            f"{thing} is behind {who}.",
            f"{who} is seen near {thing}.",
            f"there is {thing} in the background.",
        ]
    elif group == "bystanders":
        forms = [
            "there are other people.",
            f"other people are near {who}.",
            "other people can be seen.",
            f"{who} is not alone.",
        ]
    else:
        forms = [
            f"{who} wears {thing}.",
            f"{who} is dressed in {thing}.",
            f"{who} has {thing} on.",
            f"{thing} is worn by {who}.",
        ]
    text = rng.choice(forms) if rng else forms[0]
    return text[0].upper() + text[1:]


def sentences(facts: dict) -> list[str]:
    """The facts split into canonical single sentences that do not interfere (what T_dec is answered with)."""
    return [sentence(g, facts) for g in _groups_of(facts)] or [f"This is a {facts['sex']}."]


def merged(facts: dict) -> str:
    """The facts as one fluent, concise canonical text (what T_aggr is answered with)."""
    groups = _groups_of(facts)
    say = lambda g: noun_phrase(g, facts)
    text = f"A {facts['sex']}" + (f" with {say('hair')}" if "hair" in groups else "")
    worn = [
        say(g)
        for g in ("upper", "lower", "shoes", "scarf", "belt", "hat", "glasses")
        if g in groups
    ]
    if worn:
        text += f" wears {_join(worn)}"
    carried = [
        f"{verb} {say(g)}" for g, verb in (("bag", "carries"), ("held", "holds")) if g in groups
    ]
    he = "He" if facts["sex"] == "man" else "She"
    parts = [text + "."] + ([f"{he} {' and '.join(carried)}."] if carried else [])
    if "action" in groups:
        parts.append(f"{he} is {say('action')}.")
    if "background" in groups:
        parts.append(f"The background is {say('background')}.")
    if "bystanders" in groups:
        parts.append("There are other people.")
    return " ".join(parts)
