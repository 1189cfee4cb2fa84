"""The four written tasks of the paper, over any MLLM: describe, aggregate, decompose, rewrite.

What cannot be read out of an answer is never guessed: it is counted in `mllm.parse_report` and the task goes
on with what it was given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from icl_lib.data.pictures import Picture
from icl_lib.mllm.base import MLLM
from icl_lib.mllm.parse import is_refusal, parse_answers, parse_sentences, parse_text

Answers = dict[str, str | None]


def describe(mllm: MLLM, images: Sequence[Picture]) -> list[Answers]:
    """T_vqa (Eq. 4): N pictures -> N dicts from characteristic to answer, None where it could not be read.

    All questions go into one prompt and the query is not part of it, so the answers belong to the picture
    alone.
    """
    prompts = mllm.prompts
    questions = [item.question for item in prompts.characteristics]
    written = mllm.write([prompts.ask_answers()] * len(images), images)
    described = []
    for text in written:
        answers = parse_answers(text, prompts.names, questions)
        read = sum(answer is not None for answer in answers.values())
        mllm.parse_report["vqa answers asked"] += len(answers)
        mllm.parse_report["vqa answers unread"] += len(answers) - read
        mllm.parse_report["vqa texts refused"] += int(read == 0 and is_refusal(text))
        described.append(answers)
    return described


def aggregate(
    mllm: MLLM, answers: Sequence[Mapping[str, str | None]], texts: Sequence[str]
) -> list[str]:
    """T_aggr (Eq. 5): N dicts of answers and N texts -> N merged texts.

    A text stays as it is, without asking, where no answer says anything; and where nothing readable came
    back.
    """
    if len(answers) != len(texts):
        raise ValueError(
            f"{len(answers)} sets of answers but {len(texts)} texts: give one set for each text."
        )
    told = [row for row, given in enumerate(answers) if mllm.prompts.answers_text(given)]
    written = mllm.write([mllm.prompts.ask_merged(answers[row], texts[row]) for row in told])
    merged = list(texts)
    for row, text in zip(told, written):
        merged[row] = parse_text(text) or texts[row]
        mllm.parse_report["merged texts unread"] += int(parse_text(text) is None)
    mllm.parse_report["merged texts asked"] += len(told)
    mllm.parse_report["texts with nothing to merge"] += len(texts) - len(told)
    return merged


def decompose(mllm: MLLM, texts: Sequence[str]) -> list[list[str]]:
    """T_dec: N texts -> N lists of sub-sentences; a text that came back unreadable is its own only one."""
    written = mllm.write([mllm.prompts.ask_parts(text) for text in texts])
    parts = [parse_sentences(text) for text in written]
    mllm.parse_report["decompositions asked"] += len(texts)
    mllm.parse_report["decompositions unread"] += sum(not found for found in parts)
    return [found or [text] for found, text in zip(parts, texts)]


def rewrite(mllm: MLLM, sentences: Sequence[str], m: int) -> list[list[str]]:
    """T_rwt: N sentences -> N lists of 1 to m different sentences of the same meaning.

    Equal sentences are asked once. A sentence that came back unreadable is its own only rewriting.
    """
    if m < 1:
        raise ValueError(f"A sentence needs at least one rewriting, not {m}.")
    distinct = list(dict.fromkeys(sentences))
    written = mllm.write([mllm.prompts.ask_rewritten(sentence, m) for sentence in distinct])
    found = {sentence: parse_sentences(text)[:m] for sentence, text in zip(distinct, written)}
    mllm.parse_report["rewritings asked"] += len(distinct)
    mllm.parse_report["rewritings unread"] += sum(not lines for lines in found.values())
    return [list(found[sentence] or [sentence]) for sentence in sentences]
