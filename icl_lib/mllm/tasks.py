"""The four written tasks of the paper, over any MLLM: describe, aggregate, decompose, rewrite.

What cannot be read out of an answer is never guessed: it is counted in `mllm.parse_report`, and the
task continues with what it was given.
"""

from collections.abc import Mapping, Sequence

from icl_lib.data.pictures import Picture
from icl_lib.mllm.base import MLLM
from icl_lib.mllm.parse import is_refusal, parse_answers, parse_sentences, parse_text

Answers = dict[str, str | None]


def describe(mllm: MLLM, images: Sequence[Picture]) -> list[Answers]:
    """T_vqa (Eq. 4): the answer to each characteristic of N pictures; None where it cannot be read.

    All questions go into one prompt and the query is not part of it, so the answers belong to the
    picture alone.
    """
    prompts = mllm.prompts
    questions = [item.question for item in prompts.characteristics]
    written = mllm.write([prompts.ask_answers()] * len(images), images)
    described = [parse_answers(text, prompts.names, questions) for text in written]
    unread = [list(answers.values()).count(None) for answers in described]
    mllm.parse_report["vqa answers asked"] += len(images) * len(questions)
    mllm.parse_report["vqa answers unread"] += sum(unread)
    mllm.parse_report["vqa texts refused"] += sum(
        count == len(questions) and is_refusal(text)
        for count, text in zip(unread, written, strict=True)
    )
    return described


def aggregate(
    mllm: MLLM, answers: Sequence[Mapping[str, str | None]], texts: Sequence[str]
) -> list[str]:
    """T_aggr (Eq. 5): N texts merged with the answers about a picture -> N texts.

    A text stays as it is where no answer says anything (nothing is asked then), and where nothing
    readable came back.
    """
    if len(answers) != len(texts):
        raise ValueError(
            f"{len(answers)} sets of answers but {len(texts)} texts: give one set for each text."
        )
    rows = [row for row, given in enumerate(answers) if mllm.prompts.answers_text(given)]
    written = mllm.write([mllm.prompts.ask_merged(answers[row], texts[row]) for row in rows])
    read = {row: parse_text(text) for row, text in zip(rows, written, strict=True)}
    mllm.parse_report["merged texts asked"] += len(rows)
    mllm.parse_report["merged texts unread"] += list(read.values()).count(None)
    mllm.parse_report["texts with nothing to merge"] += len(texts) - len(rows)
    return [read.get(row) or text for row, text in enumerate(texts)]


def decompose(mllm: MLLM, texts: Sequence[str]) -> list[list[str]]:
    """T_dec: N texts -> N lists of short sentences; an unreadable answer leaves the text whole."""
    written = mllm.write([mllm.prompts.ask_parts(text) for text in texts])
    parts = [parse_sentences(text) for text in written]
    mllm.parse_report["decompositions asked"] += len(texts)
    mllm.parse_report["decompositions unread"] += parts.count([])
    return [found or [text] for found, text in zip(parts, texts, strict=True)]


def rewrite(mllm: MLLM, sentences: Sequence[str], m: int) -> list[list[str]]:
    """T_rwt: N sentences -> N lists of 1 to m different sentences of the same meaning.

    Equal sentences are asked once. An unreadable answer leaves the sentence as it is.
    """
    if m < 1:
        raise ValueError(f"A sentence needs at least one rewriting, not {m}.")
    distinct = list(dict.fromkeys(sentences))
    written = mllm.write([mllm.prompts.ask_rewritten(sentence, m) for sentence in distinct])
    lines = [parse_sentences(text)[:m] for text in written]
    mllm.parse_report["rewritings asked"] += len(distinct)
    mllm.parse_report["rewritings unread"] += lines.count([])
    found = dict(zip(distinct, lines, strict=True))
    return [list(found[sentence] or [sentence]) for sentence in sentences]
