"""A simulated answerer with adjustable error rates: a measuring instrument, not an MLLM."""

from itertools import product

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from icl_lib.thi import Trace, replay
from icl_lib.thi.evidence import Evidence

RATES = np.linspace(0, 1, 11)


def simulated_trace(
    candidates, query_pids, gallery_pids, tpr: float, fpr: float, seed: int = 0
) -> Trace:
    """A trace with Yes at rate `tpr` for the right person and `fpr` for others, at random."""
    right = np.asarray(gallery_pids)[candidates] == np.asarray(query_pids)[:, None]
    return Trace.from_answers(_simulated_yes(right, tpr, fpr, seed), candidates)


def rates(trace: Trace, query_pids, gallery_pids, K: int) -> dict[str, float]:
    """Share of Yes for the right person (TPR) and for others (FPR), in percent.

    Args:
        trace: A trace in which all of the first K candidates were asked about, with gallery columns
            as candidates.
        query_pids: Identity of each query [Q].
        gallery_pids: Identity of each gallery image [G].
        K: Candidates to look at.

    Returns:
        {"TPR": ..., "FPR": ...}; NaN where there is no such candidate.

    Raises:
        ValueError: If a candidate was not asked about.
    """
    if np.isnan(trace.p_yes[:, :K]).any():
        raise ValueError(
            f"rates need an answer for each of the first {K} candidates, but some were not "
            "asked about: trace with ask='all'"
        )
    yes = trace.p_yes[:, :K] > trace.threshold
    right = np.asarray(gallery_pids)[trace.candidates[:, :K]] == np.asarray(query_pids)[:, None]
    return {
        name: 100 * float(yes[group].mean()) if group.any() else np.nan
        for name, group in (("TPR", right), ("FPR", ~right))
    }


def rate_map(
    sim,
    candidates,
    query_pids,
    gallery_pids,
    K: int,
    xi: float,
    lam: float,
    steps=RATES,
    seeds: int = 3,
) -> pd.DataFrame:
    """Rank-1 points that THI gains with a simulated answerer, over the answerer's error rates.

    The answerer errs at random, whatever the image looks like. No refined text is made (q̂ = q), so
    the anchor's jump alone moves Rank-1, and only candidates can come first: the rest of the
    gallery is not looked at.

    Args:
        sim: Similarities [Q, G].
        candidates: Gallery columns in rank order [Q, ≥ K].
        query_pids: Identity of each query [Q].
        gallery_pids: Identity of each gallery image [G].
        K: Rounds of questions.
        xi: Threshold on the similarity of the first image.
        lam: Weight of the original similarity in Eq. 6.
        steps: The rates to try, in [0, 1].
        seeds: Simulations of each pair of rates, whose gains are averaged.

    Returns:
        A row for each pair of rates with the columns TPR and FPR (percent) and gain (points).
    """

    def first(near: np.ndarray, yes: np.ndarray, *_) -> np.ndarray:
        columns = np.broadcast_to(np.arange(yes.shape[1]), yes.shape)
        return replay(near, near, Trace.from_answers(yes, columns), K, xi, lam)[0].argmax(1)

    return _map(sim, candidates, query_pids, gallery_pids, K, first, steps, seeds)


def evidence_map(
    sim,
    candidates,
    query_pids,
    gallery_pids,
    K: int,
    evidence: Evidence,
    steps=RATES,
    seeds: int = 3,
) -> pd.DataFrame:
    """`rate_map` for evidence: all of the first K candidates are asked, and the rates are known.

    An answer counts for its own image only, by the logarithm of how many times as often it is given
    about right images as about wrong ones; rates nearer to 0 or 1 than 0.01 are taken for 0.01 and
    0.99 there.

    Args:
        sim: Similarities [Q, G].
        candidates: Gallery columns in rank order [Q, ≥ K].
        query_pids: Identity of each query [Q].
        gallery_pids: Identity of each gallery image [G].
        K: Candidates to ask about.
        evidence: Its temperature is used.
        steps: The rates to try, in [0, 1].
        seeds: Simulations of each pair of rates, whose gains are averaged.

    Returns:
        A row for each pair of rates with the columns TPR and FPR (percent) and gain (points).
    """

    def first(near: np.ndarray, yes: np.ndarray, tpr: float, fpr: float) -> np.ndarray:
        p, q = np.clip((tpr, fpr), 0.01, 0.99)
        ratio = np.where(yes, np.log(p / q), np.log((1 - p) / (1 - q)))
        return (near + evidence.temperature * ratio).argmax(1)

    return _map(sim, candidates, query_pids, gallery_pids, K, first, steps, seeds)


def _map(sim, candidates, query_pids, gallery_pids, K, first, steps, seeds) -> pd.DataFrame:
    """The gain in Rank-1 over the rates, where `first` puts a candidate first [Q].

    It gets the candidates' similarities [Q, K], the simulated answers [Q, K], TPR and FPR.
    """
    candidates = np.asarray(candidates)[:, : max(K, 1)]
    near = np.take_along_axis(np.asarray(sim), candidates, axis=1)
    right = np.asarray(gallery_pids)[candidates] == np.asarray(query_pids)[:, None]
    table = []
    for tpr, fpr in product(steps, steps):
        gains = []
        for seed in range(seeds):
            chosen = first(near, _simulated_yes(right, tpr, fpr, seed), tpr, fpr)
            gains.append(right[np.arange(len(right)), chosen].mean() - right[:, 0].mean())
        table.append((round(100 * tpr, 6), round(100 * fpr, 6), 100 * np.mean(gains)))
    return pd.DataFrame(table, columns=["TPR", "FPR", "gain"])


def signs_of_a_right_anchor(right, signs: dict) -> pd.DataFrame:
    """How well each sign separates right anchors from wrong ones: AUC in percent; 50 is chance.

    Args:
        right: Whether each anchor is the right person, bool [N].
        signs: {label: values [N]}, higher where the anchor is more likely to be right.

    Returns:
        A row for each sign; NaN if all anchors are right, or none is.
    """
    both = len(set(right)) == 2
    auc = {
        sign: 100 * roc_auc_score(right, values) if both else np.nan
        for sign, values in signs.items()
    }
    return pd.DataFrame({"AUC (%)": auc}, dtype=float).rename_axis("sign")


def _simulated_yes(right: np.ndarray, tpr: float, fpr: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(right.shape) < np.where(right, tpr, fpr)
