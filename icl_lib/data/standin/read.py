"""Reads facts back out of texts in the stand-in's words.

The analyses compare these facts with what was drawn, value by value. That needs the stand-in's
exact vocabulary (`attributes.VALUES` and `phrases.SYNONYMS`), which the readers of free English
(`icl_lib.thi.contradictions`, `icl_lib.analysis.mentions`) neither have nor need.
"""

import re
from itertools import takewhile

from icl_lib.data.standin.attributes import ABSENT, VALUES
from icl_lib.data.standin.phrases import GROUPS, SYNONYMS, UNNAMED
from icl_lib.data.words import NEGATIONS

_SEX = dict.fromkeys(["man", "guy", "male"], "man")
_SEX |= dict.fromkeys(["woman", "lady", "female"], "woman")


def read_facts(text: str) -> dict[str, str]:
    """What a text says about a drawn person: attribute -> value.

    The reader looks for known nouns and the known adjectives right before them ("a red striped
    t-shirt"). Words that it does not know are skipped, and of two statements about one attribute
    the first counts.
    """
    text = text.lower()
    facts, end = {}, 0
    if sex := re.search(rf"\b({'|'.join(_SEX)})\b", text):
        facts["sex"] = _SEX[sex[1]]
    for noun in _NOUN.finditer(text):
        group, value = _NOUNS[noun[1]]
        adjectives, before = _adjectives_before(group, text[end : noun.start()])
        adjectives += _adjectives_after(group, text[noun.end() :])
        end = noun.end()
        if before not in NEGATIONS:
            for name, said in ([(GROUPS[group][0], value)] if value else []) + adjectives:
                facts.setdefault(name, said)
    return facts


def plain_answer(answer: str | None) -> str:
    """An answer without article, punctuation and capitals, each synonym replaced by its value."""
    words = " ".join((answer or "").lower().split()).strip(" .,;:!\"'")
    return _SPELLING.sub(lambda found: _SPELLINGS[found[1]], re.sub(r"^(a|an|the)\s+", "", words))


def _adjectives_before(group: str, before: str) -> tuple[list[tuple[str, str]], str]:
    """The facts in the run of known adjectives at the end of `before`, and the word ahead of it."""
    words, found = re.findall(r"[\w-]+|[^\w\s]", before), []
    while words and words[-1] in _ADJECTIVES[group]:
        found.append(_ADJECTIVES[group][words.pop()])
    return found, words[-1] if words else ""


def _adjectives_after(group: str, rest: str) -> list[tuple[str, str]]:
    """The facts that follow a noun: "with long sleeves", or "is short red" of hair."""
    if group == "upper" and (sleeves := re.match(r"\s+with (short|long) sleeves", rest)):
        return [("sleeves", sleeves[1])]
    if group == "hair" and (run := re.match(r"\s+is((?:\s+[\w-]+)+)", rest)):
        known = takewhile(_ADJECTIVES["hair"].__contains__, run[1].split())
        return [_ADJECTIVES["hair"][word] for word in known]
    return []


def _spelled(name: str) -> dict[str, str]:
    """Spelling -> value, for the values of an attribute that say that something is there."""
    values = [value for value in VALUES[name][0] if value not in ABSENT]
    return {word: value for value in values for word in [value, *SYNONYMS.get(value, [])]}


def _any_of(words) -> re.Pattern:
    """Matches any of the words as a whole, the longest first."""
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})(?![\w-])")


# Noun -> (group, the value it names or None); group -> adjective -> (attribute, value).
_NOUNS = {noun: (group, None) for group, noun in UNNAMED.items()}
_NOUNS |= dict.fromkeys(["people", "other people", "not alone"], ("bystanders", "other people"))
_NAMED = [g for g in GROUPS if g in VALUES and g not in ("scarf", "belt", "bystanders")]
_NOUNS |= {word: (group, value) for group in _NAMED for word, value in _spelled(group).items()}
_ADJECTIVES = {
    group: {
        f"{word}-sleeved" if name == "sleeves" else word: (name, value)
        for name in names
        if group not in _NAMED or name != group
        for word, value in _spelled(name).items()
    }
    for group, names in GROUPS.items()
}
_NOUN = _any_of(_NOUNS)
_SPELLINGS = {word: value for name in VALUES for word, value in _spelled(name).items()}
_SPELLINGS |= {value: value for value in ABSENT}
_SPELLING = _any_of(_SPELLINGS)
