"""Yes/No pairs of Eq. 3 from a retrieval model's Top-10, and how well an MLLM judges them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

COLUMNS = ["path", "caption", "label", "rank", "pid", "image_pid"]


def mine_pairs(
    captions: pd.DataFrame,
    images: pd.DataFrame,
    sim: np.ndarray,
    top_k: int = 10,
    rng: np.random.Generator | None = None,
    limit: int | None = None,
    draws: int = 1,
) -> pd.DataFrame:
    """Z+ and Z- of Eq. 3: two rows a caption and draw, columns path, caption, label, rank, pid, image_pid.

    `captions` [T] (caption, pid, image_id) and `images` [I] (image_id, pid, path) are tables of one split;
    `sim` [T, I] is their similarity by a backbone trained WITHOUT reorganised texts. Label 1: the caption
    with its own picture. Label 0: the caption with one picture, drawn at random, of ANOTHER identity among
    its `top_k` most similar. Pictures of identities that carry the very same caption are no negatives
    (benchmarks hold such captions): their "No" would be wrong. A caption without any negative gives its
    positive alone. `rank` counts from 1; `pid` is the caption's identity, `image_pid` the picture's. `limit`
    takes so many captions at random. Each caption is paired `draws` times: its own picture again, and another
    hard negative while its list has any that was not yet drawn.
    """
    rng = rng or np.random.default_rng(0)
    sim = np.asarray(sim)
    if sim.shape != (len(captions), len(images)):
        raise ValueError(
            f"sim is {sim.shape}, but there are {len(captions)} captions and {len(images)} images."
        )
    if draws < 1:
        raise ValueError(f"draws is {draws}; each caption is paired at least once.")
    if top_k < 1:
        raise ValueError(f"top_k is {top_k}; negatives come from at least the first candidate.")
    pids, image_pids = captions["pid"].to_numpy(), images["pid"].to_numpy()
    paths, texts = images["path"].tolist(), captions["caption"].tolist()
    column_of = {image_id: column for column, image_id in enumerate(images["image_id"])}
    same_text = captions.groupby("caption")["pid"].agg(set).to_dict()
    chosen = np.arange(len(captions))
    if limit is not None and limit < len(captions):
        chosen = np.sort(rng.choice(chosen, limit, replace=False))
    rows = []
    for t in chosen:
        image_id = captions["image_id"].iat[t]
        if image_id not in column_of:
            raise ValueError(
                f"Caption {t} belongs to image_id {image_id}, which is not in the table of images."
            )
        own, scores = column_of[image_id], sim[t]
        ranked = np.argsort(-scores, kind="stable")[:top_k]
        others = [
            rank for rank, column in enumerate(ranked, 1) if image_pids[column] not in same_text[texts[t]]
        ]
        positive = (paths[own], texts[t], 1, 1 + int((scores > scores[own]).sum()), pids[t], image_pids[own])
        drawn = rng.choice(others, min(draws, len(others)), replace=False).tolist() if others else []
        for draw in range(draws):
            rows.append(positive)
            if drawn:
                rank = drawn[draw % len(drawn)]
                column = ranked[rank - 1]
                rows.append((paths[column], texts[t], 0, rank, pids[t], image_pids[column]))
    return pd.DataFrame(rows, columns=COLUMNS)


def judge_metrics(labels, p, threshold: float = 0.5) -> dict[str, float]:
    """accuracy, precision, recall (Yes if p > threshold), AP and AUC of P(Yes), all in percent.

    `labels` [N] in {0, 1}, `p` [N]. Precision is NaN where nothing was judged Yes, recall and AP where there
    is no true pair, AUC where only one label occurs.
    """
    labels, p = _checked(labels, p)
    yes = p > threshold
    hits, both = int((yes & labels).sum()), bool(labels.any() and not labels.all())
    return {
        "accuracy": 100 * float((yes == labels).mean()),
        "precision": 100 * hits / int(yes.sum()) if yes.any() else float("nan"),
        "recall": 100 * hits / int(labels.sum()) if labels.any() else float("nan"),
        "AP": 100 * float(average_precision_score(labels, p)) if labels.any() else float("nan"),
        "AUC": 100 * float(roc_auc_score(labels, p)) if both else float("nan"),
    }


def choose_threshold(labels, p, beta: float = 0.5) -> float:
    """The threshold on P(Yes) with the highest F_beta = (1+b²)·P·R / (b²·P + R) on val pairs.

    beta 0.5 weighs precision over recall, because a wrong anchor pushes the right person down, while a missed
    one merely leaves the ranking as it was. Thresholds lie midway between neighbouring values of p; of equal
    ones the highest is taken. Raises ValueError without a true pair.
    """
    labels, p = _checked(labels, p)
    if not labels.any():
        raise ValueError("A threshold needs at least one true pair among the val pairs.")
    order = np.argsort(-p, kind="stable")
    ranked, hits = p[order], np.cumsum(labels[order])
    last_of_its_value = np.append(ranked[1:] < ranked[:-1], True)
    precision, recall = hits / np.arange(1, len(p) + 1), hits / labels.sum()
    weight = beta**2
    score = (1 + weight) * precision * recall / np.maximum(weight * precision + recall, 1e-12)
    best = int(np.argmax(np.where(last_of_its_value, score, -1)))
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2)


def _checked(labels, p) -> tuple[np.ndarray, np.ndarray]:
    labels, p = np.asarray(labels), np.asarray(p, dtype=np.float64)
    if labels.shape != p.shape or labels.ndim != 1 or not len(labels):
        raise ValueError(
            f"labels {labels.shape} and p {p.shape} should be two equally long, non-empty lists."
        )
    if not np.isin(labels, (0, 1)).all() or not np.isfinite(p).all():
        raise ValueError("labels should be 0 or 1, and p finite.")
    return labels.astype(bool), p
