"""Three more ways to say the facts of a picture: CUHK-PEDES' free one, ICFG-PEDES' fine one, UFine6926's
long one.

They share most words with `describe`'s grammars, as any two English texts do, and no sentence pattern.
"""

import random

from icl_lib.data.standin.phrases import _groups_of, _place, noun_phrase


def _extra(g, thing, he, his, rng, street):
    He, His = he.capitalize(), his.capitalize()
    if street:
        forms = {
            "bag": [
                f"{He} is carrying {thing}.",
                f"{He} has {thing}.",
                f"{He} carries {thing}.",
                f"{He} has {thing} with {'him' if he == 'he' else 'her'}.",
            ],
            "held": [
                f"{He} is holding {thing}.",
                f"{He} has {thing} in {his} hand.",
                f"{He} holds {thing} in one hand.",
            ],
            "hat": [
                f"{He} has {thing} on.",
                f"{He} is also wearing {thing}.",
                f"On {his} head {he} has {thing}.",
            ],
        }
        return rng.choice(
            forms.get(
                g,
                [
                    f"{He} is also wearing {thing}.",
                    f"{He} has {thing} on.",
                    f"{He} also wears {thing}.",
                ],
            )
        )
    forms = {
        "bag": [
            f"There is {thing} with this person.",
            f"{thing.capitalize()} is carried along.",
            f"One also sees {thing}.",
        ],
        "held": [
            f"{His} hand holds {thing}.",
            f"One hand keeps {thing}.",
            f"{thing.capitalize()} is held in the hand.",
        ],
        "hat": [f"The head is covered by {thing}.", f"{His} head wears {thing}."],
    }
    return rng.choice(
        forms.get(
            g,
            [
                f"{thing.capitalize()} can be seen too.",
                f"The outfit includes {thing}.",
                f"One also sees {thing}.",
            ],
        )
    )


def _street(rng, who, he, him, his, outfit, hair, said, later, act, place, facts):
    S = rng.choice([f"A {who}", f"A {who}", f"The {who}", f"This {who}"])
    He = he.capitalize()
    scene = ""
    if act or place:
        scene = " ".join(
            x for x in ((act or "is"), _place(place, act, rng, True) if place else "") if x
        )
    form = rng.randrange(6)
    if not outfit:
        text = f"{S} with {hair}." if hair else f"{S}."
    elif form == 0:
        text = f"{S} with {hair} is wearing {outfit}." if hair else f"{S} is wearing {outfit}."
    elif form == 1:
        text = f"{S} wears {outfit}" + (f" and has {hair}." if hair else ".")
    elif form == 2:
        text = f"{S} is dressed in {outfit}." + (f" {He} has {hair}." if hair else "")
    elif form == 3:
        text = f"Wearing {outfit}, the {who} " + (
            f"has {hair}." if hair else rng.choice(["looks ahead.", "is seen here.", "goes along."])
        )
    elif form == 4:
        text = f"{S} in {outfit}" + (f" with {hair}." if hair else ".")
    else:
        parts = ([hair] if hair else []) + ([outfit] if outfit else []) + [said[g] for g in later]
        rest = f", {scene}" if scene and act else ""
        people = ", people behind" if "bystanders" in said else ""
        place_ = f", {_place(place, act, rng, True)}" if place and not act else ""
        return f"{who}, " + ", ".join(parts) + rest + place_ + people
    extras = [_extra(g, said[g], he, his, rng, True) for g in later]
    if scene:
        extras.append(f"{He} is {scene}." if act else f"{He} {scene}.")
    if "bystanders" in said:
        extras.append(
            rng.choice([f"Other people are behind {him}.", "There are other people nearby."])
        )
    return " ".join([text] + extras)


def _generic(rng, who, he, him, his, outfit, hair, said, later, act, place, facts):
    form = rng.randrange(5)
    hairy = (
        f" whose hair is {hair[:-5]}"
        if hair and rng.random() < 0.5
        else (f" having {hair}" if hair else "")
    )
    if not outfit:
        text = f"In the picture there is a {who}{hairy}."
    elif form == 0:
        text = f"The picture shows a {who}{hairy}, clothed in {outfit}."
    elif form == 1:
        text = f"In the picture there is a {who}{hairy}. The clothes are {outfit}."
    elif form == 2:
        text = f"Photo of a {who}{hairy}; {outfit} can be seen."
    elif form == 3:
        text = f"Here we see a {who} who has put on {outfit}." + (
            f" The hair is {hair[:-5]}." if hair else ""
        )
    else:
        text = f"One person, a {who}{hairy}, dressed with {outfit}."
    extras = [_extra(g, said[g], he, his, rng, False) for g in later]
    if act:
        extras.append(rng.choice([f"The {who} is {act}.", f"The person is {act} at this moment."]))
    if place:
        extras.append(
            rng.choice(
                [
                    f"The background is {said['background']}.",
                    f"The photo was taken {_place(place, None, rng, False)}.",
                ]
            )
        )
    if "bystanders" in said:
        extras.append(
            rng.choice(["Other people appear in the picture.", "Some other people can be seen."])
        )
    return " ".join([text] + extras)


_LINKS = [
    ", ",
    ", ",
    " and ",
    " with ",
    " plus ",
    "; ",
    ". Also ",
    ". {He} has ",
    ". {He} wears ",
    " wearing ",
    ", wearing ",
    " who has ",
    " in ",
    " carrying ",
    ", dressed in ",
    ". {His} things: ",
    " that has ",
    ". Note ",
]


def _loose(rng, who, he, his, facts):
    """Noun phrases in any order, tied by any link: the teacher of word meaning where grammar gives no hold."""
    parts = [noun_phrase(g, facts, rng, rng.random() < 0.5) for g in _groups_of(facts)]
    rng.shuffle(parts)
    parts.insert(
        0 if rng.random() < 0.6 else rng.randint(0, len(parts)),
        rng.choice([f"a {who}", f"the {who}", f"this {who}", who]),
    )
    text = parts[0]
    for part in parts[1:]:
        text += rng.choice(_LINKS).format(He=he.capitalize(), His=his.capitalize()) + part
    return text[0].upper() + text[1:] + rng.choice([".", ""])


LEAST_WORDS = 80  # a caption of the long grammar has more
_ABSENT = ("none", "nothing", "nobody")
_FROM = {"front": "from the front", "side": "from the side", "back": "from behind"}


def free(rng: random.Random, facts: dict, say, view: str | None) -> str:
    """Loose clauses in the present tense, as many hands write them; say(group) gives a noun phrase."""
    man = facts["sex"] == "man"
    he, his = ("he", "his") if man else ("she", "her")
    who = rng.choice(
        ["man", "young man", "gentleman", "pedestrian", "boy"]
        if man
        else ["woman", "young woman", "lady", "girl", "female pedestrian"]
    )
    has = [g for g in ("upper", "lower", "shoes") if _told(g, facts)]
    start = rng.choice([f"the {who}", f"a {who}", "this person", f"pictured is a {who} who"])
    start = start if start != "this person" else f"this person is a {who}, {he}"
    clauses = []
    for i, g in enumerate(has):
        if i == 0:
            verb = rng.choice(["is wearing", "wears", "has on"])
            clauses.append(f"{start} {verb} {say(g)}")
        else:
            clauses.append(
                rng.choice(
                    [
                        f"with {say(g)}",
                        f"along with {say(g)}",
                        f"and {say(g)}",
                        f"together with {say(g)}",
                    ]
                )
            )
    text = ", ".join(clauses) if rng.random() < 0.5 else " ".join(clauses)
    text = text or f"{start} is seen here"
    rest = []
    if _told("hair", facts):
        rest.append(
            rng.choice(
                [f"{he} has {say('hair')}", f"{his} hair: {say('hair')[:-5]}", f"{say('hair')}"]
            )
        )
    for g in ("hat", "glasses", "scarf", "belt"):
        if _told(g, facts):
            rest.append(
                rng.choice(
                    [f"{he} has {say(g)} on", f"there is also {say(g)}", f"also wearing {say(g)}"]
                )
            )
    if _told("bag", facts):
        rest.append(
            rng.choice(
                [
                    f"carrying {say('bag')}",
                    f"{he} carries {say('bag')}",
                    f"{he} has {say('bag')} along",
                ]
            )
        )
    if _told("held", facts):
        rest.append(rng.choice([f"{he} is holding {say('held')}", f"with {say('held')} in hand"]))
    if _told("action", facts) or (view and rng.random() < 0.25):
        way = {"front": " towards the camera", "back": " away from the camera"}.get(
            view or "", " past the camera"
        )
        moving = facts.get("action", "in view")
        rest.append(
            f"{he} is {moving}"
            + (way if moving == "walking" else f", seen {_FROM[view]}" if view else "")
        )
    if _told("background", facts):
        rest.append(f"{say('background')} in the back")
    if _told("bystanders", facts):
        rest.append("others are around")
    rng.shuffle(rest)
    joint = rng.choice([". ", ", ", "; "])
    whole = joint.join([text, *rest]) + rng.choice([".", ".", " ."])
    return whole[0].upper() + whole[1:] if rng.random() < 0.7 else whole


def fine(rng: random.Random, facts: dict, say, view: str | None) -> str:
    """Careful full sentences in a fixed order, top to toe, of one annotator who writes one caption a
    picture.
    """
    man = facts["sex"] == "man"
    he, his = ("he", "his") if man else ("she", "her")
    He = he.capitalize()
    who = rng.choice(
        ["man", "adult man", "man in middle age", "young man"]
        if man
        else ["woman", "adult woman", "woman in middle age", "young woman"]
    )
    hair = f" with {say('hair')}" if _told("hair", facts) else ""
    text = f"The {who}{hair} " + (
        rng.choice([f"is clad in {say('upper')}", f"comes in {say('upper')}"])
        if _told("upper", facts)
        else "is on the way"
    )
    if _told("lower", facts):
        text += rng.choice(
            [f" over {say('lower')}", f", matched with {say('lower')}", f" above {say('lower')}"]
        )
    out = [text + "."]
    small = [say(g) for g in ("shoes", "belt", "scarf") if _told(g, facts)]
    if small:
        out.append(f"{He}'s got {_list(small)} as well.")
    head = [say(g) for g in ("hat", "glasses") if _told(g, facts)]
    if head:
        out.append(f"{_list(head).capitalize()} can be made out on {his} head.")
    if _told("bag", facts):
        out.append(
            rng.choice(
                [
                    f"{He}'s carrying {say('bag')} with {'him' if man else 'her'}.",
                    f"{say('bag').capitalize()} hangs from {his} body.",
                ]
            )
        )
    if _told("held", facts):
        out.append(f"{his.capitalize()} hand grips {say('held')}.")
    if _told("action", facts):
        out.append(
            f"{He}'s {facts['action']}"
            + (f" near {say('background')}." if _told("background", facts) else ".")
        )
    elif _told("background", facts):
        out.append(f"Behind {'him' if man else 'her'} lies {say('background')}.")
    if _told("bystanders", facts):
        out.append(f"{He}'s not by {'himself' if man else 'herself'}.")
    return " ".join(out)


def long(rng: random.Random, facts: dict, say, view: str | None) -> str:
    """Everything that is visible, in more than 80 words of several sentences, with what the person does not
    have.
    """
    man = facts["sex"] == "man"
    he, him, his = ("he", "him", "his") if man else ("she", "her", "her")
    He, His, who = he.capitalize(), his.capitalize(), facts["sex"]
    seen = f", seen {_FROM[view]}," if view else ""
    spot = say("background") if _told("background", facts) else ""
    act = facts.get("action", "")
    out = [
        rng.choice(
            [
                f"In this picture{seen} there is a {who}"
                + (f" who is {act}" if act else "")
                + (f"; {spot} forms the background." if spot else "."),
                f"The image presents a {who}{seen.rstrip(',')}"
                + (f", {act}" if act else "")
                + (f", while {spot} makes up the scene behind." if spot else "."),
            ]
        )
    ]
    body = []
    if _told("hair", facts):
        body.append(
            rng.choice(
                [f"{His} head shows {say('hair')}.", f"As for the head, {he} has {say('hair')}."]
            )
        )
    if _told("upper", facts):
        how = (
            f", and its sleeves are {facts['sleeves']}"
            if facts.get("sleeves") in ("short", "long")
            else ""
        )
        plain = ", without any pattern on the fabric" if facts.get("pattern") == "plain" else ""
        garment = say("upper").replace("short-sleeved ", "").replace("long-sleeved ", "")
        body.append(
            rng.choice(
                [
                    f"The upper body is covered by {garment}{plain}{how}.",
                    f"On the upper part of the body {he} wears {garment}{plain}{how}.",
                ]
            )
        )
    if _told("lower", facts):
        length = {
            "long": "reaching down to the ankles",
            "knee-length": "ending at the knees",
            "short": "ending above the knees",
        }
        reach = ", " + length[facts["lower_length"]] if facts.get("lower_length") else ""
        body.append(
            rng.choice(
                [
                    f"The lower body is dressed in {say('lower')}{reach}.",
                    f"Underneath, {he} has put on {say('lower')}{reach}.",
                ]
            )
        )
    if _told("shoes", facts):
        body.append(
            rng.choice(
                [
                    f"On {his} feet there are {say('shoes')}.",
                    f"{His} footwear consists of {say('shoes')}.",
                ]
            )
        )
    forms = {
        "hat": [f"{say('hat').capitalize()} sits on top of {his} head."]
        if _told("hat", facts)
        else [],
        "glasses": [f"A pair of {say('glasses')} rests on {his} nose."]
        if _told("glasses", facts)
        else [],
        "scarf": [f"{say('scarf').capitalize()} is wound around {his} neck."]
        if _told("scarf", facts)
        else [],
        "belt": [f"{say('belt').capitalize()} is fastened around the waist."]
        if _told("belt", facts)
        else [],
        "bag": [f"{He} takes {say('bag')} along, which belongs to the look."]
        if _told("bag", facts)
        else [],
        "held": [f"One of {his} hands holds on to {say('held')}."] if _told("held", facts) else [],
    }
    body += [rng.choice(form) for form in forms.values() if form]
    named = {
        "hat": "a hat",
        "glasses": "glasses",
        "scarf": "a scarf",
        "belt": "a belt",
        "bag": "a bag",
    }
    lacking = [named[g] for g in named if facts.get(g) == "none"]
    rng.shuffle(lacking)
    while lacking:
        some, lacking = lacking[:2], lacking[2:]
        body.append(
            f"{He} wears or carries neither {some[0]} nor {some[1]}."
            if len(some) == 2
            else f"There is no sign of {some[0]}."
        )
    if facts.get("held") == "nothing":
        body.append(f"{His} hands are empty.")
    head, tail = body[:4], body[4:]
    rng.shuffle(tail)
    out += head + tail
    if "bystanders" in facts:
        out.append(
            f"Further people appear in the scene behind {him}."
            if facts["bystanders"] == "other people"
            else f"Nobody else appears beside {him}."
        )
    worn = [say(g) for g in ("upper", "lower", "shoes") if _told(g, facts)]
    closing = [
        f"Taken together, the clothes of this {who} are {_list(worn)}."
        if worn
        else f"This {who} is the main figure of the picture.",
        f"The whole figure of the {who} fills most of the picture from top to bottom.",
        f"Whoever looks for this {who} should pay attention to the colours of the clothes and to what is carried.",
        "The description holds for this very picture and for what the camera could see of the person at that moment.",
        f"Nothing else about the {who} can be told with certainty from this one picture alone.",
    ]
    for sentence in closing:
        if len(" ".join(out).split()) > LEAST_WORDS:
            break
        out.append(sentence)
    return " ".join(out)


GRAMMARS = {"free": free, "fine": fine, "long": long}


def _told(group: str, facts: dict) -> bool:
    """Whether the facts say anything of the group that is there."""
    from icl_lib.data.standin.phrases import GROUPS

    first = GROUPS[group][0]
    return facts.get(first) not in _ABSENT and any(name in facts for name in GROUPS[group])


def _list(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
