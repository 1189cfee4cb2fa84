"""Whether an answer about a characteristic adds to a text or contradicts it.

A rule over words: it costs no call of the MLLM and works on any English description. Nouns tell the
characteristic, and the words right before them tell colour, length and kind. A word that is not in
`icl_lib.data.words` adds nothing and contradicts nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from icl_lib.data.words import CLASSES, NEGATIONS, NOUNS

# Characteristics whose nouns exclude each other; a jacket, in contrast, may be called a coat.
KINDS = ("lower body", "shoes")
# Classes that need no noun beside them -> their characteristic.
WHOLE_TEXT = {"sex": "sex", "pattern": "pattern", "sleeves": "upper body"}
# Names in params/prompts/full.yaml -> the same characteristic here.
OTHER_NAMES = {"patterns": "pattern", "backpack": "bag"}
_CANON = {
    kind: {word: words.split()[0] for words in groups for word in words.split()}
    for kind, groups in CLASSES.items()
}
_OF = {noun: name for name, nouns in NOUNS.items() for noun in nouns.split()}
_ENDS = {*",.;:", "and", "with", "who", "in", "wearing", "wears", "carrying", "carries"}
_ENDS |= {"has", "is", "the", "her", "his", "pair", "of"}
_ARTICLES = ("a", "an", "any")

Facts = dict[str, dict[str, set[str]]]


def read(text: str, about: str | None = None) -> Facts:
    """What a text states: {characteristic: {class: words}}.

    The class "there" says for each named thing whether it is there: "yes" or "no".

    Args:
        text: An English description, or an answer of Eq. 4.
        about: The only characteristic to read, as an answer is about one; None for all.
    """
    facts: Facts = {}
    for name, kind, word in _stated(_words(text)):
        if about in (None, name):
            facts.setdefault(name, {}).setdefault(kind, set()).add(word)
    return facts


def compare(
    answers: Mapping[str, str | None], text: str, says_something: Callable = bool
) -> tuple[list[str], list[str]]:
    """(characteristics whose answer adds to the text, those whose answer contradicts it).

    An answer contradicts the text where both state words of one class and none in common, or where
    one says that the thing is there and the other that it is not. It adds where it says something,
    does not contradict, and states a class (other than the kind) that the text leaves open.

    Args:
        answers: {characteristic: answer or None} of Eq. 4; the results are in the same order.
        text: The text of the query.
        says_something: Whether an answer tells anything ("not visible" does not).
    """
    stated = read(text)
    adds, against = [], []
    for name, answer in answers.items():
        plain = OTHER_NAMES.get(name, name)
        said = read(answer or "", plain).get(plain, {})
        known = stated.get(plain)
        if known and any(said[kind].isdisjoint(known[kind]) for kind in said.keys() & known.keys()):
            against.append(name)
        elif says_something(answer) and (known is None or said.keys() - known.keys() - {"kind"}):
            adds.append(name)
    return adds, against


def _words(text: str) -> list[str]:
    text = re.sub(r"\bt-shirt", "tshirt", text.lower().replace("’", "'"))
    text = re.sub(r"\b(long|short)[- ]sleeve(s|d)?\b", r"\1-sleeved", text)
    return re.findall(r"[a-z]+(?:-[a-z]+)*|[.,;:]", text)


def _stated(words: list[str]) -> Iterator[tuple[str, str, str]]:
    """(characteristic, class, word) of everything that the words state."""
    for place, (word, following) in enumerate(zip(words, [*words[1:], ""], strict=False)):
        for kind, whole in WHOLE_TEXT.items():
            if word in _CANON[kind]:
                yield whole, kind, _CANON[kind][word]
        noun = _singular(word)
        name = _OF.get(noun)
        if not name or word == "short" or (name == "lower body" and _named(following)):
            continue
        before = _phrase(words[:place])
        yield name, "there", "no" if set(before).intersection(NEGATIONS) else "yes"
        for other in [*before, noun] if name == "hairstyle" else before:
            for kind in ("colour", "length"):
                if other in _CANON[kind]:
                    yield name, kind, _CANON[kind][other]
        if name in KINDS and noun in _CANON["kind"]:
            yield name, "kind", _CANON["kind"][noun]


def _singular(word: str) -> str:
    word = word.rsplit("-", 1)[-1]
    if word.endswith("sses"):
        return word.removesuffix("es")
    return word if word.endswith("ss") else word.removesuffix("s")


def _named(word: str) -> str | None:
    """The characteristic that a noun names."""
    return _OF.get(_singular(word))


def _phrase(before: list[str]) -> list[str]:
    """The describing words at the end of `before`, up to an article, and a negation of them."""
    run: list[str] = []
    for word, earlier in zip(before[::-1], [*before[-2::-1], ""], strict=False):
        if word in NEGATIONS:
            return [*run, word]
        if word in _ARTICLES:
            return [*run, earlier] if earlier in NEGATIONS else run
        if word in _ENDS or (_named(word) and word not in ("short", "leather")):
            return run
        run.append(word)
    return run
