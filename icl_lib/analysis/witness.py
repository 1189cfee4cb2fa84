"""Simulated witnesses and the game that they play: a measuring instrument, not people.

A witness knows what was drawn of the person in the query's picture. Asked about a facet, they

    do not know it            if the picture does not show it
    say "not sure"            with probability `forget`
    name a wrong value        with probability `err`, any other value of the facet alike
    tell the truth            otherwise

What a witness would say about each facet is drawn once. So all policies meet the same witness.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import log_softmax

from icl_lib.data.standin.describe import answers
from icl_lib.params.names import known
from icl_lib.retrieval.metrics import per_query_metrics, ranking
from icl_lib.thi.cards import FACETS, THINGS, VALUES, codes, facts
from icl_lib.thi.evidence import Evidence, spread_out
from icl_lib.thi.telling import Belief

FIRST = 100  # pictures of each query that count as hypotheses; the others stay behind them
COUNTS = np.array([len(values) for values in VALUES])
# The names of the stand-in's 15 answers, in the order of `icl_lib.data.standin.describe.answers`.
_DRAWN = [
    *("sex", "hairstyle", "upper body", "lower body", "pattern", "shoes", "glasses", "scarf"),
    *("held", "bag", "hat", "belt", "action", "background", "bystanders"),
]


def knowledge(drawn: Sequence[Mapping]) -> np.ndarray:
    """What there is to know about pictures as codes [N, F]; −1 for what a picture does not show.

    Args:
        drawn: for each picture its entry in `icl_lib.data.standin.read_truth`, with "truth" and
            "seen".
    """
    rows = []
    for picture in drawn:
        told = dict(zip(_DRAWN, answers(picture["truth"], set(picture["seen"])), strict=True))
        rows.append(facts({name: told[name] for name in THINGS}))
    return codes(rows)


def witness(truth: np.ndarray, forget: float, err: float, seed: int = 0) -> np.ndarray:
    """What the witness of each query says about each facet: codes [Q, F], −1 for "not sure".

    With the same seed, a witness of higher rates is the same person, with more gaps and errors.

    Args:
        truth: codes of what there is to know [Q, F], see `knowledge`.
        forget: the rate of "not sure" about what there is to know.
        err: the rate of wrong values among the rest.
        seed: draws what is forgotten, what is wrong, and the wrong values.
    """
    rng = np.random.default_rng(seed)
    forgets, errs = rng.random(truth.shape) < forget, rng.random(truth.shape) < err
    step = 1 + (rng.random(truth.shape) * (COUNTS - 1)).astype(int)  # to another value
    said = np.where(errs, (truth + step) % COUNTS, truth)
    return np.where(forgets | (truth < 0), -1, said)


def as_honest(theta: np.ndarray, err: float) -> np.ndarray:
    """The reliabilities [F] of answers by a witness who is known to err at the rate `err`.

    An error hits the card's value by accident where the truth is not what the card says.
    """
    return theta * (1 - err) + (1 - theta) * err / (COUNTS - 1)


@dataclass(frozen=True, eq=False)
class Game:
    """All that is known before a person is asked anything.

    Attributes:
        base: S + τ·E [Q, G], see `icl_lib.thi.evidence`; S where no MLLM was asked.
        vectors: the gallery's unit vectors [G, D].
        evidence: the parameters of the posterior; its spread is used for the ranking.
        cards: codes [G, F] of the gallery's cards.
        belief: how answers are believed.
        open: facets that may be asked about [Q, F], such as those that the caption leaves out.
        query_pids: the identity of each query [Q].
        gallery_pids: the identity of each gallery image [G].
    """

    base: np.ndarray
    vectors: np.ndarray
    evidence: Evidence
    cards: np.ndarray
    belief: Belief
    open: np.ndarray
    query_pids: np.ndarray
    gallery_pids: np.ndarray

    def of(self, queries) -> "Game":
        """The game of some of the queries."""
        queries = np.asarray(queries)
        return replace(
            self,
            base=self.base[queries],
            open=self.open[queries],
            query_pids=self.query_pids[queries],
        )

    def hypotheses(self) -> np.ndarray:
        """The gallery columns of the first FIRST pictures of each query [Q, M]."""
        return ranking(self.base, FIRST)

    def log_p(self, columns: np.ndarray, added: np.ndarray) -> np.ndarray:
        """The log posterior [Q, M] of the hypotheses, with log P(answers | v) [Q, M] added."""
        prior = np.take_along_axis(self.base, columns, 1) / self.evidence.temperature
        return log_softmax(prior + added, axis=1)

    def ranked(self, columns: np.ndarray, added: np.ndarray) -> np.ndarray:
        """The gallery ranked after the person's answers: scores [Q, G] on the scale of S.

        Each other picture counts as the hypothesis that the answers fit least, so it stays behind.
        """
        all_added = np.broadcast_to(added.min(1, keepdims=True), self.base.shape).copy()
        np.put_along_axis(all_added, columns, added, axis=1)
        final = self.base + self.evidence.temperature * all_added
        return spread_out(final, self.vectors, self.evidence)


@dataclass(frozen=True, eq=False)
class Played:
    """A game that was played.

    Attributes:
        first: the rank of the first right picture after each round [R + 1, Q]; 0 if the gallery has
            none.
        facet: what was asked about in each round [R, Q], a place in FACETS; −1 for nothing.
    """

    first: np.ndarray
    facet: np.ndarray


def most_telling(game: Game, log_p: np.ndarray, said: np.ndarray, seed: int) -> np.ndarray:
    """The worth of a question about each facet [Q, F]: what it takes off the entropy."""
    return game.belief.gains(log_p, said)


def at_random(game: Game, log_p: np.ndarray, said: np.ndarray, seed: int) -> np.ndarray:
    """Any worth [Q, F], the same in each round: the facets are asked in a random order."""
    return np.random.default_rng(seed).random((len(log_p), len(FACETS)))


POLICIES = {"most telling": most_telling, "random": at_random}


def play(
    game: Game, told: np.ndarray, policy: str, rounds: int, seed: int = 0, each: bool = True
) -> Played:
    """Asks the witnesses of all queries `rounds` questions, each about another facet.

    Args:
        game: what is known before.
        told: what the witnesses say [Q, F], see `witness`.
        policy: a name in POLICIES.
        rounds: questions to each witness; fewer where fewer facets are open.
        seed: draws the order of random questions.
        each: rank the gallery after each round; False does so after the last one only, and `first`
            is then [1, Q].
    """
    worth_of = POLICIES[known("policy", policy, POLICIES)]
    columns = game.hypotheses()
    said, open_ = game.cards.astype(np.int8)[columns], game.open.copy()
    added, queries = np.zeros(columns.shape), np.arange(len(columns))
    first, facets = [], []
    for number in range(rounds + 1):
        if each or number == rounds:
            final = game.ranked(columns, added)
            found = per_query_metrics(final, game.query_pids, game.gallery_pids)
            first.append(found["first"])
        if number == rounds:
            break
        worth = worth_of(game, game.log_p(columns, added), said, seed)
        facet = np.where(open_, worth, -np.inf).argmax(1)
        asked = open_.any(1)
        open_[queries, facet] = False
        value = np.where(asked, told[queries, facet], -1)
        added += game.belief.support(said, facet, value)
        facets.append(np.where(asked, facet, -1))
    return Played(np.array(first), np.array(facets).reshape(-1, len(columns)))
