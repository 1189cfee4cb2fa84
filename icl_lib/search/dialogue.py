"""A dialogue: sentences, answers about pictures, answers about characteristics. It can be undone.

Everything that is said in a search is a turn. A dialogue is a tuple of turns and never changes: a
new turn gives a new dialogue, and undoing one gives the dialogue before it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from icl_lib.thi.cards import Facet, text_facts


@dataclass(frozen=True)
class Sentence:
    """A sentence about the person, or an earlier one that is taken back.

    Raises:
        ValueError: the sentence is empty.
    """

    text: str
    kept: bool = True

    def __post_init__(self):
        if not self.text.strip():
            raise ValueError("the sentence is empty: describe the person in a few words")
        object.__setattr__(self, "text", " ".join(self.text.split()))


@dataclass(frozen=True)
class Judged:
    """What a person or the MLLM says of a picture: does it show the person who is looked for?

    Attributes:
        picture: a gallery column.
        yes: the answer.
        p_yes: the MLLM's calibrated P(Yes); None for a person's answer.
        text: the description that the MLLM judged. Its answer no longer counts once the description
            has changed.
        found: the person says that this picture ends the search.
    """

    picture: int
    yes: bool
    p_yes: float | None = None
    text: str = ""
    found: bool = False

    @property
    def by_mllm(self) -> bool:
        """Whether the MLLM gave the answer."""
        return self.p_yes is not None


@dataclass(frozen=True)
class Told:
    """A person's answer to a question about a characteristic; value None is "not sure"."""

    facet: Facet
    value: str | None

    def __post_init__(self):
        if self.value is not None and self.value not in self.facet.values:
            raise ValueError(
                f"{self.value!r} is no answer to {self.facet.question!r}: choose one of "
                f"{', '.join(self.facet.values)}, or None for 'not sure'"
            )


Turn = Sentence | Judged | Told


@dataclass(frozen=True)
class Dialogue:
    """The turns of one search, in order."""

    turns: tuple[Turn, ...] = ()

    def add(self, *turns: Turn) -> Self:
        """The dialogue with further turns."""
        return replace(self, turns=self.turns + turns)

    def undo(self) -> Self:
        """The dialogue without the last turn; the MLLM's answers in a row count as one turn."""
        end = len(self.turns) - 1
        while end > 0 and _by_mllm(self.turns[end]) and _by_mllm(self.turns[end - 1]):
            end -= 1
        return replace(self, turns=self.turns[: max(end, 0)])

    @property
    def sentences(self) -> list[str]:
        """The sentences that hold now: said and not taken back, each once."""
        kept: dict[str, None] = {}
        for turn in self.turns:
            if isinstance(turn, Sentence):
                kept.pop(turn.text, None)
                if turn.kept:
                    kept[turn.text] = None
        return list(kept)

    @property
    def text(self) -> str:
        """The description: all sentences that hold now."""
        return " ".join(s if s.endswith((".", "!", "?")) else f"{s}." for s in self.sentences)

    @property
    def by_person(self) -> dict[int, bool]:
        """The person's last answer about each picture."""
        return {turn.picture: turn.yes for turn in self._judged(lambda turn: not turn.by_mllm)}

    @property
    def by_mllm(self) -> dict[int, float]:
        """P(Yes) of each picture that the MLLM was asked about with the present description."""
        text = self.text
        judged = self._judged(lambda turn: turn.by_mllm and turn.text == text)
        return {turn.picture: float(turn.p_yes) for turn in judged}

    @property
    def found(self) -> int | None:
        """The picture that ended the search; None while the search goes on."""
        last = self.turns[-1] if self.turns else None
        return last.picture if isinstance(last, Judged) and last.found else None

    @property
    def told(self) -> dict[Facet, str | None]:
        """The person's last answer about each characteristic."""
        return {turn.facet: turn.value for turn in self.turns if isinstance(turn, Told)}

    @property
    def answered(self) -> set[Facet]:
        """What need not be asked any more: answered questions, and what the sentences say."""
        return set(self.told) | set(text_facts(self.text))

    def _judged(self, wanted: Callable[[Judged], bool]) -> list[Judged]:
        return [turn for turn in self.turns if isinstance(turn, Judged) and wanted(turn)]


def _by_mllm(turn: Turn) -> bool:
    return isinstance(turn, Judged) and turn.by_mllm
