"""The similarity matrix of a split, and the score by which the best epoch is chosen."""

import numpy as np

from icl_lib.retrieval import distributed
from icl_lib.retrieval.backbone import Backbone


def epoch_score(row, select_on: str):
    """The score by which the best epoch is kept, of one row of the log or of the whole log.

    Rank-1 + mAP on val, since Rank-1 alone jumps by single queries where val is small. On test,
    which serves the comparison with the released code, it is Rank-1, as in that code.
    """
    return row["rank1"] if select_on == "test" else row["rank1"] + row["mAP"]


def similarity(model: Backbone, manifest, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S of every caption and every image of a split, with the identities of both.

    Where several processes train together, each encodes its share and all get the whole result.

    Returns:
        sim [Q, G], query_pids [Q], gallery_pids [G]; captions in the manifest's order, images in
        the order of their first appearance.
    """
    rows = manifest[manifest["split"] == split]
    captions, images = rows[rows["caption_id"] >= 0], rows.drop_duplicates("image_id")
    texts = distributed.joined(model.encode_texts(distributed.share(captions["caption"].tolist())))
    pictures = distributed.joined(model.encode_images(distributed.share(images["path"].tolist())))
    return texts @ pictures.T, captions["pid"].to_numpy(), images["pid"].to_numpy()
