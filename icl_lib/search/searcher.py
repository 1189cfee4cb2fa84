"""The ranking of a gallery by all that was said, the MLLM's questions, and those to the person.

The pictures that the description finds first (FIRST of them) are the hypotheses. Their posterior is
that of `icl_lib.thi.evidence`, with three kinds of answers:

    log P(v | all) = S(q, v)/τ + E_M(v) + E_P(v) + Σ_f log P(a_f | v) + constant

E_M gathers the MLLM's Yes and No, and E_P those of the person, who is right with probability h
about any picture: r = ±log h/(1 − h). Both pass on to look-alikes, and each is discounted for its
own repetition only: the MLLM and the person do not repeat each other. P(a_f | v) is the person's
answer about facet f, see `icl_lib.thi.telling`.

This is the rule EVIDENCE. Two others leave E_M out: SIMILARITY asks no MLLM, and FIRST_YES takes
Ŝ(q, v) of Eq. 6 for S(q, v), where the anchor is the picture of the MLLM's first Yes. Algorithm 1's
ξ needs a val split, so it is left out: the first Yes is the anchor at any rank.
"""

import copy
from collections.abc import Iterator
from functools import lru_cache
from typing import Self

import numpy as np
from scipy.special import log_softmax

from icl_lib.mllm.tasks import Answers, aggregate, describe
from icl_lib.params.names import known
from icl_lib.search.dialogue import Dialogue, Judged
from icl_lib.search.ranking import Ranking, log_odds, passed_on
from icl_lib.thi.algorithm1 import rerank
from icl_lib.thi.cards import FACETS, codes, facts
from icl_lib.thi.contradictions import compare
from icl_lib.thi.evidence import Evidence, Hypotheses, spread_out
from icl_lib.thi.policies import Answers as KindsOfAnswers
from icl_lib.thi.policies import Policy
from icl_lib.thi.telling import Belief, Question

FIRST = 1000  # pictures that are ranked anew after each turn; the others stay behind them
LEADING = 50  # pictures whose cards a question to the person is chosen by
DEPTH = 10  # pictures that the MLLM may be asked about next
PERSON = 0.98  # h: a person's Yes or No is right this often
THETA = 0.85  # reliability of the answers about facets where it was not measured on val
LAM = 0.8  # λ of Eq. 6, the paper's
EVIDENCE, FIRST_YES, SIMILARITY = "evidence", "first yes", "similarity"
RULES = (EVIDENCE, FIRST_YES, SIMILARITY)
BEST_FIRST = 0.05  # without a fitted rule: ask while P(v) is at least this share of the leader's


class Searcher:
    """Searches one gallery with one set of models; it holds no dialogue, so many can share it.

    Args:
        index: the gallery, an `icl_lib.search.index.PictureIndex`.
        models: backbone, MLLM and rule, an `icl_lib.search.models.Models`.
        person: h in (0.5, 1).
        theta: reliabilities [F] of `icl_lib.thi.telling.reliabilities`, or one for all facets.

    Attributes:
        rule: how the MLLM's answers are used, one of RULES.
        answers: the MLLM's description of each picture that it was asked to describe (Eq. 4).
    """

    def __init__(self, index, models, person: float = PERSON, theta=THETA):
        self.index, self.models, self.theta = index, models, theta
        self.rule, self.honesty = EVIDENCE, log_odds(person)
        self.answers: dict[int, Answers] = {}
        self._codes: dict[int, np.ndarray] = {}
        self._refined: dict[tuple[int, str], str] = {}  # anchor and q -> q̂
        self._encode = lru_cache(256)(lambda text: models.backbone.encode_texts([text])[0])

    def with_settings(self, rule: str, person: float) -> Self:
        """The same search with other settings; what the models said is shared with this one.

        Raises:
            ValueError: there is no such rule, or the person would guess.
        """
        other = copy.copy(self)
        other.rule, other.honesty = known("rule", rule, RULES), log_odds(person)
        return other

    def rank(self, dialogue: Dialogue, keep: np.ndarray | None = None) -> Ranking:
        """Ranks the gallery.

        Args:
            dialogue: what was said.
            keep: pictures to search in, as gallery columns; None for all.

        Raises:
            ValueError: nothing was said about the person yet.
        """
        return self._ranking(dialogue, *self._hypotheses(dialogue, keep))

    def asking(
        self, dialogue: Dialogue, count: int, keep: np.ndarray | None = None
    ) -> Iterator[Dialogue]:
        """Asks the MLLM about up to `count` pictures, one by one; gives the dialogue after each.

        By EVIDENCE, it asks what the fitted rule finds worth most among the DEPTH pictures in
        front, and stops where no question is worth the rule's price. By FIRST_YES, it asks in rank
        order, stops at a Yes, and describes that anchor and merges the answers into the query.

        Raises:
            ValueError: there is no MLLM, or the rule is SIMILARITY.
        """
        mllm = self._mllm().unkept()  # what a person types is not stored
        if self.rule == SIMILARITY:
            raise ValueError("the rule 'similarity' asks no MLLM: choose another rule")
        columns, sim = self._hypotheses(dialogue, keep)
        following = self._by_worth if self.rule == EVIDENCE else self._in_order
        self._refine(dialogue)
        for _ in range(count):
            picture = following(dialogue, columns, sim)
            if picture is None:
                return
            text = dialogue.text
            p = float(mllm.p_yes([self.index.paths[picture]], [text])[0])
            dialogue = dialogue.add(Judged(picture, p > self.models.threshold, p, text))
            self._refine(dialogue)
            yield dialogue

    def ask(self, dialogue: Dialogue, count: int, keep: np.ndarray | None = None) -> Dialogue:
        """The dialogue after all of `asking`."""
        for after in self.asking(dialogue, count, keep):
            dialogue = after
        return dialogue

    def question(self, dialogue: Dialogue, keep: np.ndarray | None = None) -> Question | None:
        """The most telling question to the person; None if none is worth asking.

        Describes the LEADING pictures first, unless they were described before.

        Raises:
            ValueError: there is no MLLM to describe the pictures.
        """
        columns, log_p = self._leading(dialogue, keep)
        self.describe(columns.tolist())
        said = self._said(columns)
        belief = Belief.of(said, self.theta)
        return belief.most_telling(log_softmax(log_p), said, dialogue.answered)

    def undescribed(self, dialogue: Dialogue, keep: np.ndarray | None = None) -> list[int]:
        """The pictures that `question` would describe first."""
        columns = self._leading(dialogue, keep)[0].tolist()
        return [column for column in columns if column not in self.answers]

    def describe(self, columns: list[int]) -> None:
        """Makes the cards of pictures, if they are not made yet (Eq. 4).

        Raises:
            ValueError: there is no MLLM.
        """
        missing = [column for column in columns if column not in self.answers]
        if not missing:
            return
        described = describe(self._mllm(), [self.index.paths[column] for column in missing])
        for column, answers in zip(missing, described, strict=True):
            self._codes[column] = codes([facts(answers)])[0]
            self.answers[column] = answers

    def contradictions(self, column: int, text: str) -> dict[str, str]:
        """What the card of a picture says against the text: {characteristic: the card's words}."""
        answers = self.answers.get(column, {})
        return {name: str(answers[name]) for name in compare(answers, text)[1]}

    def _mllm(self):
        if self.models.mllm is None:
            raise ValueError("there is no MLLM to ask: " + " ".join(self.models.note))
        return self.models.mllm

    def _leading(self, dialogue: Dialogue, keep) -> tuple[np.ndarray, np.ndarray]:
        """The LEADING pictures of the posterior, best first, and its log, up to a constant."""
        columns, sim = self._hypotheses(dialogue, keep)
        log_p = self._log_posterior(dialogue, columns, sim, self.index.vectors[columns])
        leading = np.argsort(-log_p, kind="stable")[:LEADING]
        return columns[leading], log_p[leading]

    def _by_worth(self, dialogue: Dialogue, columns, sim) -> int | None:
        """The picture that the fitted rule asks about next, None for no more."""
        vectors = self.index.vectors[columns]
        ranked = self._ranking(dialogue, columns, sim)
        place_of = {column: place for place, column in enumerate(columns.tolist())}
        front = np.array([[place_of[c] for c in ranked.columns[:DEPTH].tolist()]])
        state = Hypotheses(sim[None], front, vectors, self.models.evidence)
        without = self._log_posterior(dialogue, columns, sim, vectors, with_mllm=False)
        state.log_prior = log_softmax(without[state.columns], axis=1)
        place = int(self._policy(state)(ranked.p_yes[None, :DEPTH])[0])
        return None if place < 0 else int(ranked.columns[place])

    def _in_order(self, dialogue: Dialogue, columns, sim) -> int | None:
        """The picture that Algorithm 1 asks about next, None after a Yes."""
        asked = dialogue.by_mllm
        if self._first_yes(dialogue) is not None:
            return None
        ranked = self._ranking(dialogue, columns, sim).columns.tolist()
        return next((column for column in ranked if column not in asked), None)

    def _first_yes(self, dialogue: Dialogue) -> int | None:
        """The picture of the MLLM's first Yes."""
        answers = dialogue.by_mllm.items()
        return next((column for column, p in answers if p > self.models.threshold), None)

    def _refine(self, dialogue: Dialogue) -> None:
        """By FIRST_YES, merges what the anchor shows into the query (Eq. 4 and 5)."""
        anchor, text = self._first_yes(dialogue), dialogue.text
        if self.rule == FIRST_YES and anchor is not None and (anchor, text) not in self._refined:
            self.describe([anchor])
            mllm = self._mllm().unkept()
            self._refined[anchor, text] = aggregate(mllm, [self.answers[anchor]], [text])[0]

    def _anchored(self, dialogue: Dialogue, columns, sim, vectors) -> np.ndarray:
        """Eq. 6 [N]: the similarities after the MLLM's first Yes; without one, S."""
        anchor = self._first_yes(dialogue)
        refined, place = self._refined.get((anchor, dialogue.text)), columns == anchor
        if refined is None or not place.any():
            return sim
        enriched = vectors @ self._encode(refined)
        return rerank(sim[None], enriched[None], np.flatnonzero(place), LAM)[0]

    def _policy(self, state: Hypotheses) -> Policy:
        rule = self.models.rule
        if rule is None:
            none = KindsOfAnswers(np.ones(1), np.ones(1))  # best_first does not look at them
            return Policy("best_first", state, none, BEST_FIRST)
        return Policy(rule.policy, state, rule.answers, rule.price)

    def _hypotheses(self, dialogue: Dialogue, keep) -> tuple[np.ndarray, np.ndarray]:
        """Columns [N] and S [N] of the pictures that the description finds first or were judged."""
        if not dialogue.text:
            raise ValueError("nothing was said about the person yet: start with a sentence")
        query = self._encode(dialogue.text)
        if keep is None:
            columns = self.index.gallery.search(query[None], FIRST)[1][0]
            columns = columns[columns >= 0]
        else:
            keep = np.asarray(keep, dtype=int)
            sim = (self.index.vectors @ query)[keep]  # faster than to gather the rows
            columns = keep[np.argsort(-sim, kind="stable")[:FIRST]]
        judged = [*dialogue.by_person, *dialogue.by_mllm]
        allowed = judged if keep is None else np.intersect1d(judged, keep)
        more = np.setdiff1d(np.asarray(allowed, dtype=int), columns)
        columns = np.concatenate([columns, more]).astype(int)
        return columns, self.index.vectors[columns] @ query

    def _log_posterior(
        self, dialogue: Dialogue, columns, sim, vectors, with_mllm: bool = True
    ) -> np.ndarray:
        """Log of the posterior of the hypotheses [N], up to a constant."""
        evidence: Evidence = self.models.evidence
        if self.rule == FIRST_YES and with_mllm:
            sim = self._anchored(dialogue, columns, sim, vectors)
        out = sim.astype(float) / evidence.temperature
        person = {c: self.honesty * (1 if yes else -1) for c, yes in dialogue.by_person.items()}
        mllm = {c: float(evidence.ratio(p)) for c, p in dialogue.by_mllm.items()}
        for ratios in (person, mllm) if with_mllm and self.rule == EVIDENCE else (person,):
            out += passed_on(ratios, columns, vectors, evidence)
        told = {facet: value for facet, value in dialogue.told.items() if value is not None}
        if told and self._codes:
            said = self._said(columns)
            known = np.stack(list(self._codes.values()))
            belief = Belief.of(known, self.theta)
            for facet, value in told.items():
                code = facet.values.index(value)
                out += belief.support(said[None], [FACETS.index(facet)], [code])[0]
        return out

    def _ranking(self, dialogue: Dialogue, columns, sim) -> Ranking:
        vectors, evidence = self.index.vectors[columns], self.models.evidence
        log_p = self._log_posterior(dialogue, columns, sim, vectors)
        final = spread_out((evidence.temperature * log_p)[None], vectors, evidence)[0]
        order = np.argsort(-final, kind="stable")
        asked, judged = dialogue.by_mllm, dialogue.by_person
        first = columns[order].tolist()
        return Ranking(
            columns[order],
            final[order],
            sim[order],
            np.exp(log_softmax(log_p))[order],
            np.array([asked.get(column, np.nan) for column in first], dtype=float),
            np.array([judged.get(column, np.nan) for column in first], dtype=float),
        )

    def _said(self, columns: np.ndarray) -> np.ndarray:
        """Codes [N, F] of the cards made so far; −1 where there is none."""
        nothing = np.full(len(FACETS), -1)
        return np.stack([self._codes.get(column, nothing) for column in columns.tolist()])
