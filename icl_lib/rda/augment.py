"""Reorganisation data augmentation: enrich -> decompose -> rewrite -> reorganise (the paper's RDA)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from icl_lib.data.augment import reorganise as draw
from icl_lib.mllm.base import MLLM
from icl_lib.mllm.tasks import aggregate, decompose, describe, rewrite
from icl_lib.rda.diversity_file import read_diversity, write_diversity
from icl_lib.rda.filter import sub_sentences, without_least
from icl_lib.results.journal import _step

__all__ = ["augment", "draw", "read_diversity", "sub_sentences", "without_least", "write_diversity"]


def augment(captions: pd.DataFrame, mllm: MLLM, folder: str | Path, m: int) -> dict[int, dict]:
    """RDA of every caption -> {caption_id: {"vqa", "enriched", "sentences", "parts"}}.

    Steps: the picture's answers (T_vqa, once a picture); merged with the caption (T_aggr); cut into
    sub-sentences (T_dec); each DISTINCT sub-sentence rewritten into up to `m` (T_rwt, once over the whole
    set). `vqa` maps characteristic to answer or None, `enriched` is a text, `sentences` [n] are the
    sub-sentences, `parts` [n][<= m] their rewritings.

    Every step's texts stay in `folder` (vqa, enriched, sentences, rewritten .jsonl), appended as they come;
    run again on the same captions, it goes on where it stopped. Raises ValueError if the folder holds other
    captions.
    """
    folder = Path(folder)
    ids, texts = captions["caption_id"].astype(int).tolist(), captions["caption"].tolist()
    pictures = captions.drop_duplicates("image_id").set_index("image_id")["path"].to_dict()
    image_of = dict(zip(ids, captions["image_id"]))

    vqa = _step(
        folder / "vqa.jsonl",
        {int(image): str(path) for image, path in pictures.items()},
        lambda images, paths: describe(mllm, paths),
    )
    enriched = _step(
        folder / "enriched.jsonl",
        dict(zip(ids, texts)),
        lambda some, given: aggregate(mllm, [vqa[int(image_of[i])] for i in some], given),
    )
    sentences = _step(
        folder / "sentences.jsonl", enriched, lambda some, given: decompose(mllm, given)
    )
    distinct = dict.fromkeys(sentence for own in sentences.values() for sentence in own)
    rewritten = _step(
        folder / f"rewritten-{m}.jsonl",
        {sentence: sentence for sentence in distinct},
        lambda some, given: rewrite(mllm, given, m),
    )
    return {
        i: {
            "vqa": vqa[int(image_of[i])],
            "enriched": enriched[i],
            "sentences": sentences[i],
            "parts": [rewritten[sentence] for sentence in sentences[i]],
        }
        for i in ids
    }
