"""The refined query (Eq. 4 and 5): the anchor is described, and the answers are merged into it."""

import numpy as np

from icl_lib.mllm.tasks import aggregate, describe
from icl_lib.thi.trace import Trace


def refine(queries, trace: Trace, mllm, image_paths=None) -> tuple[list[str], list[dict | None]]:
    """Describes the image of each query's first Yes and merges the answers into the query's text.

    An image that several queries chose is described once.

    Args:
        queries: Q texts.
        trace: the answers about their candidates.
        mllm: the MLLM that describes and merges.
        image_paths: the paths of the G gallery images, if the trace's candidates are columns.

    Returns:
        The refined texts q̂ [Q], and the MLLM's answers about each anchor [Q]. A query without a
        Yes keeps its text and has None.
    """
    first, images = trace.first_yes, {}
    for q in np.flatnonzero(first >= 0).tolist():
        candidate = trace.candidates[q, first[q]]
        images[q] = candidate if image_paths is None else image_paths[candidate]
    distinct = sorted(set(images.values()), key=str)
    described = dict(zip(distinct, describe(mllm, distinct), strict=True))
    answers = {q: described[image] for q, image in images.items()}
    merged = aggregate(mllm, list(answers.values()), [queries[q] for q in answers])
    texts = dict(enumerate(queries)) | dict(zip(answers, merged, strict=True))
    return list(texts.values()), [answers.get(q) for q in range(len(texts))]
