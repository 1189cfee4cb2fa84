"""Reads facts back out of the stand-in's captions."""

import re

from icl_lib.data.standin.attributes import VALUES
from icl_lib.data.standin.phrases import GROUPS, SYNONYMS

_ABSENT = ("none", "nothing", "nobody")
_SEX = {
    "man": "man",
    "guy": "man",
    "male": "man",
    "woman": "woman",
    "lady": "woman",
    "female": "woman",
}
_UNNAMED = {
    "hair": "hair",
    "top": "upper",
    "shoes": "shoes",
    "bag": "bag",
    "hat": "hat",
    "scarf": "scarf",
    "belt": "belt",
}


# what a text claims ----------------------------------------


def read_facts(text: str) -> dict[str, str]:
    """What a text says of a drawn person, attribute -> value in the stand-in's words; a rough reader.

    It looks for the known nouns and the known adjectives right before them ("a red striped t-shirt"), so a
    word it does not know is not read, and of two statements about one attribute the first counts.
    """
    text, facts, end = text.lower(), {}, 0
    sex = re.search(rf"\b({'|'.join(_SEX)})\b", text)
    if sex:
        facts["sex"] = _SEX[sex[1]]
    for noun in _NOUN.finditer(text):
        group, value = _NOUNS[noun[1]]
        adjectives, before = _adjectives(group, text[end : noun.start()])
        adjectives += _after(group, text[noun.end() :])
        end = noun.end()
        if before in ("no", "without", "not"):
            continue
        for name, said in ([(GROUPS[group][0], value)] if value else []) + adjectives:
            facts.setdefault(name, said)
    return facts


def plain_answer(answer: str | None) -> str:
    """An answer without article, full stop and capital letters, each synonym made its canonical word."""
    words = re.sub(
        r"^(a|an|the)\s+", "", " ".join((answer or "").lower().split()).strip(" .,;:!\"'")
    )
    return _SPELLING.sub(lambda found: _SPELLINGS[found[1]], words)


def _spelled(value: str) -> list[str]:
    return list(dict.fromkeys([value, *SYNONYMS.get(value, [])]))


def _adjectives(group: str, before: str) -> tuple[list[tuple[str, str]], str]:
    """The facts in the unbroken run of known adjectives at the end of `before`, and the word ahead of it."""
    words, found = re.findall(r"[\w-]+|[^\w\s]", before), []
    while words and words[-1] in _ADJECTIVES[group]:
        found.append(_ADJECTIVES[group][words.pop()])
    return found, words[-1] if words else ""


def _after(group: str, rest: str) -> list[tuple[str, str]]:
    if group == "upper" and (sleeves := re.match(r"\s+with (short|long) sleeves", rest)):
        return [("sleeves", sleeves[1])]
    if group == "hair" and (told := re.match(r"\s+is((?:\s+[\w-]+)+)", rest)):
        words = told[1].split()
        stop = next(
            (i for i, word in enumerate(words) if word not in _ADJECTIVES["hair"]), len(words)
        )
        return [_ADJECTIVES["hair"][word] for word in words[:stop]]
    return []


def _vocabulary():
    nouns = {word: (group, None) for word, group in _UNNAMED.items()}
    nouns |= dict.fromkeys(["people", "other people", "not alone"], ("bystanders", "other people"))
    adjectives: dict[str, dict] = {}
    for group, names in GROUPS.items():
        if names[0] == group and group not in ("scarf", "belt", "bystanders"):
            nouns |= {
                word: (group, value)
                for value in VALUES[group][0]
                if value not in _ABSENT
                for word in _spelled(value)
            }
            names = names[1:]
        adjectives[group] = {
            word: (name, value)
            for name in names
            for value in VALUES[name][0]
            if value not in _ABSENT
            for word in ([f"{value}-sleeved"] if name == "sleeves" else _spelled(value))
        }
    return nouns, adjectives


def _any_of(words) -> re.Pattern:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})(?![\w-])")


_NOUNS, _ADJECTIVES = _vocabulary()
_NOUN = _any_of(_NOUNS)
_SPELLINGS = {
    word: value for values, _ in VALUES.values() for value in values for word in _spelled(value)
}
_SPELLING = _any_of(_SPELLINGS)
