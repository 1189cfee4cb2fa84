"""The refined query (Eq. 4 and 5): the anchor described and merged into the caption."""

import numpy as np

from icl_lib.results import progress
from icl_lib.thi.trace import Trace


def refine(
    queries, trace: Trace, mllm, image_paths=None, batch_size=128
) -> tuple[list[str], list[dict | None]]:
    """Eq. 4 and 5: (q̂ of every query, what the MLLM said of its anchor-to-be), both [Q].

    The image of a query's first Yes is described, once however many queries chose it, and merged into the
    text. Queries without a Yes keep their text and have None. image_paths [G] as in `interact`.
    """
    from icl_lib.mllm.tasks import aggregate, describe

    first, names = trace.first_yes, trace.candidates
    asked = np.flatnonzero(first >= 0).tolist()
    image = {
        q: names[q, first[q]] if image_paths is None else image_paths[names[q, first[q]]]
        for q in asked
    }
    seen, texts, answers = {}, list(queries), [None] * len(queries)
    distinct = sorted(set(image.values()), key=str)
    for start in progress(range(0, len(distinct), batch_size), "describing anchors"):
        batch = distinct[start : start + batch_size]
        seen |= zip(batch, describe(mllm, batch))
    for start in progress(range(0, len(asked), batch_size), "merging texts"):
        batch = asked[start : start + batch_size]
        merged = aggregate(mllm, [seen[image[q]] for q in batch], [queries[q] for q in batch])
        for q, text in zip(batch, merged):
            texts[q], answers[q] = text, seen[image[q]]
    return texts, answers
