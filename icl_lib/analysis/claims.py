"""What texts claim about a picture, compared with what was drawn in it.

Only notebooks and tests use this; no stage of the pipeline knows the truth of a stand-in.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.data.standin import read_truth
from icl_lib.data.standin.read import read_facts

VERDICTS = ["fits", "contradicted", "not shown"]


def claims(texts: Sequence[str], root, paths: Sequence) -> pd.DataFrame:
    """A row for each fact that a text states about its picture.

    Args:
        texts: N texts.
        root: The folder of a stand-in.
        paths: The picture of each text, N.

    Returns:
        The columns text (its number), attribute, said, drawn and verdict. Verdicts: "fits";
        "contradicted": the picture shows something else; "not shown": it is hidden in this
        picture, whether it is true of the person or not.
    """
    return marked([read_facts(text) for text in texts], root, paths)


def marked(facts: Sequence[Mapping[str, str]], root, paths: Sequence) -> pd.DataFrame:
    """`claims` of facts that are read already: attribute -> value said, of N pictures."""
    rows = []
    for number, (own, picture) in enumerate(zip(facts, pictures_of(root, paths), strict=True)):
        for name, said in own.items():
            drawn = picture["truth"][name]
            shown = "fits" if said == drawn else "contradicted"
            verdict = shown if name in picture["seen"] else "not shown"
            rows.append((number, name, said, drawn, verdict))
    return pd.DataFrame(rows, columns=["text", "attribute", "said", "drawn", "verdict"])


def claim_table(steps: Mapping[str, Sequence[str]], root, paths: Sequence) -> pd.DataFrame:
    """What the texts of several steps state of the same N pictures, and whether it is true.

    Returns:
        A row per step with the columns "facts per text"; the share of each verdict in percent; and
        "kept", the share of the first step's facts that this step's texts still state, in percent.
    """
    rows, first = {}, None
    for label, texts in steps.items():
        table = claims(texts, root, paths)
        stated = set(zip(table["text"], table["attribute"], table["said"], strict=True))
        first = stated if first is None else first
        shares = table["verdict"].value_counts(normalize=True).reindex(VERDICTS, fill_value=0.0)
        rows[label] = {
            "facts per text": len(table) / max(1, len(texts)),
            **(100 * shares).to_dict(),
            "kept": 100 * len(first & stated) / max(1, len(first)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("step")


def by_difference(pairs: pd.DataFrame, raw, adapted, root) -> pd.DataFrame:
    """Which differences between a caption and a wrong person's picture each model sees.

    Args:
        pairs: The columns path, caption and label (1 for the right person).
        raw: Whether each answer of the raw model is right, bool [N].
        adapted: The same for the adapted model.
        root: The folder of the stand-in.

    Returns:
        A row for each attribute in which a wrong person's picture contradicts the caption (a pair
        counts under each of its attributes), one for pictures of wrong persons that contradict
        nothing, and one for the right persons. Columns: pairs; each model's right answers in
        percent; mended (raw wrong, adapted right) and spoiled (the reverse), as counts.
    """
    right = {"raw": np.asarray(raw, bool), "adapted": np.asarray(adapted, bool)}
    pairs = pairs.reset_index(drop=True).assign(**right)
    wrong = pairs["label"] == 0
    found = claims(pairs["caption"].tolist(), root, pairs["path"].tolist())
    found = found[(found["verdict"] == "contradicted") & wrong.to_numpy()[found["text"]]]
    groups = {name: pairs.loc[part["text"].unique()] for name, part in found.groupby("attribute")}
    groups["(contradicts nothing)"] = pairs[wrong & ~pairs.index.isin(found["text"])]
    groups["(the right person)"] = pairs[pairs["label"] == 1]
    rows = {
        name: {
            "pairs": len(part),
            "raw right": 100 * part["raw"].mean(),
            "adapted right": 100 * part["adapted"].mean(),
            "mended": int((~part["raw"] & part["adapted"]).sum()),
            "spoiled": int((part["raw"] & ~part["adapted"]).sum()),
        }
        for name, part in groups.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.sort_values("mended", ascending=False).rename_axis("difference")


def pictures_of(root, paths: Sequence) -> list[dict]:
    """The truth of each picture (see `read_truth`).

    Raises:
        ValueError: A picture is not one of the stand-in at `root`.
    """
    known = read_truth(root)["pictures"]
    names = [Path(path).name for path in paths]
    for name in names:
        if name not in known:
            raise ValueError(
                f"the stand-in at {root} has no picture {name}: is it another stand-in's?"
            )
    return [known[name] for name in names]
