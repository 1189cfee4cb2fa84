"""The Yes/No pairs of Eq. 3, with hard negatives from a retrieval model's Top-10."""

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
    """Z+ and Z- of Eq. 3: two pairs for each caption and draw.

    A positive pair is a caption with its own picture. A negative pair is the caption with a picture
    of ANOTHER person, drawn from its `top_k` most similar pictures. People who share the very same
    caption (benchmarks hold such captions) are not negatives: "No" would be wrong for them. A
    caption without any negative gives only its positive pair.

    Args:
        captions: T captions of one split, with the columns caption, pid and image_id.
        images: the I pictures of the split, with the columns image_id, pid and path.
        sim: [T, I], similarity by a backbone that was trained WITHOUT reorganised texts.
        top_k: number of most similar pictures that negatives are drawn from.
        rng: draws the negatives; a generator with seed 0 by default.
        limit: the number of captions to take, drawn at random; None takes all.
        draws: how often each caption is paired: its own picture again, and another negative as
            long as one is left that was not drawn yet.

    Returns:
        The columns path, caption, label (1 or 0), rank (of the picture, from 1), pid (of the
        caption) and image_pid (of the picture).
    """
    rng = rng or np.random.default_rng(0)
    sim = np.asarray(sim)
    _check(captions, images, sim)
    texts = captions["caption"].tolist()
    pids = captions["pid"].to_numpy()
    paths = images["path"].tolist()
    image_pids = images["pid"].to_numpy()
    column_of = {image_id: column for column, image_id in enumerate(images["image_id"])}
    own = captions["image_id"].map(column_of).to_numpy()
    same_text = captions.groupby("caption")["pid"].agg(set).to_dict()
    chosen = np.arange(len(captions))
    if limit is not None and limit < len(captions):
        chosen = np.sort(rng.choice(chosen, limit, replace=False))
    rows = []

    def add(t: int, column: int, label: int, rank: int) -> None:
        rows.append((paths[column], texts[t], label, rank, pids[t], image_pids[column]))

    for t in chosen:
        ranked = np.argsort(-sim[t], kind="stable")[:top_k]
        others = [
            rank
            for rank, column in enumerate(ranked, 1)
            if image_pids[column] not in same_text[texts[t]]
        ]
        count = min(draws, len(others))
        drawn = rng.choice(others, count, replace=False).tolist() if others else []
        own_rank = 1 + int((sim[t] > sim[t, own[t]]).sum())
        for draw in range(draws):
            add(t, own[t], 1, own_rank)
            if drawn:
                rank = drawn[draw % len(drawn)]
                add(t, ranked[rank - 1], 0, rank)
    return pd.DataFrame(rows, columns=COLUMNS)


def _check(captions: pd.DataFrame, images: pd.DataFrame, sim: np.ndarray) -> None:
    if sim.shape != (len(captions), len(images)):
        raise ValueError(
            f"sim is {sim.shape}, but there are {len(captions)} captions and {len(images)} images."
        )
    strangers = captions.loc[~captions["image_id"].isin(images["image_id"]), "image_id"]
    if len(strangers):
        raise ValueError(
            f"Caption {strangers.index[0]} belongs to image_id {strangers.iloc[0]}, which is not "
            "in the table of images."
        )
