"""Studies of what M says: against the stand-in's ground truth, and of its P(Yes) as a probability.

Only notebooks and tests read this; no stage of the pipeline knows the truth.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.data.standin import read_truth
from icl_lib.data.standin.attributes import VALUES
from icl_lib.data.standin.describe import GROUPS, SYNONYMS
from icl_lib.data.standin.describe import answers as true_answers

VERDICTS = ["fits", "contradicted", "not shown"]
_ABSENT = ("none", "nothing", "nobody")
_SEX = {"man": "man", "guy": "man", "male": "man", "woman": "woman", "lady": "woman", "female": "woman"}
_UNNAMED = {
    "hair": "hair",
    "top": "upper",
    "shoes": "shoes",
    "bag": "bag",
    "hat": "hat",
    "scarf": "scarf",
    "belt": "belt",
}


# what a text claims ----------------------------------------


def read_facts(text: str) -> dict[str, str]:
    """What a text says of a drawn person, attribute -> value in the stand-in's words; a rough reader.

    It looks for the known nouns and the known adjectives right before them ("a red striped t-shirt"), so a
    word it does not know is not read, and of two statements about one attribute the first counts.
    """
    text, facts, end = text.lower(), {}, 0
    sex = re.search(rf"\b({'|'.join(_SEX)})\b", text)
    if sex:
        facts["sex"] = _SEX[sex[1]]
    for noun in _NOUN.finditer(text):
        group, value = _NOUNS[noun[1]]
        adjectives, before = _adjectives(group, text[end : noun.start()])
        adjectives += _after(group, text[noun.end() :])
        end = noun.end()
        if before in ("no", "without", "not"):
            continue
        for name, said in ([(GROUPS[group][0], value)] if value else []) + adjectives:
            facts.setdefault(name, said)
    return facts


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
        shares = 100 * table["verdict"].value_counts(normalize=True).reindex(VERDICTS, fill_value=0.0)
        rows[label] = {
            "facts a text": len(table) / max(1, len(texts)),
            **shares.to_dict(),
            "kept": 100 * len(first & stated) / max(1, len(first)),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("step")


# what M answers ----------------------------------------


def vqa_accuracy(answers: Sequence[Mapping[str, str | None]], root, paths: Sequence) -> pd.DataFrame:
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
                "right": _percent((told == true)[shown]),
                "commonest": 100 * commonest,
                "hidden": int((~shown).sum()),
                "invented": _percent(~told[~shown].isin(["not visible", ""])),
            }
        )
    return pd.DataFrame(rows).set_index("characteristic")


def plain_answer(answer: str | None) -> str:
    """An answer without article, full stop and capital letters, each synonym made its canonical word."""
    words = re.sub(r"^(a|an|the)\s+", "", " ".join((answer or "").lower().split()).strip(" .,;:!\"'"))
    return _SPELLING.sub(lambda found: _SPELLINGS[found[1]], words)


def unread(texts: Mapping[int, dict], captions: pd.DataFrame) -> pd.DataFrame:
    """What RDA could not use, step by step: step, asked, left (as it was given), share (percent).

    texts: {caption_id: {vqa, enriched, sentences, parts}} of `icl_lib.rda.augment`; captions: its captions.
    """
    one = captions.drop_duplicates("image_id")["caption_id"]
    vqa = [answer is None for i in one for answer in texts[i]["vqa"].values()]
    merged = [texts[i]["enriched"] == text for i, text in zip(captions["caption_id"], captions["caption"])]
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
            {"step": step, "asked": len(flags), "left": sum(flags), "share": _percent(flags)}
            for step, flags in steps.items()
        ]
    )


def writer_with_adapter(params, folder):
    """The MLLM of `params`, with a memory, that also writes with the adapter in `folder`."""
    from icl_lib.mllm.load import load_model, model_folder, remembered
    from icl_lib.mllm.local import load_adapter
    from icl_lib.results import folder_hash

    base = model_folder(params)
    model, processor = load_model(params, base)
    model = load_adapter(model, folder).merge_and_unload()
    weights = f"{folder_hash(base)}+{folder_hash(Path(folder))}, adapted in every answer"
    name = f"{weights} {params.mllm.dtype} {params.mllm.max_pixels} pixels"
    return remembered(params, model, processor, name)


# P(Yes) as a probability ----------------------------------------


def reliability(labels, p, bins: int = 10) -> pd.DataFrame:
    """A row for each of `bins` equal ranges of P(Yes) that holds any pair.

    Columns: pairs; said (mean P(Yes), percent); true (share of label 1, percent).
    """
    labels, p = np.asarray(labels, dtype=float), np.asarray(p, dtype=float)
    if labels.shape != p.shape or not len(p) or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("labels and p should be two equally long, non-empty lists, p in [0, 1].")
    place = np.minimum((p * bins).astype(int), bins - 1)
    table = pd.DataFrame({"bin": place, "said": 100 * p, "true": 100 * labels}).groupby("bin")
    return table.agg(pairs=("said", "size"), said=("said", "mean"), true=("true", "mean")).reset_index(
        drop=True
    )


def calibration_error(labels, p, bins: int = 10) -> float:
    """Expected calibration error in percent: Σ over bins of (its pairs / all pairs) · |said − true|."""
    table = reliability(labels, p, bins)
    return float((table["pairs"] * (table["said"] - table["true"]).abs()).sum() / table["pairs"].sum())


def by_rank(judged: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """How good Yes (p > `threshold`) is at each rank of the candidate; `judged` has rank, label and p.

    Columns: pairs; in percent true (share of the right person), accuracy, recall (share of the right persons
    that got a Yes) and false (share of strangers that got one).
    """
    rows = []
    for rank, part in judged.groupby("rank"):
        yes, right = part["p"] > threshold, part["label"] == 1
        rows.append(
            {
                "rank": rank,
                "pairs": len(part),
                "true": _percent(right),
                "accuracy": _percent(yes == right),
                "recall": _percent(yes[right]),
                "false": _percent(yes[~right]),
            }
        )
    return pd.DataFrame(rows).set_index("rank")


def by_difference(pairs: pd.DataFrame, raw, adapted, root) -> pd.DataFrame:
    """Which differences each model sees: a row an attribute in which a stranger's picture contradicts the caption.

    pairs: path, caption, label; raw, adapted: whether each answer is right, bool [N] in the same order. Columns: pairs (a pair
    counts under each of its attributes); right of each model in percent; mended (raw wrong, adapted right) and spoiled, counts.
    Two more rows: strangers whose picture contradicts nothing, and the right person.
    """
    pairs = pairs.reset_index(drop=True).assign(raw=np.asarray(raw, bool), adapted=np.asarray(adapted, bool))
    found = claims(pairs["caption"].tolist(), root, pairs["path"].tolist())
    found = found[(found["verdict"] == "contradicted") & (pairs["label"].to_numpy()[found["text"]] == 0)]
    groups = {name: pairs.loc[part["text"].unique()] for name, part in found.groupby("attribute")}
    groups["(contradicts nothing)"] = pairs[(pairs["label"] == 0) & ~pairs.index.isin(found["text"])]
    groups["(the right person)"] = pairs[pairs["label"] == 1]
    rows = {
        name: {
            "pairs": len(part),
            "raw right": _percent(part["raw"]),
            "adapted right": _percent(part["adapted"]),
            "mended": int((~part["raw"] & part["adapted"]).sum()),
            "spoiled": int((part["raw"] & ~part["adapted"]).sum()),
        }
        for name, part in groups.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("mended", ascending=False).rename_axis("difference")


def _pictures(root, paths: Sequence) -> list[dict]:
    known = read_truth(root)["pictures"]
    names = [Path(path).name for path in paths]
    foreign = next((name for name in names if name not in known), None)
    if foreign is not None:
        raise ValueError(f"the stand-in at {root} has no picture {foreign}: is it another stand-in's?")
    return [known[name] for name in names]


def _percent(flags) -> float:
    return 100 * float(np.mean(flags)) if len(flags) else float("nan")


def _spelled(value: str) -> list[str]:
    return list(dict.fromkeys([value, *SYNONYMS.get(value, [])]))


def _adjectives(group: str, before: str) -> tuple[list[tuple[str, str]], str]:
    """The facts in the unbroken run of known adjectives at the end of `before`, and the word ahead of it."""
    words, found = re.findall(r"[\w-]+|[^\w\s]", before), []
    while words and words[-1] in _ADJECTIVES[group]:
        found.append(_ADJECTIVES[group][words.pop()])
    return found, words[-1] if words else ""


def _after(group: str, rest: str) -> list[tuple[str, str]]:
    if group == "upper" and (sleeves := re.match(r"\s+with (short|long) sleeves", rest)):
        return [("sleeves", sleeves[1])]
    if group == "hair" and (told := re.match(r"\s+is((?:\s+[\w-]+)+)", rest)):
        words = told[1].split()
        stop = next((i for i, word in enumerate(words) if word not in _ADJECTIVES["hair"]), len(words))
        return [_ADJECTIVES["hair"][word] for word in words[:stop]]
    return []


def _vocabulary():
    nouns = {word: (group, None) for word, group in _UNNAMED.items()}
    nouns |= dict.fromkeys(["people", "other people", "not alone"], ("bystanders", "other people"))
    adjectives: dict[str, dict] = {}
    for group, names in GROUPS.items():
        if names[0] == group and group not in ("scarf", "belt", "bystanders"):
            nouns |= {
                word: (group, value)
                for value in VALUES[group][0]
                if value not in _ABSENT
                for word in _spelled(value)
            }
            names = names[1:]
        adjectives[group] = {
            word: (name, value)
            for name in names
            for value in VALUES[name][0]
            if value not in _ABSENT
            for word in ([f"{value}-sleeved"] if name == "sleeves" else _spelled(value))
        }
    return nouns, adjectives


def _any_of(words) -> re.Pattern:
    longest_first = sorted(words, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])({'|'.join(map(re.escape, longest_first))})(?![\w-])")


_NOUNS, _ADJECTIVES = _vocabulary()
_NOUN = _any_of(_NOUNS)
_SPELLINGS = {word: value for values, _ in VALUES.values() for value in values for word in _spelled(value)}
_SPELLING = _any_of(_SPELLINGS)
