"""Three more ways to say the facts of a picture: CUHK-PEDES' free one, ICFG-PEDES' fine one, UFine6926's long one.

They share most words with `describe`'s grammars, as any two English texts do, and no sentence pattern.
"""

import random

LEAST_WORDS = 80  # a caption of the long grammar has more
_ABSENT = ("none", "nothing", "nobody")
_FROM = {"front": "from the front", "side": "from the side", "back": "from behind"}


def free(rng: random.Random, facts: dict, say, view: str | None) -> str:
    """Loose clauses in the present tense, as many hands write them; say(group) gives a noun phrase."""
    man = facts["sex"] == "man"
    he, his = ("he", "his") if man else ("she", "her")
    who = rng.choice(["man", "young man", "gentleman", "pedestrian", "boy"] if man else
                     ["woman", "young woman", "lady", "girl", "female pedestrian"])
    has = [g for g in ("upper", "lower", "shoes") if _told(g, facts)]
    start = rng.choice([f"the {who}", f"a {who}", "this person", f"pictured is a {who} who"])
    start = start if start != "this person" else f"this person is a {who}, {he}"
    clauses = []
    for i, g in enumerate(has):
        if i == 0:
            verb = rng.choice(["is wearing", "wears", "has on"])
            clauses.append(f"{start} {verb} {say(g)}")
        else:
            clauses.append(rng.choice([f"with {say(g)}", f"along with {say(g)}", f"and {say(g)}", f"together with {say(g)}"]))
    text = ", ".join(clauses) if rng.random() < .5 else " ".join(clauses)
    text = text or f"{start} is seen here"
    rest = []
    if _told("hair", facts):
        rest.append(rng.choice([f"{he} has {say('hair')}", f"{his} hair: {say('hair')[:-5]}", f"{say('hair')}"]))
    for g in ("hat", "glasses", "scarf", "belt"):
        if _told(g, facts):
            rest.append(rng.choice([f"{he} has {say(g)} on", f"there is also {say(g)}", f"also wearing {say(g)}"]))
    if _told("bag", facts):
        rest.append(rng.choice([f"carrying {say('bag')}", f"{he} carries {say('bag')}", f"{he} has {say('bag')} along"]))
    if _told("held", facts):
        rest.append(rng.choice([f"{he} is holding {say('held')}", f"with {say('held')} in hand"]))
    if _told("action", facts) or (view and rng.random() < .25):
        way = {"front": " towards the camera", "back": " away from the camera"}.get(view or "", " past the camera")
        moving = facts.get("action", "in view")
        rest.append(f"{he} is {moving}" + (way if moving == "walking" else f", seen {_FROM[view]}" if view else ""))
    if _told("background", facts):
        rest.append(f"{say('background')} in the back")
    if _told("bystanders", facts):
        rest.append("others are around")
    rng.shuffle(rest)
    joint = rng.choice([". ", ", ", "; "])
    whole = joint.join([text, *rest]) + rng.choice([".", ".", " ."])
    return whole[0].upper() + whole[1:] if rng.random() < .7 else whole


def fine(rng: random.Random, facts: dict, say, view: str | None) -> str:
    """Careful full sentences in a fixed order, top to toe, of one annotator who writes one caption a picture."""
    man = facts["sex"] == "man"
    he, his = ("he", "his") if man else ("she", "her")
    He = he.capitalize()
    who = rng.choice(["man", "adult man", "man in middle age", "young man"] if man else
                     ["woman", "adult woman", "woman in middle age", "young woman"])
    hair = f" with {say('hair')}" if _told("hair", facts) else ""
    text = f"The {who}{hair} " + (rng.choice([f"is clad in {say('upper')}", f"comes in {say('upper')}"])
                                  if _told("upper", facts) else "is on the way")
    if _told("lower", facts):
        text += rng.choice([f" over {say('lower')}", f", matched with {say('lower')}", f" above {say('lower')}"])
    out = [text + "."]
    small = [say(g) for g in ("shoes", "belt", "scarf") if _told(g, facts)]
    if small:
        out.append(f"{He}'s got {_list(small)} as well.")
    head = [say(g) for g in ("hat", "glasses") if _told(g, facts)]
    if head:
        out.append(f"{_list(head).capitalize()} can be made out on {his} head.")
    if _told("bag", facts):
        out.append(rng.choice([f"{He}'s carrying {say('bag')} with {'him' if man else 'her'}.", f"{say('bag').capitalize()} hangs from {his} body."]))
    if _told("held", facts):
        out.append(f"{his.capitalize()} hand grips {say('held')}.")
    if _told("action", facts):
        out.append(f"{He}'s {facts['action']}" + (f" near {say('background')}." if _told("background", facts) else "."))
    elif _told("background", facts):
        out.append(f"Behind {'him' if man else 'her'} lies {say('background')}.")
    if _told("bystanders", facts):
        out.append(f"{He}'s not by {'himself' if man else 'herself'}.")
    return " ".join(out)


def long(rng: random.Random, facts: dict, say, view: str | None) -> str:
    """Everything that is visible, in more than 80 words of several sentences, with what the person does not have."""
    man = facts["sex"] == "man"
    he, him, his = ("he", "him", "his") if man else ("she", "her", "her")
    He, His, who = he.capitalize(), his.capitalize(), facts["sex"]
    seen = f", seen {_FROM[view]}," if view else ""
    spot = say("background") if _told("background", facts) else ""
    act = facts.get("action", "")
    out = [rng.choice([
        f"In this picture{seen} there is a {who}" + (f" who is {act}" if act else "") + (f"; {spot} forms the background." if spot else "."),
        f"The image presents a {who}{seen.rstrip(',')}" + (f", {act}" if act else "") + (f", while {spot} makes up the scene behind." if spot else "."),
    ])]
    body = []
    if _told("hair", facts):
        body.append(rng.choice([f"{His} head shows {say('hair')}.", f"As for the head, {he} has {say('hair')}."]))
    if _told("upper", facts):
        how = f", and its sleeves are {facts['sleeves']}" if facts.get("sleeves") in ("short", "long") else ""
        plain = ", without any pattern on the fabric" if facts.get("pattern") == "plain" else ""
        garment = say("upper").replace("short-sleeved ", "").replace("long-sleeved ", "")
        body.append(rng.choice([f"The upper body is covered by {garment}{plain}{how}.", f"On the upper part of the body {he} wears {garment}{plain}{how}."]))
    if _told("lower", facts):
        length = {"long": "reaching down to the ankles", "knee-length": "ending at the knees", "short": "ending above the knees"}
        reach = ", " + length[facts["lower_length"]] if facts.get("lower_length") else ""
        body.append(rng.choice([f"The lower body is dressed in {say('lower')}{reach}.", f"Underneath, {he} has put on {say('lower')}{reach}."]))
    if _told("shoes", facts):
        body.append(rng.choice([f"On {his} feet there are {say('shoes')}.", f"{His} footwear consists of {say('shoes')}."]))
    forms = {"hat": [f"{say('hat').capitalize()} sits on top of {his} head."] if _told("hat", facts) else [],
             "glasses": [f"A pair of {say('glasses')} rests on {his} nose."] if _told("glasses", facts) else [],
             "scarf": [f"{say('scarf').capitalize()} is wound around {his} neck."] if _told("scarf", facts) else [],
             "belt": [f"{say('belt').capitalize()} is fastened around the waist."] if _told("belt", facts) else [],
             "bag": [f"{He} takes {say('bag')} along, which belongs to the look."] if _told("bag", facts) else [],
             "held": [f"One of {his} hands holds on to {say('held')}."] if _told("held", facts) else []}
    body += [rng.choice(form) for form in forms.values() if form]
    named = {"hat": "a hat", "glasses": "glasses", "scarf": "a scarf", "belt": "a belt", "bag": "a bag"}
    lacking = [named[g] for g in named if facts.get(g) == "none"]
    rng.shuffle(lacking)
    while lacking:
        some, lacking = lacking[:2], lacking[2:]
        body.append(f"{He} wears or carries neither {some[0]} nor {some[1]}." if len(some) == 2 else f"There is no sign of {some[0]}.")
    if facts.get("held") == "nothing":
        body.append(f"{His} hands are empty.")
    head, tail = body[:4], body[4:]
    rng.shuffle(tail)
    out += head + tail
    if "bystanders" in facts:
        out.append(f"Further people appear in the scene behind {him}." if facts["bystanders"] == "other people" else f"Nobody else appears beside {him}.")
    worn = [say(g) for g in ("upper", "lower", "shoes") if _told(g, facts)]
    closing = [f"Taken together, the clothes of this {who} are {_list(worn)}." if worn else f"This {who} is the main figure of the picture.",
               f"The whole figure of the {who} fills most of the picture from top to bottom.",
               f"Whoever looks for this {who} should pay attention to the colours of the clothes and to what is carried.",
               "The description holds for this very picture and for what the camera could see of the person at that moment.",
               f"Nothing else about the {who} can be told with certainty from this one picture alone."]
    for sentence in closing:
        if len(" ".join(out).split()) > LEAST_WORDS:
            break
        out.append(sentence)
    return " ".join(out)


GRAMMARS = {"free": free, "fine": fine, "long": long}


def _told(group: str, facts: dict) -> bool:
    """Whether the facts say anything of the group that is there."""
    from .describe import GROUPS

    first = GROUPS[group][0]
    return facts.get(first) not in _ABSENT and any(name in facts for name in GROUPS[group])


def _list(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]
