"""How accurate the MLLM's answers about characteristics are."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from icl_lib.analysis.claims import _pictures
from icl_lib.data.standin.describe import answers as true_answers
from icl_lib.data.standin.read import plain_answer
from icl_lib.mllm.yes_no import percent

# what M answers ----------------------------------------


def vqa_accuracy(
    answers: Sequence[Mapping[str, str | None]], root, paths: Sequence
) -> pd.DataFrame:
    """M's answers about N pictures against what was drawn in them, a row a characteristic; shares in percent.

    `answers` [N] as `icl_lib.mllm.tasks.describe` gives them, in the order of the 15 questions. Columns:
    visible (pictures that show it), right (share of those answered as drawn; spelling, article and synonym
    aside), commonest (share right of always giving the most frequent true answer), hidden (pictures that do
    not show it), invented (share of those where something was claimed all the same; NaN if there is none).
    Raises ValueError for other than 15 answers and for a picture of another stand-in.
    """
    pairs = [
        (list(given.items()), true_answers(picture["truth"], set(picture["seen"])))
        for given, picture in zip(answers, _pictures(root, paths), strict=True)
    ]
    if not pairs or any(len(given) != len(true) for given, true in pairs):
        raise ValueError("the truth answers 15 questions: give answers to the same 15, in order.")
    rows = []
    for column, (name, _) in enumerate(pairs[0][0]):
        told = pd.Series([plain_answer(given[column][1]) for given, _ in pairs])
        true = pd.Series([plain_answer(answers[column]) for _, answers in pairs])
        shown = true != "not visible"
        commonest = true[shown].value_counts(normalize=True).max() if shown.any() else np.nan
        rows.append(
            {
                "characteristic": name,
                "visible": int(shown.sum()),
                "right": percent((told == true)[shown]),
                "commonest": 100 * commonest,
                "hidden": int((~shown).sum()),
                "invented": percent(~told[~shown].isin(["not visible", ""])),
            }
        )
    return pd.DataFrame(rows).set_index("characteristic")


def unread(texts: Mapping[int, dict], captions: pd.DataFrame) -> pd.DataFrame:
    """What RDA could not use, step by step: step, asked, left (as it was given), share (percent).

    texts: {caption_id: {vqa, enriched, sentences, parts}} of `icl_lib.rda.augment.augment`; captions: its captions.
    """
    one = captions.drop_duplicates("image_id")["caption_id"]
    vqa = [answer is None for i in one for answer in texts[i]["vqa"].values()]
    merged = [
        texts[i]["enriched"] == text for i, text in zip(captions["caption_id"], captions["caption"])
    ]
    whole = [row["sentences"] == [row["enriched"]] for row in texts.values()]
    rewritten = {}
    for row in texts.values():
        rewritten.update(zip(row["sentences"], row["parts"]))
    lone = [part == [sentence] for sentence, part in rewritten.items()]
    steps = {
        "VQA: answers that could not be read": vqa,
        "aggregation: captions left as they were": merged,
        "decomposition: texts left in one piece": whole,
        "rewriting: distinct sub-sentences left alone": lone,
    }
    return pd.DataFrame(
        [
            {"step": step, "asked": len(flags), "left": sum(flags), "share": percent(flags)}
            for step, flags in steps.items()
        ]
    )
