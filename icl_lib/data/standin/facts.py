"""Which facts of a picture a caption tells, and how two sets of facts merge."""

import random

from icl_lib.data.standin.attributes import VALUES, draw_value, settle
from icl_lib.data.standin.phrases import GROUPS, SCENE

_LIKELY = {
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
_ALWAYS = {
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
    """What one describer chooses to say of what is visible: 3 to `most` groups; with chance `errors` one fact is wrong.

    eager: added to the chance that a group is mentioned. everything: all that is visible is said, absence included.
    """
    if everything:
        skip = {"sleeves", "hat_colour", "bag_colour"}
        facts = {"sex": truth["sex"]} | {
            n: truth[n] for n in VALUES if n in seen and not (n in skip and truth[n] == "none")
        }
        return _mistaken(facts, rng, errors)
    groups = [
        g
        for g, attributes in GROUPS.items()
        if attributes[0] in seen and truth[attributes[0]] not in ("none", "nothing", "nobody")
    ]
    chosen = [g for g in groups if rng.random() < _LIKELY[g] + eager]
    chosen = rng.sample(chosen, most) if len(chosen) > most else chosen
    for g in ("upper", "lower", "hair"):
        if len(chosen) < 3 and g in groups and g not in chosen:
            chosen.append(g)
    facts = {"sex": truth["sex"]}
    for g in chosen:
        for i, name in enumerate(GROUPS[g]):
            if name not in seen or truth[name] in ("none",):
                continue
            if name == "pattern" and truth[name] == "plain" and rng.random() < 0.9:
                continue
            sure = i == 0 and name not in ("upper", "lower", "shoes", "bag", "hat", "hair_colour")
            if sure or rng.random() < _ALWAYS.get(name, 0.95):
                facts[name] = truth[name]
    return _mistaken(facts, rng, errors)


def _mistaken(facts: dict, rng: random.Random, errors: float) -> dict:
    if rng.random() < errors:
        wrong = rng.choice([n for n in facts if n != "action"])
        others = [
            v for v in VALUES[wrong][0] if v not in (facts[wrong], "none", "nothing", "nobody")
        ]
        facts[wrong] = rng.choice(others or [facts[wrong]])
    return facts


def merge_facts(said: dict, truth: dict, seen: set[str]) -> dict:
    """Eq. 5's aim in facts: what was said stays, and what the picture shows of the person beyond it is added.

    Action, background and bystanders belong to one picture, not to the person: they are kept when said, never added.
    """
    facts = dict(said)
    for group, names in GROUPS.items():
        if group in SCENE or truth[names[0]] in ("none", "nothing"):
            continue
        for name in names:
            if name not in facts and name in seen and truth[name] != "none":
                if name == "pattern" and truth[name] == "plain":
                    continue
                facts[name] = truth[name]
    return facts


def random_facts(rng: random.Random) -> dict:
    """A full set of attribute values with nothing behind it (for language-only exercises)."""
    return settle({name: draw_value(name, rng) for name in VALUES})
