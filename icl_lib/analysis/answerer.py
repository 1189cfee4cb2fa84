"""A simulated answerer with dialled error rates: an instrument, not an MLLM."""

from dataclasses import replace

import numpy as np
import pandas as pd

from icl_lib.thi import Trace, replay


def rates(trace: Trace, query_pids, gallery_pids, K: int) -> dict[str, float]:
    """Share of Yes, in percent, of the right person (TPR) and of others (FPR) among the first K candidates.

    trace: asked to the end, its candidates as gallery columns. NaN where there is no such candidate.
    """
    yes = trace.p_yes[:, :K] > trace.threshold
    if np.isnan(trace.p_yes[:, :K]).any():
        raise ValueError(
            f"rates over the first {K} candidates want every one of them asked: ask='all'"
        )
    right = np.asarray(gallery_pids)[trace.candidates[:, :K]] == np.asarray(query_pids)[:, None]
    return {
        name: 100 * float(yes[who].mean()) if who.any() else np.nan
        for name, who in (("TPR", right), ("FPR", ~right))
    }


def rate_map(
    sim,
    candidates,
    query_pids,
    gallery_pids,
    K: int,
    xi: float,
    lam: float,
    steps=np.linspace(0, 1, 11),
    seeds=3,
):
    """INSTRUMENT, no model: Rank-1 points that THI gains with an answerer of dialled rates; columns TPR, FPR (percent), gain.

    The answerer errs at random, whatever the picture looks like (`icl_lib.analysis.answerer.simulated_trace`), mean over `seeds`. No
    refined text is made (q̂ = q): the anchor's own jump alone moves Rank-1. candidates [Q, ≥ K] in rank order; with q̂ = q
    only they can come first, so that the rest of the gallery is not looked at.
    """
    candidates, query_pids = np.asarray(candidates)[:, : max(K, 1)], np.asarray(query_pids)
    near = np.take_along_axis(np.asarray(sim), candidates, axis=1)
    right = np.asarray(gallery_pids)[candidates] == query_pids[:, None]
    places, rows = (
        np.broadcast_to(np.arange(candidates.shape[1]), candidates.shape),
        np.arange(len(near)),
    )
    table = []
    for tpr in steps:
        for fpr in steps:
            gains = []
            for seed in range(seeds):
                trace = replace(
                    simulated_trace(candidates, query_pids, gallery_pids, tpr, fpr, seed),
                    candidates=places,
                )
                final, _ = replay(near, near, trace, K, xi, lam)
                gains.append(right[rows, final.argmax(1)].mean() - right[:, 0].mean())
            table.append(
                {
                    "TPR": round(100 * float(tpr), 6),
                    "FPR": round(100 * float(fpr), 6),
                    "gain": 100 * float(np.mean(gains)),
                }
            )
    return pd.DataFrame(table)


def signs_of_a_right_anchor(right, signs: dict) -> pd.DataFrame:
    """How well each sign tells right anchors from wrong ones: AUC in percent (50: not at all), higher meaning righter.

    right [N] bool; signs: {label: values [N]}. NaN where all anchors are right, or none.
    """
    from sklearn.metrics import roc_auc_score

    right = np.asarray(right, dtype=bool)
    both = right.any() and not right.all()
    told = {
        label: 100 * roc_auc_score(right, values) if both else np.nan
        for label, values in signs.items()
    }
    return pd.Series(told, name="AUC (%)", dtype=float).rename_axis("sign").to_frame()


def simulated_trace(
    candidates, query_pids, gallery_pids, tpr: float, fpr: float, seed: int = 0
) -> Trace:
    """INSTRUMENT, no model: says Yes at rate `tpr` of the right person and `fpr` of others, independently."""
    candidates = np.asarray(candidates)
    right = np.asarray(gallery_pids)[candidates] == np.asarray(query_pids)[:, None]
    yes = np.random.default_rng(seed).random(right.shape) < np.where(right, tpr, fpr)
    return Trace.from_answers(yes, candidates)
