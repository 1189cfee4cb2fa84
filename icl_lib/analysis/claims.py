"""Studies of what M says: against the stand-in's ground truth, and of its P(Yes) as a probability.

Only notebooks and tests read this; no stage of the pipeline knows the truth.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.data.standin import read_truth
from icl_lib.data.standin.read import read_facts
from icl_lib.mllm.yes_no import percent

VERDICTS = ["fits", "contradicted", "not shown"]


def claims(texts: Sequence[str], root, paths: Sequence) -> pd.DataFrame:
    """A row for each fact that a text states of its picture: text (number), attribute, said, drawn, verdict.

    `texts` [N] belong to the pictures at `paths` [N] of the stand-in at `root`. Verdicts: "fits";
    "contradicted" (the picture shows it, and otherwise); "not shown" (hidden in this picture, true of the
    person or not).
    """
    return marked([read_facts(text) for text in texts], root, paths)


def marked(facts: Sequence[Mapping[str, str]], root, paths: Sequence) -> pd.DataFrame:
    """`claims` of facts that are read already: `facts` [N], attribute -> value said, of the pictures at `paths` [N]."""
    rows = []
    for number, (own, picture) in enumerate(zip(facts, _pictures(root, paths), strict=True)):
        for name, said in own.items():
            drawn = picture["truth"][name]
            seen = name in picture["seen"]
            verdict = "not shown" if not seen else "fits" if said == drawn else "contradicted"
            rows.append((number, name, said, drawn, verdict))
    return pd.DataFrame(rows, columns=["text", "attribute", "said", "drawn", "verdict"])


def claim_table(steps: Mapping[str, Sequence[str]], root, paths: Sequence) -> pd.DataFrame:
    """A row for each step's texts [N] about the same pictures [N]: what they state and whether it is true.

    Columns: facts a text; the share of each verdict in percent; `kept`, the share of the first step's facts
    that this step's texts still state, in percent.
    """
    rows, first = {}, None
    for label, texts in steps.items():
        table = claims(texts, root, paths)
        stated = set(zip(table["text"], table["attribute"], table["said"]))
        first = stated if first is None else first
        shares = 100 * table["verdict"].value_counts(normalize=True).reindex(
            VERDICTS, fill_value=0.0
        )
        rows[label] = {
            "facts a text": len(table) / max(1, len(texts)),
            **shares.to_dict(),
            "kept": 100 * len(first & stated) / max(1, len(first)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("step")


def by_difference(pairs: pd.DataFrame, raw, adapted, root) -> pd.DataFrame:
    """Which differences each model sees: a row an attribute in which a stranger's picture contradicts the caption.

    pairs: path, caption, label; raw, adapted: whether each answer is right, bool [N] in the same order. Columns: pairs (a pair
    counts under each of its attributes); right of each model in percent; mended (raw wrong, adapted right) and spoiled, counts.
    Two more rows: strangers whose picture contradicts nothing, and the right person.
    """
    pairs = pairs.reset_index(drop=True).assign(
        raw=np.asarray(raw, bool), adapted=np.asarray(adapted, bool)
    )
    found = claims(pairs["caption"].tolist(), root, pairs["path"].tolist())
    found = found[
        (found["verdict"] == "contradicted") & (pairs["label"].to_numpy()[found["text"]] == 0)
    ]
    groups = {name: pairs.loc[part["text"].unique()] for name, part in found.groupby("attribute")}
    groups["(contradicts nothing)"] = pairs[
        (pairs["label"] == 0) & ~pairs.index.isin(found["text"])
    ]
    groups["(the right person)"] = pairs[pairs["label"] == 1]
    rows = {
        name: {
            "pairs": len(part),
            "raw right": percent(part["raw"]),
            "adapted right": percent(part["adapted"]),
            "mended": int((~part["raw"] & part["adapted"]).sum()),
            "spoiled": int((part["raw"] & ~part["adapted"]).sum()),
        }
        for name, part in groups.items()
    }
    return (
        pd.DataFrame.from_dict(rows, orient="index")
        .sort_values("mended", ascending=False)
        .rename_axis("difference")
    )


def _pictures(root, paths: Sequence) -> list[dict]:
    known = read_truth(root)["pictures"]
    names = [Path(path).name for path in paths]
    foreign = next((name for name in names if name not in known), None)
    if foreign is not None:
        raise ValueError(
            f"the stand-in at {root} has no picture {foreign}: is it another stand-in's?"
        )
    return [known[name] for name in names]
