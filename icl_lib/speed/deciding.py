"""Deciding Yes or No: P(Yes) read off one forward pass, against generating an answer and reading its word."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
import torch

from icl_lib.mllm.chat import batches
from icl_lib.mllm.forward import common_beginning
from icl_lib.mllm.local import LocalMLLM
from icl_lib.results import progress
from icl_lib.speed.timing import seconds

GENERATED = "generated, word read"
PLAIN, SHARED = "P(Yes), picture read for each text", "P(Yes), prefix shared"


@torch.inference_mode()
def by_generating(
    mllm: LocalMLLM, images: Sequence, texts: Sequence[str], new_tokens: int = 8
) -> np.ndarray:
    """Yes or No [N] bool in the usual way: the processor's own batch, `generate`, and "yes" in what was
    written.

    Greedy, as many pairs a batch as `p_yes` takes, at most `new_tokens` tokens; an answer ends earlier by
    itself.
    """
    chat, said = mllm.reader, np.zeros(len(texts), dtype=bool)
    rendered = [chat.render(mllm.prompts.ask_match(text), picture=True) for text in texts]
    order = sorted(range(len(texts)), key=lambda row: len(rendered[row]))
    for rows in batches(order, mllm.pairs_at_once):
        inputs = chat.batch_of_pictures(
            [rendered[row] for row in rows], [images[row] for row in rows]
        )
        ids = chat.generate(inputs, new_tokens)
        for row, answer in zip(rows, chat.tokenizer.batch_decode(ids, skip_special_tokens=True)):
            said[row] = "yes" in answer.lower()
    return said


def by_texts(mllm: LocalMLLM, pictures: Sequence, texts: Sequence[str],
             counts: Iterable[int] = (1, 2, 4, 8, 16), repeats: int = 2) -> pd.DataFrame:  # fmt: skip
    """The same pairs decided in three ways, by the number of texts asked of each picture: a row a number.

    Pairs a second of `GENERATED`, `PLAIN` (one forward pass, each picture encoded once) and `SHARED` (its
    prefix read once too); `ratio`, SHARED to GENERATED; `by sharing`, SHARED to PLAIN; `tokens`, what that
    would be if time went by the number of tokens alone; `same word`, percent of pairs where P(Yes) > 0.5
    says what was written; `difference`, the largest of P(Yes) between PLAIN and SHARED.

    pictures: opened ones (files stay encoded from call to call, and nothing would be left to measure); each
    gets the next of `texts`, which are gone round as often as needed. Every time is the least of `repeats`.
    """
    rows = {}
    _p_yes(mllm, pictures[:2], texts[:2], share=True)  # the first call pays for what is paid once
    for count in progress(list(counts), "texts a picture"):
        images = [picture for picture in pictures for _ in range(count)]
        asked = [texts[row % len(texts)] for row in range(len(images))]
        generated, said = seconds(lambda: by_generating(mllm, images, asked), repeats)
        plain, alone = seconds(lambda: _p_yes(mllm, images, asked, share=False), repeats)
        shared, p = seconds(lambda: _p_yes(mllm, images, asked, share=True), repeats)
        rows[count] = {
            GENERATED: len(asked) / generated,
            PLAIN: len(asked) / plain,
            SHARED: len(asked) / shared,
            "ratio": generated / shared,
            "by sharing": plain / shared,
            "tokens": _fewer_tokens(mllm, pictures[0], asked, count),
            "same word": 100 * float(((p > 0.5) == said).mean()),
            "difference": float(np.abs(p - alone).max()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("texts a picture")


def _fewer_tokens(mllm: LocalMLLM, picture, texts: Sequence[str], count: int) -> float:
    """All tokens of prompts about one picture, to those read if each `count` share their beginning."""
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
