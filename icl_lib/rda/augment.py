"""The four steps of RDA, from training captions to texts that training draws from."""

from pathlib import Path

import pandas as pd

from icl_lib.mllm.base import MLLM
from icl_lib.mllm.tasks import aggregate, decompose, describe, rewrite
from icl_lib.params.names import digest
from icl_lib.results import Journal


def augment(captions: pd.DataFrame, mllm: MLLM, folder: str | Path, m: int) -> dict[int, dict]:
    """Enriches, decomposes and rewrites every caption.

    1. T_vqa: the MLLM describes each image, once. 2. T_aggr: its answers are merged into the
    image's captions. 3. T_dec: each enriched text is cut into n sub-sentences. 4. T_rwt: each
    sub-sentence is rewritten into up to `m` sentences, once for all captions that share it.

    All texts are kept in `folder` as they come, so a killed run goes on where it stopped, and a
    second run asks nothing. Texts of other captions or of another MLLM go into a file of their
    own.

    Returns:
        {caption_id: {"vqa", "enriched", "sentences", "parts"}}: the answers about the image
        ({characteristic: answer or None}), the enriched text, its sub-sentences [n], and their
        rewritings [n][≤ m].
    """
    rows = list(captions[["caption_id", "image_id", "caption", "path"]].itertuples(index=False))
    # A data set may be moved between two runs, so only the names of its images count.
    about = [[int(i), int(image), text, Path(path).name] for i, image, text, path in rows]
    journal = Journal(Path(folder) / f"texts-{digest([mllm.writer_name, about])}.jsonl")

    def step(name: str, inputs: dict, make) -> dict:
        keys = {(name, key): given for key, given in inputs.items()}
        return dict(zip(inputs, journal.complete(keys, make, desc=name), strict=True))

    image_of = {int(row.caption_id): int(row.image_id) for row in rows}
    vqa = step(
        "describing",
        {int(row.image_id): str(row.path) for row in rows},
        lambda paths: describe(mllm, paths),
    )
    enriched = step(
        "merging",
        {int(row.caption_id): (vqa[int(row.image_id)], row.caption) for row in rows},
        lambda pairs: aggregate(mllm, *zip(*pairs, strict=True)),
    )
    sentences = step("decomposing", enriched, lambda texts: decompose(mllm, texts))
    rewritten = step(
        f"rewriting into {m}",
        {sentence: sentence for own in sentences.values() for sentence in own},
        lambda some: rewrite(mllm, some, m),
    )
    return {
        i: {
            "vqa": vqa[image_of[i]],
            "enriched": enriched[i],
            "sentences": own,
            "parts": [rewritten[sentence] for sentence in own],
        }
        for i, own in sentences.items()
    }
