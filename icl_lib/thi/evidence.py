"""Answers as evidence: a posterior over the gallery instead of an anchor (not in the paper).

Algorithm 1 lets a No change nothing, takes a Yes as certain, and ends with the first one. Here each
gallery image v is a hypothesis, "v shows the person whom q describes", and each answer, Yes or No,
makes some hypotheses more likely and others less.

Prior. P(v | q) ∝ exp(S(q, v) / τ), with a temperature τ.

Answer. That the MLLM says P(Yes) = p about image u is more likely by a factor e^r if u shows the
person than if it does not. Platt's form of a calibration gives

    r(p) = w·(logit p − logit p₀)

with the trust w and the neutral P(Yes) p₀, at which an answer says nothing.

Look-alikes. Two images u and v show one person with probability κ(u, v) = σ(a·(⟨g(u), g(v)⟩ − b)),
and κ(v, v) = 1; g(v) is the backbone's unit vector. If v shows the person, so does u with
probability κ(u, v), and the answer about u supports v by log[1 − κ(u, v) + κ(u, v)·e^r(u)].

Repetition. Answers about several images of one person repeat each other: the MLLM errs about the
person, not about the image. n answers that are correlated by c count like n / (1 + (n − 1)·c)
independent ones (the design effect, Kish 1965), and n(v) = Σ_u κ(u, v) of them are about v. So

    P(v | q, answers) ∝ exp(S(q, v)/τ + E(v)),
    E(v) = Σ_u log[1 − κ(u, v) + κ(u, v)·e^r(u)] / (1 + c·max(0, n(v) − 1))

over all images u that were asked about. With c = 0 this is Bayes' rule for independent answers;
with c = 1 the answers about look-alikes are averaged.

Ranking. Up to here, v competes with the other images of its person. That v shows the person at all
has the probability Σ_u P(u | q, answers)·κ(u, v): images that look like the believed ones come
early, too. The gallery is ranked by both, on the scale of S, with the spread s ≥ 0:

    Ŝ(q, v) = S(q, v) + τ·E(v) + s·τ·log Σ_u P(u | q, answers)·κ(u, v)

where u runs over the hundred images of highest posterior. s = 0 ranks by the posterior itself, and
a large s by the probability that v shows the person, which finds all images of the person in front
early (mAP, mINP), but fills the first ranks with one person, right or wrong (Rank-5, Rank-10).

In code, sim [Q, G] is S, and a trace holds the answers about D candidates of each query.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.special import expit, log_softmax, logit, logsumexp, softmax
from sklearn.linear_model import LogisticRegression

from icl_lib.thi.trace import Trace

_EDGE = 1e-6  # P(Yes) is kept this far from 0 and 1, where its logit is infinite
# Bounds of a fit: log temperature, log trust, logit of the neutral P(Yes), logit of the repetition
_BOUNDS = ((-7, 3), (-7, 3), (-10, 10), (-8, 8))
SAME = 50.0  # logit of κ of an image and itself
_CELLS = 4_000_000  # of [queries, images] held in memory at once
_FIRST = 100  # images of each query that count as hypotheses where all would be too many


@dataclass(frozen=True)
class Evidence:
    """The parameters of the posterior; `fit` finds those of highest likelihood on val.

    Attributes:
        temperature: τ > 0, in units of S: by how much S must differ to make a hypothesis e times as
            likely.
        trust: w, how much an answer counts; 1 if the MLLM's odds are right as they are, 0 if its
            answers say nothing.
        neutral: p₀ in (0, 1), the P(Yes) that says nothing.
        steepness: a, how sharply the similarity of two images tells one person from two.
        alike: b, the similarity of two images at which they are as likely one person as two. None:
            an answer counts for its own image only.
        repetition: c in [0, 1], how much answers about look-alikes repeat each other.
        spread: s >= 0, how much the images that look like the believed ones are raised.
    """

    temperature: float
    trust: float = 1.0
    neutral: float = 0.5
    steepness: float = 0.0
    alike: float | None = None
    repetition: float = 0.0
    spread: float = 0.0

    def __post_init__(self):
        positive = self.temperature > 0 and min(self.trust, self.spread) >= 0
        if not (positive and 0 < self.neutral < 1):
            raise ValueError(
                f"temperature={self.temperature} must be above 0, trust={self.trust} and "
                f"spread={self.spread} 0 or more, and neutral={self.neutral} between 0 and 1"
            )

    def ratio(self, p_yes) -> np.ndarray:
        """The log ratio r of answers p_yes [...]; 0 for NaN, where nothing was asked."""
        p = np.clip(np.asarray(p_yes, dtype=float), _EDGE, 1 - _EDGE)
        return np.nan_to_num(self.trust * (logit(p) - logit(self.neutral)))

    def same(self, cosine) -> np.ndarray:
        """The logit of κ of different images with these similarities [...]; −∞ for κ = 0."""
        cosine = np.asarray(cosine)
        if self.alike is None:
            return np.full(cosine.shape, -np.inf)
        return cosine.dtype.type(self.steepness) * (cosine - cosine.dtype.type(self.alike))


def support(same: np.ndarray, ratio: np.ndarray, scale: np.ndarray | None = None) -> np.ndarray:
    """log(1 − κ + κ·e^r) of arrays of logit κ and r that broadcast: what one answer adds.

    `scale` is log(1 + e^same), where it is known already.
    """
    return np.logaddexp(0, same + ratio) - (np.logaddexp(0, same) if scale is None else scale)


def pooled(total: np.ndarray, count: np.ndarray, repetition: float) -> np.ndarray:
    """E(v): the sum of the support by the answers, discounted as `count` = n(v) of them repeat."""
    return total / (1 + repetition * np.maximum(0, count - 1))


def rank_by_evidence(
    sim: np.ndarray, trace: Trace, vectors: np.ndarray, evidence: Evidence
) -> np.ndarray:
    """Ranks the gallery by the posterior and its look-alikes: Ŝ [Q, G].

    Args:
        sim: S(q, v) [Q, G].
        trace: the answers; its candidates must be gallery columns, and NaN is "not asked".
        vectors: the gallery's unit vectors [G, D].
        evidence: the parameters.

    Raises:
        ValueError: the shapes do not fit, or the candidates are not gallery columns.
    """
    sim = np.asarray(sim)
    columns, ratio = _columns(sim, trace), evidence.ratio(trace.p_yes).astype(vectors.dtype)
    final = sim.astype(np.result_type(sim, np.float32))
    rows = max(1, _CELLS // max(1, sim.shape[1]))
    for start in range(0, len(sim), rows):
        total = np.zeros(sim[start : start + rows].shape)
        count = np.zeros_like(total)
        for k in range(trace.k_max):
            asked = np.flatnonzero(~np.isnan(trace.p_yes[start : start + rows, k]))
            own = columns[start + asked, k]
            same = evidence.same(vectors[own] @ vectors.T)  # [asked, G]
            same[np.arange(len(own)), own] = SAME
            total[asked] += support(same, ratio[start + asked, k, None])
            count[asked] += expit(same)
        added = pooled(total, count, evidence.repetition)
        final[start : start + rows] += evidence.temperature * added
    return spread_out(final, vectors, evidence)


def spread_out(final: np.ndarray, vectors: np.ndarray, evidence: Evidence) -> np.ndarray:
    """Raises what looks like the first images: final + s·τ·log Σ_u P(u)·κ(u, v) [Q, G].

    Args:
        final: S + τ·E [Q, G], from which P follows; or any similarities on the scale of S.
        vectors: the gallery's unit vectors [G, D].
        evidence: the parameters.
    """
    if not evidence.spread:
        return final
    count = min(_FIRST, final.shape[1])
    rows = max(1, _CELLS // final.shape[1])
    parts = [final[start : start + rows] for start in range(0, len(final), rows)]
    first = np.concatenate([np.argpartition(-x, count - 1, axis=1)[:, :count] for x in parts])
    posterior = softmax(np.take_along_axis(final, first, 1) / evidence.temperature, axis=1)
    used, place = np.unique(first, return_inverse=True)
    ends = np.arange(0, first.size + 1, count)
    believed = csr_array((posterior.ravel(), place.ravel(), ends), (len(final), len(used)))
    out, scale = final.copy(), evidence.spread * evidence.temperature
    width = max(1, _CELLS // max(believed.shape))
    for start in range(0, final.shape[1], width):
        same = evidence.same(vectors[used] @ vectors[start : start + width].T)  # [used, width]
        own = np.flatnonzero((used >= start) & (used < start + width))
        same[own, used[own] - start] = SAME
        shows = believed @ expit(same).astype(float)  # [Q, width]
        out[:, start : start + width] += scale * np.log(np.maximum(shows, np.finfo(float).tiny))
    return out


def _columns(sim: np.ndarray, trace: Trace) -> np.ndarray:
    """The trace's candidates, checked to be gallery columns of sim [Q, G]."""
    columns = trace.candidates
    if len(columns) != len(sim) or columns.dtype.kind not in "iu":
        raise ValueError(
            f"evidence needs a trace of the {len(sim)} queries with gallery columns as candidates, "
            f"got {columns.shape} of {columns.dtype}: ask with image_paths"
        )
    if columns.size and not (columns.min() >= 0 and columns.max() < sim.shape[1]):
        raise ValueError(f"the trace's candidates go beyond the gallery of {sim.shape[1]} images")
    return columns


class Hypotheses:
    """The posterior over the images that the backbone ranks first, M of each query.

    Attributes:
        columns: the images, as gallery columns [Q, M]; the first D of them are the candidates.
        log_prior: log P(v | q) [Q, M].
        same: logit κ of each image and each candidate [Q, M, D].
        kappa: κ itself.
        scale: log(1 + e^same), see `support`.
    """

    def __init__(self, sim, candidates, vectors, evidence: Evidence, count: int = _FIRST):
        """Looks at the first `count` images of each query, the candidates [Q, D] before all."""
        sim, candidates = np.asarray(sim, dtype=float), np.asarray(candidates)
        order = sim.copy()
        np.put_along_axis(order, candidates, np.inf, axis=1)
        rest = np.argsort(-order, axis=1, kind="stable")[:, candidates.shape[1] : count]
        self.columns = np.concatenate([candidates, rest], axis=1)
        self.sim = np.take_along_axis(sim, self.columns, axis=1)
        self.cosine = np.einsum(
            "qmd,qkd->qmk", vectors[self.columns], vectors[candidates], optimize=True
        )
        self.set(evidence)

    def set(self, evidence: Evidence) -> None:
        """Takes other parameters."""
        before = getattr(self, "evidence", None)
        self.evidence = evidence
        self.log_prior = log_softmax(self.sim / evidence.temperature, axis=1)
        likeness = evidence.steepness, evidence.alike
        if before and likeness == (before.steepness, before.alike):
            return
        self.same = evidence.same(self.cosine)
        own = np.arange(self.same.shape[2])
        self.same[:, own, own] = SAME
        self.kappa = expit(self.same)
        self.scale = np.logaddexp(0, self.same)

    def log_posterior(self, p_yes: np.ndarray) -> np.ndarray:
        """Log of P(v | q, answers) [Q, M], from P(Yes) [Q, D], NaN where nothing was asked."""
        total, count = self.support(p_yes)
        return log_softmax(self.log_prior + pooled(total, count, self.evidence.repetition), axis=1)

    def support(self, p_yes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The support by all answers P(Yes) [Q, D], and n(v), how many are about v: [Q, M] both."""
        asked = ~np.isnan(p_yes)[:, None]
        total = support(self.same, self.evidence.ratio(p_yes)[:, None], self.scale).sum(-1)
        return total, (self.kappa * asked).sum(-1)


def fit(sim, trace: Trace, vectors, query_pids, gallery_pids, look_alikes: bool = True) -> Evidence:
    """The parameters of highest likelihood, from queries whose person is known.

    κ is a logistic regression of "one person or two" on the similarity of two images, over the
    candidates and the first hundred images of each query. Temperature, trust, neutral point and
    repetition maximise the likelihood of the person: the mean over the queries of
    log Σ_v P(v | q, answers), where v runs over the images of the query's person among its first
    hundred. Queries without such an image say nothing.

    Args:
        sim: S(q, v) [Q, G].
        trace: the answers about the first candidates of each query, best all of them.
        vectors: the gallery's unit vectors [G, D].
        query_pids: the identity of each query [Q].
        gallery_pids: the identity of each gallery image [G].
        look_alikes: False leaves them out: an answer then counts for its own image only.

    Raises:
        ValueError: no query has an image of its person among its first hundred.
    """
    columns = _columns(np.asarray(sim), trace)
    start = Evidence(float(np.std(sim)) / 4)
    state = Hypotheses(sim, columns, vectors, start)
    query_pids, gallery_pids = np.asarray(query_pids), np.asarray(gallery_pids)
    right = gallery_pids[state.columns] == query_pids[:, None]
    known = right.any(1)
    if not known.any():
        raise ValueError("no query has an image of its person among its first hundred")
    steepness, alike = _likeness(state, columns, gallery_pids) if look_alikes else (0.0, None)

    def read(x: np.ndarray) -> Evidence:
        repetition = float(expit(x[3])) if look_alikes else 0.0
        of_answers = float(np.exp(x[0])), float(np.exp(x[1])), float(expit(x[2]))
        return Evidence(*of_answers, steepness, alike, repetition)

    def loss(x: np.ndarray) -> float:
        state.set(read(x))
        log_p = np.where(right, state.log_posterior(trace.p_yes), -np.inf)[known]
        return -float(logsumexp(log_p, axis=1).mean())

    x, free = [np.log(start.temperature), 0.0, 0.0, 0.0], 4 if look_alikes else 3
    options = {"eps": 1e-5}
    return read(minimize(loss, x[:free], bounds=_BOUNDS[:free], options=options).x)


def _likeness(state: Hypotheses, columns: np.ndarray, gallery_pids: np.ndarray) -> tuple:
    """The a and b of κ; 0 and None where the images of one person are not the more similar ones."""
    other = state.columns[:, :, None] != columns[:, None]
    one = (gallery_pids[state.columns][:, :, None] == gallery_pids[columns][:, None])[other]
    if one.all() or not one.any():
        return 0.0, None
    found = LogisticRegression(C=np.inf).fit(state.cosine[other][:, None], one)
    steepness, offset = float(found.coef_[0, 0]), float(found.intercept_[0])
    return (steepness, -offset / steepness) if steepness > 0 else (0.0, None)
