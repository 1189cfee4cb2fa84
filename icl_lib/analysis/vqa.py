"""How accurately the MLLM answers questions about characteristics, and what of RDA is unusable."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from icl_lib.analysis.claims import pictures_of
from icl_lib.data.standin.describe import answers as true_answers
from icl_lib.data.standin.read import plain_answer


def vqa_accuracy(
    answers: Sequence[Mapping[str, str | None]], root, paths: Sequence
) -> pd.DataFrame:
    """Compares the MLLM's answers about N pictures with what was drawn in them.

    Args:
        answers: Of each picture, those to the 15 questions in order (see `icl_lib.mllm.describe`).
        root: The folder of the stand-in.
        paths: The N pictures.

    Returns:
        A row per characteristic; shares in percent. Columns: visible, the number of pictures that
        show it; right, the share of those answered as drawn (spelling, article and synonym aside);
        commonest, the share that the most frequent true answer would get right; hidden, the number
        of pictures that do not show it; invented, the share of those about which the MLLM claimed
        something nevertheless (NaN if there are none).

    Raises:
        ValueError: There are other than 15 answers, or a picture is another stand-in's.
    """
    pictures = pictures_of(root, paths)
    true = [true_answers(picture["truth"], set(picture["seen"])) for picture in pictures]
    pairs = list(zip(answers, true, strict=True))
    if not pairs or any(len(given) != len(right) for given, right in pairs):
        raise ValueError("the truth answers 15 questions: give answers to the same 15, in order.")
    rows = {}
    for column, name in enumerate(answers[0]):
        told = pd.Series([plain_answer(list(given.values())[column]) for given in answers])
        drawn = pd.Series([plain_answer(right[column]) for right in true])
        shown = drawn != "not visible"
        rows[name] = {
            "visible": int(shown.sum()),
            "right": 100 * (told == drawn)[shown].mean(),
            "commonest": 100 * drawn[shown].value_counts(normalize=True).max(),
            "hidden": int((~shown).sum()),
            "invented": 100 * (~told[~shown].isin(["not visible", ""])).mean(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("characteristic")


def unread(texts: Mapping[int, dict], captions: pd.DataFrame) -> pd.DataFrame:
    """What RDA could not use of the MLLM's answers.

    Args:
        texts: {caption_id: {vqa, enriched, sentences, parts}} of `icl_lib.rda.augment.augment`.
        captions: The captions of these texts; the answers about one picture count once.

    Returns:
        A row for each of RDA's steps with the columns step, asked, left (as it was given) and share
        (of the asked, in percent).
    """
    pictures = captions.drop_duplicates("image_id")["caption_id"]
    told = zip(captions["caption_id"], captions["caption"], strict=True)
    rewritten = {}
    for row in texts.values():
        rewritten.update(zip(row["sentences"], row["parts"], strict=True))
    left = {
        "VQA: answers that could not be read": [
            answer is None for i in pictures for answer in texts[i]["vqa"].values()
        ],
        "aggregation: captions left as they were": [
            texts[i]["enriched"] == text for i, text in told
        ],
        "decomposition: texts left in one piece": [
            row["sentences"] == [row["enriched"]] for row in texts.values()
        ],
        "rewriting: distinct sub-sentences left alone": [
            part == [sentence] for sentence, part in rewritten.items()
        ],
    }
    table = pd.DataFrame({"step": list(left), "asked": [len(flags) for flags in left.values()]})
    table["left"] = [sum(flags) for flags in left.values()]
    return table.assign(share=[100 * np.mean(flags) for flags in left.values()])
