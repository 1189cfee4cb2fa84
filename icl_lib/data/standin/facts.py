"""Which facts of a picture a caption states, and how two sets of facts are merged."""

import random

from icl_lib.data.standin.attributes import ABSENT, VALUES
from icl_lib.data.standin.phrases import GROUPS, SCENE

_GROUP_CHANCE = {  # group -> chance that a describer mentions it
    "hair": 0.5,
    "upper": 0.97,
    "lower": 0.92,
    "shoes": 0.5,
    "bag": 0.75,
    "hat": 0.75,
    "glasses": 0.45,
    "scarf": 0.55,
    "held": 0.5,
    "belt": 0.25,
    "action": 0.25,
    "background": 0.15,
    "bystanders": 0.08,
}
_ATTRIBUTE_CHANCE = {  # attribute -> chance that it is told of a group that is mentioned
    "upper": 0.93,
    "lower": 1.0,
    "shoes": 0.85,
    "bag": 0.85,
    "hat": 0.8,
    "hair_colour": 0.9,
    "hair_length": 0.85,
    "pattern": 0.7,
    "sleeves": 0.3,
    "lower_length": 0.35,
}


def choose_facts(
    truth: dict,
    seen: set[str],
    rng: random.Random,
    most: int = 6,
    errors: float = 0.0,
    eager: float = 0.0,
    everything: bool = False,
) -> dict:
    """What one describer chooses to say about a picture: attribute -> value.

    Args:
        truth: Attribute -> value, of the person and of the scene.
        seen: The attributes that the picture shows.
        rng: Draws the choice.
        most: The largest number of groups (see `phrases.GROUPS`) that are told; the least is 3.
        errors: Chance that one fact is wrong.
        eager: Added to the chance that a group is mentioned.
        everything: Tell all that is visible, and what the person does not have.
    """
    if everything:
        skip = {n for n in ("sleeves", "hat_colour", "bag_colour") if truth[n] == "none"}
        facts = {"sex": truth["sex"]} | {n: truth[n] for n in VALUES if n in seen - skip}
        return _mistaken(facts, rng, errors)
    there = [g for g, names in GROUPS.items() if names[0] in seen and truth[names[0]] not in ABSENT]
    chosen = [g for g in there if rng.random() < _GROUP_CHANCE[g] + eager]
    chosen = rng.sample(chosen, most) if len(chosen) > most else chosen
    for group in ("upper", "lower", "hair"):
        if len(chosen) < 3 and group in there and group not in chosen:
            chosen.append(group)
    facts = {"sex": truth["sex"]}
    for group in chosen:
        for name in GROUPS[group]:
            if name not in seen or truth[name] == "none":
                continue
            if name == "pattern" and truth[name] == "plain" and rng.random() < 0.9:
                continue
            sure = name == GROUPS[group][0] and name not in _ATTRIBUTE_CHANCE
            if sure or rng.random() < _ATTRIBUTE_CHANCE.get(name, 0.95):
                facts[name] = truth[name]
    return _mistaken(facts, rng, errors)


def _mistaken(facts: dict, rng: random.Random, errors: float) -> dict:
    """The facts, one of which is made wrong with the chance `errors`."""
    if rng.random() < errors:
        wrong = rng.choice([name for name in facts if name != "action"])
        others = [v for v in VALUES[wrong][0] if v not in (facts[wrong], *ABSENT)]
        facts[wrong] = rng.choice(others or [facts[wrong]])
    return facts


def merge_facts(said: dict, truth: dict, seen: set[str]) -> dict:
    """The aim of Eq. 5 in facts: what was said stays, and what the picture shows is added.

    Action, background and bystanders belong to one picture, not to the person: they are kept where
    they were said, and never added.
    """
    facts = dict(said)
    for group, names in GROUPS.items():
        if group in SCENE or truth[names[0]] in ABSENT:
            continue
        for name in names:
            silent = truth[name] == "none" or (name, truth[name]) == ("pattern", "plain")
            if name in seen and not silent:
                facts.setdefault(name, truth[name])
    return facts
