"""Which candidate to ask the MLLM about next, and when to stop (for `icl_lib.thi.evidence`).

A policy gives each candidate a *worth*, from the posterior so far. The candidate with the highest
worth is asked about next, and a query is asked no more once that worth falls below a price:

    best_first         P(v̂_k) / max P, 1 for a leader not yet asked about: the lead is a ratio
    highest_posterior  the probability that v̂_k shows the person, Σ_v P(v)·κ(v, v̂_k)
    entropy            the expected reduction of the posterior's entropy, in nats
    rank1              the expected gain in the probability that the candidate in front is right

The last two imagine each answer that the MLLM may give, weighted by how likely it is:
P(answer) = Σ_v P(v)·[κ·P(answer | right) + (1 − κ)·P(answer | wrong)].
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, xlogy

from icl_lib.params.names import known
from icl_lib.retrieval.metrics import ranking
from icl_lib.thi.evidence import Evidence, Hypotheses, fit, pooled, support
from icl_lib.thi.trace import Trace


@dataclass(frozen=True)
class Answers:
    """What the MLLM answers about right and wrong candidates: a histogram, measured on val.

    Attributes:
        right: the share of each kind of answer for images of the person [B]; adds up to 1.
        wrong: the same for images of others [B].
    """

    right: np.ndarray
    wrong: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """The log likelihood ratio r of each kind of answer [B]."""
        return np.log(self.right) - np.log(self.wrong)

    @classmethod
    def measured(cls, p_yes, right, kinds: int = 8) -> "Answers":
        """Counts answers p_yes [...] about right [...] candidates, in `kinds` quantiles.

        Each kind starts at half a count, so that none is impossible.
        """
        p_yes, right = np.ravel(p_yes).astype(float), np.ravel(right).astype(bool)
        inner = np.linspace(0, 1, kinds + 1)[1:-1]
        edges = np.unique(np.quantile(p_yes, inner, method="inverted_cdf"))
        edges = edges[edges < p_yes.max()]
        kind = np.searchsorted(edges, p_yes, side="left")
        counts = [
            np.bincount(kind[group], minlength=len(edges) + 1) + 0.5 for group in (right, ~right)
        ]
        return cls(*(count / count.sum() for count in counts))


def best_first(state: Hypotheses, p_yes: np.ndarray, answers: Answers) -> np.ndarray:
    """P(v̂_k) / max P [Q, D], over the posterior of the candidates' own images."""
    posterior = state.log_posterior(p_yes)
    depth = p_yes.shape[1]
    return np.exp(posterior[:, :depth] - posterior.max(1, keepdims=True))


def highest_posterior(state: Hypotheses, p_yes: np.ndarray, answers: Answers) -> np.ndarray:
    """The probability that each candidate shows the person [Q, D]."""
    return _shows(state.kappa, np.exp(state.log_posterior(p_yes)))


def entropy(state: Hypotheses, p_yes: np.ndarray, answers: Answers) -> np.ndarray:
    """The expected reduction of the entropy by an answer about each candidate [Q, D].

    NaN where the MLLM has answered already, as in `rank1`.
    """
    now = state.log_posterior(p_yes)
    before = -xlogy(np.exp(now), np.exp(now)).sum(1)
    after = _expected(state, p_yes, answers, lambda p, _: -xlogy(p, p).sum(1))
    return before[:, None] - after


def rank1(state: Hypotheses, p_yes: np.ndarray, answers: Answers) -> np.ndarray:
    """The expected gain in the probability that the best candidate shows the person [Q, D]."""
    before = _shows(state.kappa, np.exp(state.log_posterior(p_yes))).max(1)
    after = _expected(state, p_yes, answers, lambda p, rows: _shows(state.kappa[rows], p).max(1))
    return after - before[:, None]


POLICIES: dict[str, Callable] = {
    "best_first": best_first,
    "highest_posterior": highest_posterior,
    "entropy": entropy,
    "rank1": rank1,
}


def _shows(kappa: np.ndarray, posterior: np.ndarray) -> np.ndarray:
    """The probability that each candidate shows the person [Q, D], from a posterior [Q, M]."""
    return np.einsum("qm,qmk->qk", posterior, kappa)


def _expected(
    state: Hypotheses, p_yes: np.ndarray, answers: Answers, value: Callable
) -> np.ndarray:
    """The expected `value` of the posterior after an answer about each candidate [Q, D].

    `value` gets posteriors [q, M] and the queries [q] they belong to. NaN where the MLLM has
    answered already.
    """
    out = np.full(p_yes.shape, np.nan)
    shows = _shows(state.kappa, np.exp(state.log_posterior(p_yes)))
    total, count = state.support(p_yes)
    for k in range(p_yes.shape[1]):
        rows = np.flatnonzero(np.isnan(p_yes[:, k]))
        same, prior = state.same[rows, :, k], state.log_prior[rows]
        scale = state.scale[rows, :, k]
        about = count[rows] + state.kappa[rows, :, k]
        chance_right, expected = shows[rows, k], np.zeros(len(rows))
        for right, wrong, ratio in zip(answers.right, answers.wrong, answers.ratio, strict=True):
            chance = chance_right * right + (1 - chance_right) * wrong
            added = total[rows] + support(same, ratio, scale)
            added = pooled(added, about, state.evidence.repetition)
            expected += chance * value(np.exp(log_softmax(prior + added, axis=1)), rows)
        out[rows, k] = expected
    return out


@dataclass(frozen=True)
class Rule:
    """Evidence as a rule: the posterior's parameters, what the MLLM answers, how it is asked.

    Attributes:
        evidence: parameters of the posterior.
        answers: the kinds of answers and how often the MLLM gives them.
        policy: a name in POLICIES.
        price: the worth below which no question is asked.
    """

    evidence: Evidence
    answers: Answers
    policy: str
    price: float

    def asking(self, run, depth: int, price: float | None = None) -> "Policy":
        """The policy for an `Interaction`, about `depth` candidates of each of its queries."""
        state = Hypotheses(run.sim, ranking(run.sim, depth), run.vectors, self.evidence)
        return Policy(self.policy, state, self.answers, self.price if price is None else price)


def fit_rule(
    run, answers: Trace, policy: str, look_alikes: bool = True, queries: int = 500
) -> Rule:
    """A rule fitted to the answers about all candidates of a split, at no price.

    Args:
        run: the `Interaction` of the split.
        answers: the answers [Q, D].
        policy: a name in POLICIES.
        look_alikes: whether an answer also counts for images that look alike.
        queries: the evidence is fitted to this many queries, evenly spread over the split.
    """
    query_pids, gallery_pids = run.pids
    some = np.unique(np.linspace(0, len(run.sim) - 1, min(queries, len(run.sim))).astype(int))
    part = Trace(answers.candidates[some], answers.p_yes[some], answers.threshold)
    evidence = fit(run.sim[some], part, run.vectors, query_pids[some], gallery_pids, look_alikes)
    right = gallery_pids[answers.candidates] == query_pids[:, None]
    return Rule(evidence, Answers.measured(answers.p_yes, right), policy, -np.inf)


class Policy:
    """Chooses what to ask: an `ask` of `icl_lib.thi.interact`.

    After each call, `order` [Q, D] holds the ranks in the order in which they are asked about (−1
    where the query is asked no more), and `worth` [Q, D] what each was worth when it was chosen.
    """

    def __init__(self, name: str, state: Hypotheses, answers: Answers, price: float):
        """Takes the policy's name and the price of a question."""
        self.of = POLICIES[known("thi.policy", name, POLICIES)]
        self.state, self.answers, self.price = state, answers, price
        queries, _, depth = state.same.shape
        self.order = np.full((queries, depth), -1)
        self.worth = np.full((queries, depth), np.nan)
        self.round = 0

    def __call__(self, p_yes: np.ndarray) -> np.ndarray:
        """The rank [Q] to ask about next, −1 for no more, given P(Yes) [Q, D] so far."""
        queries = np.arange(len(p_yes))
        if self.round == self.order.shape[1]:
            return np.full(len(p_yes), -1)
        worth = np.where(np.isnan(p_yes), self.of(self.state, p_yes, self.answers), -np.inf)
        best = worth.argmax(1)
        open_ = worth[queries, best] >= self.price
        if self.round:
            open_ &= self.order[:, self.round - 1] >= 0
        self.order[open_, self.round] = best[open_]
        self.worth[open_, self.round] = worth[queries, best][open_]
        self.round += 1
        return np.where(open_, best, -1)


def play(policy: Policy, whole: Trace) -> np.ndarray:
    """The answers [Q, D] that a policy gets from a trace of all of them, NaN where it stopped."""
    p_yes = np.full(whole.p_yes.shape, np.nan)
    while True:
        rank = policy(p_yes)
        asking = np.flatnonzero(rank >= 0)
        if not len(asking):
            return p_yes
        p_yes[asking, rank[asking]] = whole.p_yes[asking, rank[asking]]


def asked_at(policy: Policy, whole: Trace, price: float) -> np.ndarray:
    """The answers [Q, D] at another price, from a policy that was played at no price.

    A price does not change the order of the questions, only where it ends.
    """
    enough = np.logical_and.accumulate(policy.worth >= price, axis=1)  # NaN is not enough
    p_yes = np.full(whole.p_yes.shape, np.nan)
    query, place = np.nonzero(enough)
    rank = policy.order[query, place]
    p_yes[query, rank] = whole.p_yes[query, rank]
    return p_yes


def price_of(free: Policy, budget: float) -> float:
    """The lowest price at which a policy, played at no price, asks at most `budget` per query."""
    worth = np.where(np.isnan(free.worth), -np.inf, free.worth)
    lowest = np.sort(np.minimum.accumulate(worth, axis=1), axis=None)[::-1]
    allowed = int(budget * len(worth))
    if allowed >= lowest.size:
        return -np.inf
    return float(np.nextafter(lowest[allowed], np.inf))
