"""Does M write what it was given? The three written tasks of RDA, facts in against facts out.

Facts are read by `icl_lib.data.standin.read.read_facts`, which knows the stand-in's words, so this is a measure of the stand-in's
models. What the picture shows is not asked here: a text may repeat a wrong answer rightly.
"""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from icl_lib.data.standin import describe, phrases
from icl_lib.data.standin.attributes import VALUES
from icl_lib.data.standin.read import plain_answer, read_facts
from icl_lib.mllm.prompts import Prompts

STEPS = ["aggregation", "decomposition", "rewriting"]


def compared(texts: Mapping[int, dict], captions: pd.DataFrame, prompts: Prompts) -> pd.DataFrame:
    """A row for each text that RDA's steps 2 to 4 wrote of `captions`: step, given, written, wanted, read, exact.

    texts: {caption_id: {vqa, enriched, sentences, parts}} of `icl_lib.rda.augment.augment`. `wanted` and `read` are facts,
    attribute -> value; `exact` says that they are equal. Each distinct sub-sentence's rewritings count once.
    """
    rows, told = [], {}
    for i, caption in zip(captions["caption_id"], captions["caption"], strict=True):
        made = texts[i]
        merged, parts = made["enriched"], " ".join(made["sentences"])
        rows.append(
            (
                "aggregation",
                caption,
                merged,
                merged_facts(caption, made["vqa"], prompts),
                stated([merged]),
            )
        )
        rows.append(("decomposition", merged, parts, stated([merged]), stated(made["sentences"])))
        told |= dict(zip(made["sentences"], made["parts"], strict=True))
    for sentence, rewritings in told.items():
        rows += [
            ("rewriting", sentence, text, *_but_sex(stated([sentence]), stated([text])))
            for text in rewritings
        ]
    table = pd.DataFrame(rows, columns=["step", "given", "written", "wanted", "read"])
    return table.assign(
        exact=[wanted == read for wanted, read in zip(table["wanted"], table["read"])]
    )


def merged_facts(
    caption: str, answers: Mapping[str, str | None], prompts: Prompts
) -> dict[str, str]:
    """What the merged text should state (Eq. 5): the caption's facts, and beyond them those of the answers.

    Where both speak of an attribute, the caption's value stands. Answers that the prompts count as saying nothing,
    and those about the scene, which is the picture's and not the person's, add nothing.
    """
    facts = read_facts(caption)
    scene = {name for group in phrases.SCENE for name in phrases.GROUPS[group]}
    for answer in answers.values():
        if prompts.says_something(answer):
            facts = {n: v for n, v in read_answer(answer).items() if n not in scene} | facts
    return stated(
        [describe.merged(facts)] if "sex" in facts else []
    )  # a vest's sleeves are never written


def read_answer(answer: str) -> dict[str, str]:
    """The facts of one answer; a lone word of pattern ("striped") is one, though it has no noun."""
    word = plain_answer(answer)
    return {"pattern": word} if word in VALUES["pattern"][0] else read_facts(answer)


def stated(sentences: Iterable[str]) -> dict[str, str]:
    """The facts of sentences that stand alone, the first statement of two counting; "plain" is no pattern."""
    facts: dict[str, str] = {}
    for text in sentences:
        facts = read_facts(text) | facts
    return {name: value for name, value in facts.items() if (name, value) != ("pattern", "plain")}


def _but_sex(one: dict, other: dict) -> tuple[dict, dict]:
    """Both without the sex if either doesn't state it: "Her hair is long" and "There are other people" need not."""
    if "sex" in one and "sex" in other:
        return one, other
    return tuple(
        {name: value for name, value in facts.items() if name != "sex"} for facts in (one, other)
    )


def exactness(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each step of `compared`: texts, exact (percent of them), and of 100 facts wanted those kept, changed,
    lost, and how many were added.
    """
    rows = {}
    for step in STEPS:
        part = table[table["step"] == step]
        kinds = pd.Series(
            [kind for row in part.itertuples() for kind, *_ in difference(row.wanted, row.read)],
            dtype=object,
        )
        wanted = sum(map(len, part["wanted"]))
        counts = {
            kind: 100 * int((kinds == kind).sum()) / max(1, wanted)
            for kind in ("changed", "lost", "added")
        }
        rows[step] = {
            "texts": len(part),
            "exact": 100 * part["exact"].mean(),
            "kept": 100 - counts["changed"] - counts["lost"],
            **counts,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("step")


def ways(table: pd.DataFrame, most: int = 5) -> pd.DataFrame:
    """The `most` commonest ways in which the texts of each step differ, a row each.

    Columns: step; how (changed, lost or added); attribute; example (wanted → read); share, percent of the step's
    texts.
    """
    rows = []
    for step in STEPS:
        part = table[table["step"] == step]
        found = pd.DataFrame(
            [kind for row in part.itertuples() for kind in difference(row.wanted, row.read)],
            columns=["how", "attribute", "wanted", "read"],
        )
        for (how, name), group in sorted(
            found.groupby(["how", "attribute"]), key=lambda pair: -len(pair[1])
        )[:most]:
            wanted, read = group[["wanted", "read"]].value_counts().index[0]
            rows.append((step, how, name, f"{wanted} → {read}", 100 * len(group) / len(part)))
    return pd.DataFrame(rows, columns=["step", "how", "attribute", "example", "share"])


def difference(
    wanted: Mapping[str, str], read: Mapping[str, str]
) -> list[tuple[str, str, str, str]]:
    """(changed, lost or added; attribute; value wanted; value read), "–" for none, in the order of the attributes."""
    names: Sequence[str] = [name for name in VALUES if wanted.get(name) != read.get(name)]
    kind = {(True, True): "changed", (True, False): "lost", (False, True): "added"}
    return [
        (kind[name in wanted, name in read], name, wanted.get(name, "–"), read.get(name, "–"))
        for name in names
    ]
