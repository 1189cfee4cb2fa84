"""Deciding Yes or No: P(Yes) of one forward pass against reading the word of a generated answer."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from PIL import Image

from icl_lib.mllm.chat import batches
from icl_lib.mllm.forward import common_beginning
from icl_lib.mllm.local import LocalMLLM
from icl_lib.results import progress
from icl_lib.speed.timing import seconds

GENERATED = "generated, word read"
PLAIN, SHARED = "P(Yes), picture read for each text", "P(Yes), prefix shared"
NEW_TOKENS = 8  # the longest answer that is generated; most end earlier


@torch.inference_mode()
def by_generating(mllm: LocalMLLM, images: Sequence, texts: Sequence[str]) -> np.ndarray:
    """Whether the generated answer to each pair says "yes" [N] bool.

    The usual way: greedy generation from the processor's own batches of as many pairs as `p_yes`
    takes.
    """
    chat, yes = mllm.reader, np.zeros(len(texts), dtype=bool)
    rendered = [chat.render(mllm.prompts.ask_match(text), picture=True) for text in texts]
    order = sorted(range(len(texts)), key=lambda row: len(rendered[row]))
    for rows in batches(order, mllm.pairs_at_once):
        prompts, pictures = [rendered[row] for row in rows], [images[row] for row in rows]
        ids = chat.generate(chat.batch_of_pictures(prompts, pictures), NEW_TOKENS)
        answers = chat.tokenizer.batch_decode(ids, skip_special_tokens=True)
        yes[rows] = ["yes" in answer.lower() for answer in answers]
    return yes


def by_texts(
    mllm: LocalMLLM,
    pictures: Sequence,
    texts: Sequence[str],
    counts: Iterable[int] = (1, 2, 4, 8, 16),
    repeats: int = 2,
) -> pd.DataFrame:
    """The same pairs decided in three ways, by the number of texts asked of each picture.

    Args:
        mllm: without a memory.
        pictures: opened ones, since the encodings of files are kept between calls and would not be
            timed.
        texts: each picture gets the next ones; they are used again from the start as often as
            needed.
        counts: numbers of texts per picture.
        repeats: runs of which the fastest counts.

    Returns:
        A row for each count. Pairs per second: `GENERATED`; `PLAIN`, one forward pass, each
        picture encoded once; `SHARED`, the common prefix of a picture's texts also read once.
        `ratio`: SHARED to GENERATED. `by sharing`: SHARED to PLAIN. `tokens`: what `by sharing`
        would be if time were proportional to the number of tokens. `same word`: percent of pairs
        where P(Yes) > 0.5 agrees with the generated word. `difference`: the largest difference of
        P(Yes) between PLAIN and SHARED.
    """
    rows = {}
    _p_yes(mllm, pictures[:2], texts[:2], share=True)  # pays one-off preparations
    for count in progress(list(counts), "texts per picture"):
        images = [picture for picture in pictures for _ in range(count)]
        asked = [texts[row % len(texts)] for row in range(len(images))]
        generated, word = seconds(by_generating, mllm, images, asked, repeats=repeats)
        plain, p_plain = seconds(_p_yes, mllm, images, asked, False, repeats=repeats)
        shared, p = seconds(_p_yes, mllm, images, asked, True, repeats=repeats)
        rows[count] = {
            GENERATED: len(asked) / generated,
            PLAIN: len(asked) / plain,
            SHARED: len(asked) / shared,
            "ratio": generated / shared,
            "by sharing": plain / shared,
            "tokens": _fewer_tokens(mllm, pictures[0], asked, count),
            "same word": 100 * float(((p > 0.5) == word).mean()),
            "difference": float(np.abs(p - p_plain).max()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("texts per picture")


def enlarged(pictures: Sequence[Image.Image], pixels: int) -> list[Image.Image]:
    """The pictures in their own proportions with about `pixels` pixels each."""
    sides = [(pixels / (picture.width * picture.height)) ** 0.5 for picture in pictures]
    return [
        picture.resize((int(picture.width * side), int(picture.height * side)))
        for picture, side in zip(pictures, sides, strict=True)
    ]


def _fewer_tokens(mllm: LocalMLLM, picture, texts: Sequence[str], count: int) -> float:
    """How many times fewer tokens are read if each `count` prompts of a picture share a prefix."""
    chat = mllm.reader
    if not chat.caches_pictures:
        return 1.0
    rendered = [chat.render(mllm.prompts.ask_match(text), picture=True) for text in texts]
    tokens = chat.tokens(rendered, list(chat.see([picture]).values()) * len(texts))
    length, shared = np.mean([len(own) for own in tokens]), common_beginning(chat, tokens)
    return float(length / (length - shared + shared / count))


def _p_yes(mllm: LocalMLLM, images: Sequence, texts: Sequence[str], share: bool) -> np.ndarray:
    before, mllm.share_prefix = mllm.share_prefix, share
    try:
        return mllm.p_yes(images, texts)
    finally:
        mllm.share_prefix = before
