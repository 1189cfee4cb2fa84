"""Whether the MLLM writes what it was given: facts given and written in RDA's written tasks.

Facts are read by `icl_lib.data.standin.read.read_facts`, which knows the stand-in's words, so that
this measures the models of a stand-in. What the picture shows plays no role: a text may repeat
a wrong answer rightly.
"""

from collections.abc import Iterable, Mapping

import pandas as pd

from icl_lib.data.standin import describe, phrases
from icl_lib.data.standin.attributes import VALUES
from icl_lib.data.standin.read import plain_answer, read_facts
from icl_lib.mllm.prompts import Prompts

STEPS = ["aggregation", "decomposition", "rewriting"]


def compared(texts: Mapping[int, dict], captions: pd.DataFrame, prompts: Prompts) -> pd.DataFrame:
    """A row for each text that RDA's aggregation, decomposition and rewriting wrote of `captions`.

    Args:
        texts: {caption_id: {vqa, enriched, sentences, parts}} of `icl_lib.rda.augment.augment`.
        captions: The columns caption_id and caption.
        prompts: The prompts that were used; they tell which answers say something.

    Returns:
        The columns step, given, written, wanted and read (facts: attribute -> value), and exact,
        whether these two are equal. Rewritings of the same sub-sentence count once.
    """
    rows, rewritten = [], {}
    for i, caption in zip(captions["caption_id"], captions["caption"], strict=True):
        made = texts[i]
        merged, sentences = made["enriched"], made["sentences"]
        wanted = merged_facts(caption, made["vqa"], prompts)
        rows.append(("aggregation", caption, merged, wanted, stated([merged])))
        split = stated([merged]), stated(sentences)
        rows.append(("decomposition", merged, " ".join(sentences), *split))
        rewritten |= dict(zip(sentences, made["parts"], strict=True))
    for sentence, texts_of_it in rewritten.items():
        for text in texts_of_it:
            facts = _but_sex(stated([sentence]), stated([text]))
            rows.append(("rewriting", sentence, text, *facts))
    table = pd.DataFrame(rows, columns=["step", "given", "written", "wanted", "read"])
    return table.assign(exact=[row.wanted == row.read for row in table.itertuples()])


def merged_facts(
    caption: str, answers: Mapping[str, str | None], prompts: Prompts
) -> dict[str, str]:
    """What the merged text should state (Eq. 5): the caption's facts, and beyond them the answers'.

    Where both tell the same attribute, the caption's value stands. Answers that say nothing by the
    prompts' rules add nothing, nor do those about the scene, which is the picture's and not the
    person's.
    """
    facts = read_facts(caption)
    for answer in answers.values():
        if prompts.says_something(answer):
            told = read_answer(answer)
            facts = {n: v for n, v in told.items() if n not in phrases.SCENE} | facts
    # Through the canonical text, because it leaves out what nobody writes, e.g. a vest's sleeves.
    return stated([describe.merged(facts)] if "sex" in facts else [])


def read_answer(answer: str) -> dict[str, str]:
    """The facts of one answer; the word of a pattern alone ("striped") is one, without a noun."""
    word = plain_answer(answer)
    return {"pattern": word} if word in VALUES["pattern"][0] else read_facts(answer)


def stated(sentences: Iterable[str]) -> dict[str, str]:
    """The facts of sentences read one by one; the first counts; "plain" is not a pattern."""
    facts: dict[str, str] = {}
    for text in sentences:
        facts = read_facts(text) | facts
    return {name: value for name, value in facts.items() if (name, value) != ("pattern", "plain")}


def _but_sex(one: dict, other: dict) -> list[dict]:
    """Both without the sex unless both state it: "There are other people" need not."""
    both = "sex" in one and "sex" in other
    return [{n: v for n, v in facts.items() if both or n != "sex"} for facts in (one, other)]


def exactness(table: pd.DataFrame) -> pd.DataFrame:
    """How exactly each step writes its facts.

    Args:
        table: The result of `compared`.

    Returns:
        A row per step: the number of texts, the percentage that is exact, and how many facts per
        100 wanted ones are kept, changed, lost, and added.
    """
    rows = {}
    for step, part in _by_step(table):
        kinds = [kind for row in part.itertuples() for kind, *_ in difference(row.wanted, row.read)]
        wanted = max(1, sum(map(len, part["wanted"])))
        counts = {kind: 100 * kinds.count(kind) / wanted for kind in ("changed", "lost", "added")}
        rows[step] = {
            "texts": len(part),
            "exact": 100 * part["exact"].mean(),
            "kept": 100 - counts["changed"] - counts["lost"],
            **counts,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("step")


def ways(table: pd.DataFrame, most: int = 5) -> pd.DataFrame:
    """The most frequent ways in which the texts of each step differ from what was wanted.

    Args:
        table: The result of `compared`.
        most: The number of ways listed for each step.

    Returns:
        The columns step, how (changed, lost or added), attribute, example (wanted → read) and share
        (of the step's texts, in percent).
    """
    rows = []
    for step, part in _by_step(table):
        found = pd.DataFrame(
            [kind for row in part.itertuples() for kind in difference(row.wanted, row.read)],
            columns=["how", "attribute", "wanted", "read"],
        )
        kinds = sorted(found.groupby(["how", "attribute"]), key=lambda pair: -len(pair[1]))
        for (how, name), group in kinds[:most]:
            wanted, read = group[["wanted", "read"]].value_counts().index[0]
            rows.append((step, how, name, f"{wanted} → {read}", 100 * len(group) / len(part)))
    return pd.DataFrame(rows, columns=["step", "how", "attribute", "example", "share"])


def difference(
    wanted: Mapping[str, str], read: Mapping[str, str]
) -> list[tuple[str, str, str, str]]:
    """(changed, lost or added; attribute; value wanted; value read), "–" for a missing value."""
    kind = {(True, True): "changed", (True, False): "lost", (False, True): "added"}
    return [
        (kind[name in wanted, name in read], name, wanted.get(name, "–"), read.get(name, "–"))
        for name in VALUES
        if wanted.get(name) != read.get(name)
    ]


def _by_step(table: pd.DataFrame) -> Iterable[tuple[str, pd.DataFrame]]:
    return ((step, table[table["step"] == step]) for step in STEPS)
