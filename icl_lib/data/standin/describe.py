"""What is said of a drawn person: captions in two grammars, answers to the 15 questions, and plain canonical sentences.

A caption is drawn together with its `facts` (attribute -> value said), so that studies know exactly what was claimed.
Grammar "street" writes RSTPReid's stand-in, those of `grammars` the other three; grammar "generic" teaches the small
models: they share most words, as any two English texts do, and no sentence pattern.
"""

import random

from .attributes import VALUES, draw_value, settle
from .grammars import GRAMMARS

SYNONYMS = {
    "t-shirt": ["t-shirt", "t-shirt", "tee"], "shirt": ["shirt", "shirt", "button-up shirt"], "sweater": ["sweater", "pullover", "jumper"],
    "hoodie": ["hoodie", "hoodie", "hooded sweatshirt"], "vest": ["vest", "tank top", "sleeveless top"], "coat": ["coat", "long coat"],
    "trousers": ["trousers", "pants"], "jeans": ["jeans", "jeans", "denim pants"], "sneakers": ["sneakers", "trainers", "sports shoes"],
    "leather shoes": ["leather shoes", "dress shoes"], "backpack": ["backpack", "backpack", "rucksack"], "handbag": ["handbag", "purse"],
    "shoulder bag": ["shoulder bag", "messenger bag"], "woolly hat": ["woolly hat", "beanie", "knit hat"], "sun hat": ["sun hat", "wide-brimmed hat"],
    "cap": ["cap", "cap", "baseball cap"], "glasses": ["glasses", "eyeglasses"], "grey": ["grey", "gray"], "checked": ["checked", "plaid", "checkered"],
    "dotted": ["dotted", "polka-dot"], "phone": ["phone", "mobile phone", "cell phone"], "cup": ["cup", "cup of coffee"], "bottle": ["bottle", "water bottle"],
    "tied": ["tied-up", "pulled-back"], "brick wall": ["brick wall", "red brick wall"], "shop window": ["shop window", "shop front"], "park": ["park", "green park"],
}
GROUPS = {  # what is said in one breath -> its attributes, the naming one first
    "hair": ("hair_colour", "hair_length"), "upper": ("upper", "upper_colour", "pattern", "sleeves"),
    "lower": ("lower", "lower_colour", "lower_length"), "shoes": ("shoes", "shoes_colour"), "scarf": ("scarf",),
    "belt": ("belt",), "hat": ("hat", "hat_colour"), "glasses": ("glasses",), "bag": ("bag", "bag_colour"),
    "held": ("held",), "action": ("action",), "background": ("background",), "bystanders": ("bystanders",),
}
SCENE = ("action", "background", "bystanders")
_LIKELY = {"hair": .5, "upper": .97, "lower": .92, "shoes": .5, "bag": .75, "hat": .75, "glasses": .45, "scarf": .55, "held": .5,
           "belt": .25, "action": .25, "background": .15, "bystanders": .08}
_ALWAYS = {"upper": .93, "lower": 1.0, "shoes": .85, "bag": .85, "hat": .8, "hair_colour": .9, "hair_length": .85, "pattern": .7, "sleeves": .3,
           "lower_length": .35}


def _a(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _words(value: str, rng) -> str:
    return rng.choice(SYNONYMS.get(value, [value])) if rng else value


def noun_phrase(group: str, facts: dict, rng: random.Random | None = None, street: bool = False) -> str:
    """The facts of one group as a noun phrase, e.g. "a red striped t-shirt with short sleeves"; canonical without rng."""
    get = lambda name: facts.get(name)
    say = lambda name: _words(facts[name], rng)
    if group == "hair":
        return " ".join(say(n) for n in ("hair_length", "hair_colour") if get(n)) + " hair"
    if group == "upper":
        kind = say("upper") if get("upper") else "top"
        colour = say("upper_colour") + " " if get("upper_colour") else ""
        pattern = get("pattern")
        pattern = "" if pattern in (None, "plain") and not (pattern and rng is None) else _words(pattern, rng) + " "
        sleeves = get("sleeves")
        if get("upper") in ("vest",) or sleeves in (None, "none"):
            sleeves = ""
        if street:
            front = f"{sleeves}-sleeved " if sleeves else ""
            return _a(f"{front}{pattern}{colour}{kind}" if rng and rng.random() < .4 else f"{front}{colour}{pattern}{kind}")
        return _a(f"{colour}{pattern}{kind}") + (f" with {sleeves} sleeves" if sleeves else "")
    if group == "lower":
        kind = say("lower") if get("lower") else "trousers"
        text = " ".join(([facts["lower_length"]] if get("lower_length") else []) + ([say("lower_colour")] if get("lower_colour") else []) + [kind])
        return _a(text) if kind == "skirt" else (f"a pair of {text}" if street and rng and rng.random() < .25 else text)
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
    if street and action == "walking" and on == "in front of" and rng.random() < .6:
        on = "past"
    return f"{on} {_a(spot) if rng.random() < .4 else 'the ' + spot}"


def _join(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and " + items[-1]


def choose_facts(truth: dict, seen: set[str], rng: random.Random, most: int = 6, errors: float = .0, eager: float = .0,
                 everything: bool = False) -> dict:
    """What one describer chooses to say of what is visible: 3 to `most` groups; with chance `errors` one fact is wrong.

    eager: added to the chance that a group is mentioned. everything: all that is visible is said, absence included.
    """
    if everything:
        skip = {"sleeves", "hat_colour", "bag_colour"}
        facts = {"sex": truth["sex"]} | {n: truth[n] for n in VALUES if n in seen and not (n in skip and truth[n] == "none")}
        return _mistaken(facts, rng, errors)
    groups = [g for g, attributes in GROUPS.items() if attributes[0] in seen and truth[attributes[0]] not in ("none", "nothing", "nobody")]
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
            if name == "pattern" and truth[name] == "plain" and rng.random() < .9:
                continue
            sure = i == 0 and name not in ("upper", "lower", "shoes", "bag", "hat", "hair_colour")
            if sure or rng.random() < _ALWAYS.get(name, .95):
                facts[name] = truth[name]
    return _mistaken(facts, rng, errors)


def _mistaken(facts: dict, rng: random.Random, errors: float) -> dict:
    if rng.random() < errors:
        wrong = rng.choice([n for n in facts if n != "action"])
        others = [v for v in VALUES[wrong][0] if v not in (facts[wrong], "none", "nothing", "nobody")]
        facts[wrong] = rng.choice(others or [facts[wrong]])
    return facts


def _groups_of(facts):
    return [g for g, attributes in GROUPS.items() if any(n in facts for n in attributes)]


def caption(facts: dict, rng: random.Random, grammar: str = "street", view: str | None = None) -> str:
    """The facts as one caption in free, varied English; every fact is said, in one of many sentence patterns.

    grammar: street, generic, or one of `grammars`; these may also say from which side (`view`) the person is seen.
    """
    if grammar in GRAMMARS:
        apart = ("sleeves", "lower_length") if grammar == "long" else ()  # that grammar has clauses of its own for them
        phrased = {name: value for name, value in facts.items() if name not in apart}
        return GRAMMARS[grammar](rng, facts, lambda group: noun_phrase(group, phrased, rng), view)
    street = grammar == "street"
    said = {g: noun_phrase(g, facts, rng, street) for g in _groups_of(facts)}
    man = facts["sex"] == "man"
    he, him, his = ("he", "him", "his") if man else ("she", "her", "her")
    who = rng.choice(["man", "man", "guy", "male"] if man else ["woman", "woman", "lady", "female"])
    worn = [g for g in ("upper", "lower", "shoes", "scarf", "belt", "hat", "glasses") if g in said]
    if street and rng.random() < .3:
        rng.shuffle(worn)
    in_list = [g for g in worn if g in ("upper", "lower", "shoes") or rng.random() < .5]
    later = [g for g in worn if g not in in_list] + [g for g in ("bag", "held") if g in said]
    rng.shuffle(later)
    outfit, hair = _join([said[g] for g in in_list]) if in_list else "", said.get("hair", "")
    act, place = facts.get("action"), facts.get("background")
    if not street and rng.random() < .5:
        return _loose(rng, who, he, his, facts)
    return (_street if street else _generic)(rng, who, he, him, his, outfit, hair, said, later, act, place, facts)


def _extra(g, thing, he, his, rng, street):
    He, His = he.capitalize(), his.capitalize()
    if street:
        forms = {"bag": [f"{He} is carrying {thing}.", f"{He} has {thing}.", f"{He} carries {thing}.", f"{He} has {thing} with {'him' if he == 'he' else 'her'}."],
                 "held": [f"{He} is holding {thing}.", f"{He} has {thing} in {his} hand.", f"{He} holds {thing} in one hand."],
                 "hat": [f"{He} has {thing} on.", f"{He} is also wearing {thing}.", f"On {his} head {he} has {thing}."]}
        return rng.choice(forms.get(g, [f"{He} is also wearing {thing}.", f"{He} has {thing} on.", f"{He} also wears {thing}."]))
    forms = {"bag": [f"There is {thing} with this person.", f"{thing.capitalize()} is carried along.", f"One also sees {thing}."],
             "held": [f"{His} hand holds {thing}.", f"One hand keeps {thing}.", f"{thing.capitalize()} is held in the hand."],
             "hat": [f"The head is covered by {thing}.", f"{His} head wears {thing}."]}
    return rng.choice(forms.get(g, [f"{thing.capitalize()} can be seen too.", f"The outfit includes {thing}.", f"One also sees {thing}."]))


def _street(rng, who, he, him, his, outfit, hair, said, later, act, place, facts):
    S = rng.choice([f"A {who}", f"A {who}", f"The {who}", f"This {who}"])
    He = he.capitalize()
    scene = ""
    if act or place:
        scene = " ".join(x for x in ((act or "is"), _place(place, act, rng, True) if place else "") if x)
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
        text = f"Wearing {outfit}, the {who} " + (f"has {hair}." if hair else rng.choice(["looks ahead.", "is seen here.", "goes along."]))
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
        extras.append(rng.choice([f"Other people are behind {him}.", "There are other people nearby."]))
    return " ".join([text] + extras)


def _generic(rng, who, he, him, his, outfit, hair, said, later, act, place, facts):
    form = rng.randrange(5)
    hairy = f" whose hair is {hair[:-5]}" if hair and rng.random() < .5 else (f" having {hair}" if hair else "")
    if not outfit:
        text = f"In the picture there is a {who}{hairy}."
    elif form == 0:
        text = f"The picture shows a {who}{hairy}, clothed in {outfit}."
    elif form == 1:
        text = f"In the picture there is a {who}{hairy}. The clothes are {outfit}."
    elif form == 2:
        text = f"Photo of a {who}{hairy}; {outfit} can be seen."
    elif form == 3:
        text = f"Here we see a {who} who has put on {outfit}." + (f" The hair is {hair[:-5]}." if hair else "")
    else:
        text = f"One person, a {who}{hairy}, dressed with {outfit}."
    extras = [_extra(g, said[g], he, his, rng, False) for g in later]
    if act:
        extras.append(rng.choice([f"The {who} is {act}.", f"The person is {act} at this moment."]))
    if place:
        extras.append(rng.choice([f"The background is {said['background']}.", f"The photo was taken {_place(place, None, rng, False)}."]))
    if "bystanders" in said:
        extras.append(rng.choice(["Other people appear in the picture.", "Some other people can be seen."]))
    return " ".join([text] + extras)


_LINKS = [", ", ", ", " and ", " with ", " plus ", "; ", ". Also ", ". {He} has ", ". {He} wears ", " wearing ", ", wearing ", " who has ", " in ",
          " carrying ", ", dressed in ", ". {His} things: ", " that has ", ". Note "]


def _loose(rng, who, he, his, facts):
    """Noun phrases in any order, tied by any link: the teacher of word meaning where grammar gives no hold."""
    parts = [noun_phrase(g, facts, rng, rng.random() < .5) for g in _groups_of(facts)]
    rng.shuffle(parts)
    parts.insert(0 if rng.random() < .6 else rng.randint(0, len(parts)), rng.choice([f"a {who}", f"the {who}", f"this {who}", who]))
    text = parts[0]
    for part in parts[1:]:
        text += rng.choice(_LINKS).format(He=he.capitalize(), His=his.capitalize()) + part
    return text[0].upper() + text[1:] + rng.choice([".", ""])


# canonical language: what the small model answers, merges, splits and rewrites ------------------------------------

def answers(truth: dict, seen: set[str]) -> list[str]:
    """The 15 answers of Eq. 4 in the order of the prompt; "not visible" for what the picture does not show."""
    def thing(group, none):
        names = GROUPS[group]
        if not any(n in seen for n in names):
            return "not visible"
        if truth[names[0]] in ("none", "nothing"):
            return none
        return noun_phrase(group, {n: truth[n] for n in names if n in seen and n != "pattern" and truth[n] != "none"})
    return ["a " + truth["sex"], thing("hair", ""), thing("upper", ""), thing("lower", ""),
            truth["pattern"] if "pattern" in seen else "not visible", thing("shoes", ""), thing("glasses", "no glasses"),
            thing("scarf", "no scarf"), thing("held", "nothing"), thing("bag", "no bag"), thing("hat", "no hat"),
            thing("belt", "no belt"), truth["action"], noun_phrase("background", truth),
            "other people" if truth["bystanders"] == "other people" else "nobody else"]


def sentence(group: str, facts: dict, rng: random.Random | None = None) -> str:
    """One group's facts as one self-contained sentence: canonical without rng, else one of its rewritings."""
    thing = noun_phrase(group, facts, rng)
    man = facts["sex"] == "man"
    who = "the " + (rng.choice(["man", "guy", "male"] if man else ["woman", "lady", "female"]) if rng else facts["sex"])
    his = "his" if man else "her"
    if group == "hair":
        forms = [f"{who} has {thing}.", f"{his} hair is {thing[:-5]}.", f"{thing} is what {who} has.", f"{who} is seen with {thing}."]
    elif group == "bag":
        forms = [f"{who} carries {thing}.", f"{who} has {thing}.", f"{thing} is carried by {who}.", f"{who} is seen with {thing}."]
    elif group == "held":
        forms = [f"{who} holds {thing}.", f"in {his} hand {who} has {thing}.", f"{thing} is in {his} hand.", f"{who} is holding {thing}."]
    elif group == "action":
        forms = [f"{who} is {thing}.", f"we see {who} {thing}.", f"{thing} is what {who} is doing.", f"{who} can be seen {thing}."]
    elif group == "background":
        forms = [f"the background is {thing}.", f"{thing} is behind {who}.", f"{who} is seen near {thing}.", f"there is {thing} in the background."]
    elif group == "bystanders":
        forms = ["there are other people.", f"other people are near {who}.", "other people can be seen.", f"{who} is not alone."]
    else:
        forms = [f"{who} wears {thing}.", f"{who} is dressed in {thing}.", f"{who} has {thing} on.", f"{thing} is worn by {who}."]
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
    worn = [say(g) for g in ("upper", "lower", "shoes", "scarf", "belt", "hat", "glasses") if g in groups]
    if worn:
        text += f" wears {_join(worn)}"
    carried = [f"{verb} {say(g)}" for g, verb in (("bag", "carries"), ("held", "holds")) if g in groups]
    he = "He" if facts["sex"] == "man" else "She"
    parts = [text + "."] + ([f"{he} {' and '.join(carried)}."] if carried else [])
    if "action" in groups:
        parts.append(f"{he} is {say('action')}.")
    if "background" in groups:
        parts.append(f"The background is {say('background')}.")
    if "bystanders" in groups:
        parts.append("There are other people.")
    return " ".join(parts)


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
