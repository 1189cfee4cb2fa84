"""The most telling question: which facet should a person be asked about (not in the paper)?

Each gallery image v has a card (`icl_lib.thi.cards`), and the posterior P(v) says how likely it is
that v shows the person. A person who answers "a" when asked about a facet f is believed like this:

    P(a | v) = θ_f                  if the card of v says a
             = (1 − θ_f)/(n_f − 1)  if it says another of the n_f values
             = P_f(a)               if it leaves f open; P_f is the share of a among all cards

The reliability θ_f covers both the person and the MLLM: how often what people say of a facet is
what the card of that image says. The answer changes the posterior by Bayes' rule. The question is
worth what it is expected to take off the posterior's entropy, in nats:

    gain_f = H(P) − Σ_a P(a)·H(P(· | a)),   P(a) = Σ_v P(v)·P(a | v)

"Not sure" changes nothing. An image whose card leaves f open is one on which f cannot be seen, so
the gain is multiplied by the posterior mass of the images whose cards say something about f.

In code, log_p [Q, M] is log P over M images of each query, and said [Q, M, F] are their codes.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import xlogy

from icl_lib.thi.cards import FACETS, VALUES, Facet, rates

PRIOR = 8.0  # descriptions that speak for the average reliability before a facet's own count
LOW, HIGH = 0.05, 0.98  # θ is at least this share of the way from chance to 1, and at most this
PRICE = 0.05  # the gain, in nats, below which a question is not worth a person's time


@dataclass(frozen=True)
class Question:
    """A question to a person.

    Attributes:
        facet: what is asked for; `facet.question` is the question in English.
        options: the values that the leading images may have, most probable first.
        gain: what the answer is expected to take off the posterior's entropy, in nats.
    """

    facet: Facet
    options: tuple[str, ...]
    gain: float


@dataclass(frozen=True, eq=False)
class Belief:
    """How the answers of people are believed.

    Attributes:
        tables: P(a | v) of each facet, F × [n + 1, n]: row c for an image of code c, the last row
            for an image whose card leaves the facet open.
    """

    tables: list[np.ndarray]

    @classmethod
    def of(cls, said: np.ndarray, theta) -> Self:
        """The belief for a gallery with the codes `said` [G, F] and reliabilities θ_f [F] or one.

        θ_f is kept between a little above chance and HIGH.
        """
        chance = 1 / np.array([len(values) for values in VALUES])
        theta = np.clip(theta, chance + LOW * (1 - chance), HIGH)
        tables = []
        for reliability, share in zip(theta, rates(said), strict=True):
            table = np.full((len(share) + 1, len(share)), (1 - reliability) / (len(share) - 1))
            np.fill_diagonal(table, reliability)
            table[-1] = share
            tables.append(table)
        return cls(tables)

    def support(self, said: np.ndarray, facet, value) -> np.ndarray:
        """Looks up log P(a | v) [Q, M]: what each query's answer adds to the log posterior.

        Args:
            said: codes [Q, M, F] of the images.
            facet: the place in FACETS that each query was asked about [Q].
            value: the code of its answer [Q]; −1 is "not sure", which adds nothing.
        """
        added = np.zeros(said.shape[:2])
        for q, (f, a) in enumerate(zip(facet, value, strict=True)):
            if a >= 0:
                added[q] = np.log(self.tables[f][said[q, :, f], a])
        return added

    def gains(self, log_p: np.ndarray, said: np.ndarray) -> np.ndarray:
        """The expected reduction of the entropy by a question about each facet [Q, F], in nats.

        Args:
            log_p: log P [Q, M] of the leading images.
            said: their codes [Q, M, F].
        """
        p = np.exp(log_p)
        p_log_p = xlogy(p, p)
        information = -p_log_p.sum(1)  # H(P)
        out = np.zeros((len(p), len(FACETS)))
        for f, table in enumerate(self.tables):
            # Posterior mass, and Σ P·log P, of the images of each code [Q, n + 1].
            code = said[:, :, f] % len(table)  # the last one for −1
            mass, own = (_sums(code, x, len(table)) for x in (p, p_log_p))
            # P(a)·H(P(· | a)) = P(a)·log P(a) − Σ_v P(v)·L·(log P(v) + log L), L = P(a | v)
            answer = mass @ table
            after = xlogy(answer, answer) - own @ table - mass @ xlogy(table, table)
            out[:, f] = (information - after.sum(1)) * mass[:, :-1].sum(1)
        return out

    def most_telling(
        self,
        log_p: np.ndarray,
        said: np.ndarray,
        asked: Collection[Facet] = (),
        price: float = PRICE,
        options: int = 5,
    ) -> Question | None:
        """The question about one query's images that is worth most; None if none is worth `price`.

        Args:
            log_p: log P [M].
            said: codes [M, F].
            asked: facets that were asked about already.
            price: the gain, in nats, below which no question is asked.
            options: the largest number of values offered.
        """
        gain = self.gains(log_p[None], said[None])[0]
        gain[[facet in asked for facet in FACETS]] = -np.inf
        best = int(gain.argmax())
        if gain[best] < price:
            return None
        chance = np.exp(log_p) @ self.tables[best][said[:, best]]
        offered = np.argsort(-chance, kind="stable")[:options]
        values = tuple(VALUES[best][code] for code in offered)
        return Question(FACETS[best], values, float(gain[best]))


def _sums(code: np.ndarray, values: np.ndarray, codes: int) -> np.ndarray:
    """The sums [Q, codes] of the values [Q, M] of each code [Q, M]."""
    queries = len(code)
    cell = code + codes * np.arange(queries)[:, None]
    sums = np.bincount(cell.ravel(), values.ravel(), minlength=queries * codes)
    return sums.reshape(queries, codes)


def reliabilities(described: np.ndarray, said: np.ndarray) -> np.ndarray:
    """θ_f [F]: how often descriptions by people agree with the cards of the images they describe.

    Each facet starts with PRIOR descriptions of average reliability, so that a facet that is hardly
    ever mentioned gets the average.

    Args:
        described: codes [N, F] of N descriptions, such as captions.
        said: codes [N, F] of the cards of the images that they describe.
    """
    both = (described >= 0) & (said >= 0)
    agree = both & (described == said)
    average = (agree.sum() + 1) / (both.sum() + 2)
    return (agree.sum(0) + PRIOR * average) / (both.sum(0) + PRIOR)
