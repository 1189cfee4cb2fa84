"""What a text and an answer say of the same characteristic: does the answer add to the text, or contradict it?

A rule over words, so that it costs no call and works on any English description: nouns tell the characteristic, the
words right before them tell colour, length, kind. It reads what it knows and leaves the rest; a word that it does not
know adds nothing and contradicts nothing.
"""

import re
from collections.abc import Mapping

from icl_lib.data.words import CLASSES, NEGATIONS, NOUNS

KINDS = (
    "lower body",
    "shoes",
)  # whose nouns exclude each other; a jacket may well be called a coat
WHOLE_TEXT = {
    "sex": "sex",
    "pattern": "pattern",
    "sleeves": "upper body",
}  # classes that need no noun beside them
OTHER_NAMES = {"patterns": "pattern", "backpack": "bag"}  # of the same characteristics in full.yaml
_CANON = {
    kind: {word: words.split()[0] for words in groups for word in words.split()}
    for kind, groups in CLASSES.items()
}
_OF = {noun: name for name, nouns in NOUNS.items() for noun in nouns.split()}
_ENDS = set(
    [
        ",",
        ".",
        ";",
        ":",
        "and",
        "with",
        "who",
        "in",
        "wearing",
        "wears",
        "carrying",
        "carries",
        "has",
        "is",
        "the",
        "her",
        "his",
        "pair",
        "of",
    ]
)
_ARTICLES = ("a", "an", "any")

Facts = dict[str, dict[str, set[str]]]


def read(text: str, about: str | None = None) -> Facts:
    """{characteristic: {class: words}} that a text states; "there": {"yes"} or {"no"} for each noun named.

    about: the characteristic that the whole text answers, as an answer of Eq. 4 does.
    """
    words, facts = _words(text), {}

    def note(name: str, kind: str, value: str) -> None:
        if about in (None, name):
            facts.setdefault(name, {}).setdefault(kind, set()).add(value)

    for place, word in enumerate(words):
        for kind, name in WHOLE_TEXT.items():
            if word in _CANON[kind]:
                note(name, kind, _CANON[kind][word])
        name = _OF.get(_singular(word))
        if (
            name is None
            or word == "short"
            or (name == "lower body" and _OF.get(_singular(_at(words, place + 1))))
        ):
            continue
        before = _phrase(words[:place])
        note(name, "there", "no" if set(before) & set(NEGATIONS) else "yes")
        for other in [*before, *([_singular(word)] if name == "hairstyle" else [])]:
            for kind in ("colour", "length"):
                if other in _CANON[kind]:
                    note(name, kind, _CANON[kind][other])
        if name in KINDS and _singular(word) in _CANON["kind"]:
            note(name, "kind", _CANON["kind"][_singular(word)])
    return facts


def compare(
    answers: Mapping[str, str | None], text: str, says_something=bool
) -> tuple[list[str], list[str]]:
    """(characteristics whose answer adds to the text, those whose answer contradicts it), in the answers' order.

    answers: {characteristic: answer or None} of Eq. 4. An answer contradicts the text where both state words of one
    class and none in common, or one says that the thing is there and the other that it is not. It adds where it
    `says_something`, does not contradict, and the text does not speak of the characteristic or leaves a class open
    that the answer states.
    """
    told, adds, against = read(text), [], []
    for name, answer in answers.items():
        plain = OTHER_NAMES.get(name, name)
        said, known = read(answer or "", plain).get(plain, {}), told.get(plain)
        if known and any(said[kind].isdisjoint(known[kind]) for kind in said.keys() & known.keys()):
            against.append(name)
        elif says_something(answer) and (known is None or said.keys() - known.keys() - {"kind"}):
            adds.append(name)
    return adds, against


def _words(text: str) -> list[str]:
    text = re.sub(r"\bt-shirt", "tshirt", text.lower().replace("’", "'"))
    text = re.sub(r"\b(long|short)[- ]sleeve(s|d)?\b", r"\1-sleeved", text)
    return re.findall(r"[a-z]+(?:-[a-z]+)*|[.,;:]", text)


def _singular(word: str) -> str:
    word = word.rsplit("-", 1)[-1]
    for ending, stem in (("sses", "ss"), ("oes", "oe"), ("s", "")):
        if word.endswith(ending) and not word.endswith("ss"):
            return word.removesuffix(ending) + stem
    return word


def _at(words: list[str], place: int) -> str:
    return words[place] if 0 <= place < len(words) else ""


def _phrase(before: list[str]) -> list[str]:
    """The unbroken run of describing words at the end of `before`, up to an article; a negation ends it and belongs to it."""
    run: list[str] = []
    for place in range(len(before) - 1, -1, -1):
        word = before[place]
        if word in NEGATIONS:
            return [*run, word]
        if word in _ARTICLES:
            return (
                [*run, *before[max(0, place - 1) : place]]
                if _at(before, place - 1) in NEGATIONS
                else run
            )
        if word in _ENDS or (_OF.get(_singular(word)) and word not in ("short", "leather")):
            break
        run.append(word)
    return run
