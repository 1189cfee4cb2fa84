"""Yes/No pairs of Eq. 3 from a retrieval model's Top-10, and how well an MLLM judges them."""

from __future__ import annotations

import numpy as np
import pandas as pd

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
            rank
            for rank, column in enumerate(ranked, 1)
            if image_pids[column] not in same_text[texts[t]]
        ]
        positive = (
            paths[own],
            texts[t],
            1,
            1 + int((scores > scores[own]).sum()),
            pids[t],
            image_pids[own],
        )
        drawn = (
            rng.choice(others, min(draws, len(others)), replace=False).tolist() if others else []
        )
        for draw in range(draws):
            rows.append(positive)
            if drawn:
                rank = drawn[draw % len(drawn)]
                column = ranked[rank - 1]
                rows.append((paths[column], texts[t], 0, rank, pids[t], image_pids[column]))
    return pd.DataFrame(rows, columns=COLUMNS)
