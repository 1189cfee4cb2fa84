"""One browser's search: its dialogue, settings and filter, and what is said to its person.

A session holds no picture and writes nothing. All sessions share one `Searcher`, and with it what
the models said; they ask the MLLM one after the other. A person may answer while the MLLM is being
asked: each answer is a turn, and no turn replaces another.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from icl_lib.search.dialogue import Dialogue, Judged, Sentence, Told, Turn
from icl_lib.search.ranking import Ranking
from icl_lib.search.searcher import EVIDENCE, PERSON, SIMILARITY, Searcher
from icl_lib.thi.telling import Question

PORTION = 5  # pictures that are described between two signs of life
LONGEST = 500  # characters of a sentence; the backbones read fewer


@dataclass(frozen=True)
class Settings:
    """What a person can set.

    Attributes:
        rule: how the MLLM's answers are used, one of `icl_lib.search.searcher.RULES`.
        k: K, the most pictures that the MLLM is asked about at a time.
        shown: the number of pictures shown.
        person: how often the person is right about a picture.
        rounds: the most questions to the person, one after the other.
    """

    rule: str = EVIDENCE
    k: int = 5
    shown: int = 20
    person: float = PERSON
    rounds: int = 5


class Session:
    """The search of one browser.

    Args:
        searcher: where to search.
        models: held by the session whose MLLM is asked.

    Attributes:
        dialogue: what was said.
        settings: what the person set.
        groups: the groups that are searched in; none means all.
        keep: the gallery columns of these groups, None for all.
        ranking: the pictures after the last turn, None before the first sentence.
        question: the question to the person that is open.
        message: the last thing that the person should know.
        failed: whether the message is about something that went wrong.
        working: what is being done that takes long.
    """

    def __init__(self, searcher: Searcher, models: threading.Lock):
        self.searcher, self.models = searcher, models
        self.dialogue, self.settings = Dialogue(), Settings()
        self.groups: list[str] = []
        self.keep: np.ndarray | None = None
        self.ranking: Ranking | None = None
        self.question: Question | None = None
        self.message, self.failed, self.working = "", False, ""
        self._asked, self._stopped, self._turns = 0, False, threading.Lock()

    def __deepcopy__(self, memo) -> "Session":
        """An empty session of the same gallery: Gradio copies the first one for each browser."""
        return Session(self.searcher, self.models)

    @property
    def search(self) -> Searcher:
        """The searcher with this person's settings."""
        return self.searcher.with_settings(self.settings.rule, self.settings.person)

    @property
    def can_ask(self) -> bool:
        """Whether there is anything to ask the MLLM now."""
        return self.can_describe and self.settings.rule != SIMILARITY

    @property
    def can_describe(self) -> bool:
        """Whether there is an MLLM to describe pictures, and a ranking."""
        has_mllm = self.searcher.models.mllm is not None
        return has_mllm and self.ranking is not None and not self.working

    def say(self, text: str) -> None:
        """A sentence about the person."""
        if len(text) > LONGEST:
            self._fail(f"The sentence is longer than {LONGEST} characters: shorten it.")
        elif not text.strip():
            self._fail("Describe the person in a few words first.")
        else:
            self.add(Sentence(text))

    def take_back(self, text: str) -> None:
        """Takes a sentence back."""
        if text in self.dialogue.sentences:
            self.add(Sentence(text, kept=False))

    def judge(self, column: int, yes: bool, found: bool = False) -> None:
        """The person's answer about a picture."""
        if 0 <= column < len(self.searcher.index.paths):
            self._stopped |= found
            self.add(Judged(column, yes, found=found))

    def tell(self, value: str | None) -> None:
        """The person's answer to the open question; None is "not sure"."""
        if self.question and (value is None or value in self.question.facet.values):
            self.add(Told(self.question.facet, value))

    def undo(self) -> None:
        """Takes the last turn back."""
        with self._turns:
            self.dialogue = self.dialogue.undo()
        self.renew()

    def start_over(self) -> None:
        """Forgets the dialogue."""
        self._stopped = True
        with self._turns:
            self.dialogue = Dialogue()
        self.question = None
        self.renew()

    def choose(self, groups: list[str]) -> None:
        """Searches in some groups only; an empty list searches in all."""
        of = np.asarray(self.searcher.index.groups)
        self.groups, self.keep = groups, np.flatnonzero(np.isin(of, groups)) if groups else None
        self.renew()

    def set(self, settings: Settings) -> None:
        """Takes other settings."""
        self.settings = settings
        self.renew()

    def stop(self) -> None:
        """Ends what is being done after the step that it is at."""
        self._stopped = True

    def add(self, turn: Turn) -> None:
        """Adds a turn and ranks anew."""
        with self._turns:
            self.dialogue = self.dialogue.add(turn)
        self.renew()

    def renew(self) -> None:
        """Ranks anew; what goes wrong becomes the message, and the old ranking stays."""
        self.message, self.failed = "", False
        if self.question and self.question.facet in self.dialogue.answered:
            self.question = None
        if not self.dialogue.text:
            self.ranking = self.question = None
            return
        try:
            self.ranking = self.search.rank(self.dialogue, self.keep)
        except Exception as problem:  # whatever a model raises, the page goes on
            self._fail(f"The pictures could not be ranked anew: {_first_line(problem)}")

    def ask(self) -> Iterator[None]:
        """Asks the MLLM about up to K pictures; stops for a moment after each step."""
        if not self.can_ask:
            return
        try:
            for step in range(self.settings.k):
                self._begin(f"Asking the model, question {step + 1} of at most {self.settings.k} …")
                yield
                with self.models:
                    after = next(self.search.asking(self.dialogue, 1, self.keep), None)
                if after is None or self._stopped:  # a find or a new start came in between
                    break
                turn = after.turns[-1]
                self.add(turn)
                yield
                with self.models:  # for the reason, which the card tells
                    self.searcher.describe([turn.picture])
                if self._stopped:
                    break
            self.renew()
            if after is None:
                self.message = "No further question to the model is worth its price."
        except Exception as problem:
            self._fail(_unanswered(problem))
        finally:
            self._end()
        yield

    def look_for_question(self, first: bool = True) -> Iterator[None]:
        """Looks for the most telling question; stops for a moment after each step.

        The leading pictures are described before, which takes long the first time.

        Args:
            first: False goes on with questions, of which there are `rounds` at most.
        """
        self._asked = 0 if first else self._asked
        if not self.can_describe or self._asked >= self.settings.rounds or self.dialogue.found:
            return
        try:
            columns = self.search.undescribed(self.dialogue, self.keep)
            for start in range(0, len(columns), PORTION):
                self._begin(f"Describing pictures, {start} of {len(columns)} done …")
                yield
                if self._stopped:
                    return
                with self.models:
                    self.searcher.describe(columns[start : start + PORTION])
            with self.models:
                self.question = self.search.question(self.dialogue, self.keep)
            self._asked += 1
            if self.question is None:
                self.message = "No further question would tell enough to be worth your time."
        except Exception as problem:
            self._fail(_unanswered(problem))
        finally:
            self._end()
        yield

    def _begin(self, what: str) -> None:
        if not self.working:
            self._stopped = False
        self.working = what

    def _end(self) -> None:
        self.working = ""

    def _fail(self, message: str) -> None:
        self.message, self.failed = message, True


def _first_line(problem: Exception) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]


def _unanswered(problem: Exception) -> str:
    return f"The model gave no answer; the ranking stays as it is. {_first_line(problem)}"
