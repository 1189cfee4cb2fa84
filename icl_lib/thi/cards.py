"""Gallery cards as a table: what the MLLM says of each picture (Eq. 4), one code per facet.

A facet is one thing that a short question can ask for: the colour of the hat, the kind of bag, the
length of the hair. Its values are words of `icl_lib.data.words`. Where a card says that a thing is
not there, every facet of that thing has the value "none".
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from icl_lib.data.words import CLASSES, VARIETIES
from icl_lib.thi.contradictions import OTHER_NAMES, read

NONE = "none"
# Characteristic -> how a question names it, and what can be asked of it.
THINGS = {
    "sex": ("the person", "sex"),
    "hairstyle": ("the hair", "colour length"),
    "upper body": ("the upper garment", "kind colour sleeves"),
    "lower body": ("the lower garment", "kind colour length"),
    "pattern": ("the clothes", "pattern"),
    "shoes": ("the shoes", "kind colour"),
    "glasses": ("glasses", "there kind"),
    "scarf": ("a scarf", "there colour"),
    "bag": ("a bag", "there kind colour"),
    "hat": ("a hat", "there kind colour"),
    "belt": ("a belt", "there colour"),
}
# What a person may be without; of these, a facet can have the value "none".
OPTIONAL = ("glasses", "scarf", "bag", "hat", "belt")
_QUESTIONS = {
    "sex": "Is the person a man or a woman?",
    "pattern": "Which pattern do the clothes have?",
    "sleeves": "How long are the sleeves of {thing}?",
    "colour": "What is the colour of {thing}?",
    "length": "How long is {thing}?",
    "there": "Did the person have {thing}?",
}
_KIND_QUESTIONS = {
    "upper body": "What did the person wear on the upper body?",
    "lower body": "What did the person wear on the lower body?",
    "shoes": "What kind of shoes did the person wear?",
}
_OPTIONAL_QUESTIONS = {
    "colour": "Did the person have {thing}, and of which colour?",
    "kind": "Did the person have {thing}, and of which kind?",
}
_KIND_OF = {
    name: {noun: words.split()[0] for words in groups for noun in words.split()}
    for name, groups in VARIETIES.items()
}


@dataclass(frozen=True, order=True)
class Facet:
    """One thing to ask for: a characteristic, and a class of words such as colour or length."""

    characteristic: str
    kind: str

    @property
    def question(self) -> str:
        """The question to a person, in English."""
        if self.kind == "kind" and self.characteristic in _KIND_QUESTIONS:
            return _KIND_QUESTIONS[self.characteristic]
        forms = _QUESTIONS
        if self.characteristic in OPTIONAL:
            forms = forms | _OPTIONAL_QUESTIONS
        return forms[self.kind].format(thing=THINGS[self.characteristic][0])

    @property
    def values(self) -> list[str]:
        """The values that it can have; their places are its codes."""
        if self.kind == "there":
            return ["yes", NONE]
        groups = VARIETIES[self.characteristic] if self.kind == "kind" else CLASSES[self.kind]
        words = [group.split()[0] for group in groups]
        return [*words, NONE] if self.characteristic in OPTIONAL else words


FACETS = [Facet(name, kind) for name, (_, kinds) in THINGS.items() for kind in kinds.split()]
VALUES = [facet.values for facet in FACETS]
_CODES = [{value: code for code, value in enumerate(values)} for values in VALUES]


def facts(answers: Mapping[str, str | None]) -> dict[Facet, str]:
    """What one card says: {facet: value}; facets that it leaves open are missing.

    Two different words for one facet ("a black or blue shirt") leave it open.

    Args:
        answers: {characteristic: answer or None} of Eq. 4.
    """
    said: dict[Facet, str] = {}
    for given, answer in answers.items():
        name = OTHER_NAMES.get(given, given)
        if name not in THINGS or not answer:
            continue
        stated = dict(read(answer, name).get(name, {}))
        if stated.get("there") == {"no"}:
            stated = {kind: {NONE} for kind in ("there", "colour", "kind")}
        else:
            stated["kind"] = _kinds(answer, name)
        for kind in THINGS[name][1].split():
            words = stated.get(kind, ())
            if len(words) == 1:
                said[Facet(name, kind)] = next(iter(words))
    return said


def text_facts(text: str) -> dict[Facet, str]:
    """What a caption says, read in the same way."""
    return facts(dict.fromkeys(THINGS, text))


def codes(rows: Sequence[Mapping[Facet, str]]) -> np.ndarray:
    """Facts of N pictures or captions as codes [N, F]; −1 for what is open."""
    said = np.full((len(rows), len(FACETS)), -1)
    for row, known in zip(said, rows, strict=True):
        for f, facet in enumerate(FACETS):
            if facet in known:
                row[f] = _CODES[f].get(known[facet], -1)
    return said


def rates(said: np.ndarray) -> list[np.ndarray]:
    """The share of each value of each facet, F × [n], among the cards [G, F] that say it.

    Each value starts with one card, so that none is impossible.
    """
    counts = [
        1 + np.bincount(column[column >= 0], minlength=len(values))
        for column, values in zip(said.T, VALUES, strict=True)
    ]
    return [count / count.sum() for count in counts]


def _kinds(answer: str, name: str) -> set[str]:
    """The kinds of a thing that an answer names, such as "backpack" for a bag."""
    known = _KIND_OF.get(name, {})
    words = re.findall(r"[a-z]+(?:-[a-z]+)*", answer.lower())
    return {known[word] for word in words if word in known}
