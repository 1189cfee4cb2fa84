"""The similarity matrix of a split, and the score by which an epoch is chosen."""

import numpy as np

from icl_lib.retrieval import distributed
from icl_lib.retrieval.backbone import Backbone


def epoch_score(row, select_on: str):
    """What the kept epoch is best in, of a row of the log or of all: Rank-1 + mAP on val, as ξ and λ are chosen.

    Rank-1 alone jumps by single queries where val is small. On test, which is chosen to be compared with the
    released code, it is that code's Rank-1.
    """
    return row["rank1"] if select_on == "test" else row["rank1"] + row["mAP"]


def similarity(model: Backbone, manifest, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S of every caption of `split` with every image of it [Q, G], query_pids [Q] and gallery_pids [G].

    Rows are the split's captions in the manifest's order, columns its images in order of first appearance.
    """
    rows = manifest[manifest["split"] == split]
    captions, images = rows[rows["caption_id"] >= 0], rows.drop_duplicates("image_id")
    # Shared out where processes train together, and then joined again; alone, the share is all of it.
    f = distributed.joined(model.encode_texts(distributed.share(captions["caption"].tolist())))
    g = distributed.joined(model.encode_images(distributed.share(images["path"].tolist())))
    return f @ g.T, captions["pid"].to_numpy(), images["pid"].to_numpy()
