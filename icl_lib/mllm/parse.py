"""Reads what an MLLM wrote: numbered answers, lists of sentences, one text; the rest stays unread."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

# "1." "1)" "(1)" "**1.**" "1:" "1、", after bullets or markdown, followed by something that is no digit
# ("1.5").
_MARK = r"[(\[]?\*{0,2}(\d{1,2})\*{0,2}[.):\]、]{1,2}\*{0,2}(?!\d)"
_AT_LINE_START = re.compile(rf"(?m)^[ \t]*(?:[-*•>#]+[ \t]+)*{_MARK}")
_ANYWHERE = re.compile(rf"(?:(?<=\s)|(?<=[;,])|^){_MARK}")
_BULLET = re.compile(r"^\s*(?:[-*•–>#]+\s+|[-•–])\s*")
_LABEL = re.compile(r"^(?:\*{0,2}(?:answer|response|a)\*{0,2}\s*[:：]\s*)", re.IGNORECASE)
_REFUSAL = re.compile(
    r"^(?:(?:i'?m sorry|sorry|i apologi[sz]e|as an ai|unable to|i (?:can ?not|can'?t|am unable|am not able)"
    r"|lo siento|je suis désolée?|je ne peux pas|es tut mir leid|tut mir leid|ich kann nicht)\b"
    r"|(?:很|非常)?(?:抱歉|对不起|對不起)|我无法|我無法|申し訳)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'])")
_PREFACE = re.compile(
    r"^(?:sure|certainly|of course|okay|ok|here (?:are|is)|below (?:are|is)|the following)\b.*:?$",
    re.IGNORECASE,
)


def is_refusal(text: str) -> bool:
    """True where the answer begins by declining ("I'm sorry", "I cannot …", "As an AI …")."""
    return bool(_REFUSAL.match(text.strip().replace("’", "'")))


def parse_answers(
    text: str, names: Sequence[str], questions: Sequence[str] = ()
) -> dict[str, str | None]:
    """The answer to each of `names`, or None where none could be read.

    Reads, in this order: numbered answers (at line starts, or run on within a line), "name: answer" lines,
    and as many plain lines as there are names. Repeated questions, markdown, bullets and trailing prose are
    cut off; an answer that declines is unread.
    """
    text = unicodedata.normalize("NFKC", text).replace("’", "'").strip()
    found: dict[str, str | None] = dict.fromkeys(names)
    raw = _numbered(text, len(names)) or _named(text, names) or _one_a_line(text, len(names))
    for index, answer in raw.items():
        question = questions[index] if index < len(questions) else ""
        answer = _bare_answer(answer, names[index], question)
        found[names[index]] = answer if answer and not is_refusal(answer) else None
    return found


def parse_sentences(text: str) -> list[str]:
    """The sentences of a list, one a line, numbered, bulleted or run on; prefaces and doubles are dropped."""
    text = unicodedata.normalize("NFKC", text).strip()
    if is_refusal(text):
        return []
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if _AT_LINE_START.match(line) or _BULLET.match(line)]
    if len(lines) == 1 and len(_ANYWHERE.findall(text)) > 1:
        lines = [part for part in _ANYWHERE.sub("\n", text).splitlines() if part.strip()]
    elif len(marked) > 1 or (marked and len(lines) - len(marked) == 1):
        lines = marked  # whatever stands around a marked list is prose about it
    elif len(lines) == 1:
        lines = _SENTENCE_END.split(lines[0])
    kept: dict[str, str] = {}
    for line in lines:
        sentence = _bare_line(line)
        if (
            sentence
            and not sentence.endswith(":")
            and not _PREFACE.match(sentence)
            and re.search(r"\w", sentence)
        ):
            kept.setdefault(sentence.casefold().rstrip(".!"), sentence)
    return list(kept.values())


def parse_text(text: str) -> str | None:
    """One text: its first paragraph that is no preface, without label and quotes; None if there is none."""
    if is_refusal(text):
        return None
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
        if len(lines) > 1 and (lines[0].endswith(":") or _PREFACE.match(lines[0])):
            lines = lines[1:]
        plain = re.sub(
            r"^\**[A-Za-z ]{0,30}text\**\s*:\s*\**", "", " ".join(lines), flags=re.IGNORECASE
        )
        plain = " ".join(plain.replace("**", "").split()).strip("\"'“”` ")
        if (
            plain
            and not plain.endswith(":")
            and not (_PREFACE.match(plain) and plain.count(".") == 0)
        ):
            return plain
    return None


def _numbered(text: str, count: int) -> dict[int, str]:
    marks = list(_AT_LINE_START.finditer(text))
    by_line = len({mark[1] for mark in marks}) >= 2
    if not by_line:
        marks = list(_ANYWHERE.finditer(text))
    marks = [mark for mark in marks if 1 <= int(mark[1]) <= count]
    best: dict[int, str] = {}
    for block in _blocks(marks):
        chain = _longest_rise([int(mark[1]) for mark in block])
        chosen = [block[i] for i in chain]
        ends = [mark.start() for mark in chosen[1:]] + [_next_start(text, marks, chosen)]
        pieces = {int(mark[1]) - 1: text[mark.end() : end] for mark, end in zip(chosen, ends)}
        pieces = {index: _first_paragraph(piece) for index, piece in pieces.items()}
        # A model may repeat the list of questions before it answers: the block with more answers counts.
        said = {
            index: piece for index, piece in pieces.items() if piece and not piece.endswith("?")
        }
        if len(said) >= len(best):
            best = said
    return best


def _blocks(marks: list[re.Match]) -> list[list[re.Match]]:
    blocks: list[list[re.Match]] = []
    for mark in marks:
        if mark[1] == "1" or not blocks:
            blocks.append([])
        blocks[-1].append(mark)
    return blocks


def _next_start(text: str, marks: list[re.Match], chosen: list[re.Match]) -> int:
    later = [mark.start() for mark in marks if mark[1] == "1" and mark.start() > chosen[-1].start()]
    return later[0] if later else len(text)


def _longest_rise(numbers: list[int]) -> list[int]:
    """Places of the longest strictly rising run of numbers, so that "number 10." misleads nobody."""
    length, before = [1] * len(numbers), [-1] * len(numbers)
    for i, number in enumerate(numbers):
        for j in range(i):
            if numbers[j] < number and length[j] + 1 > length[i]:
                length[i], before[i] = length[j] + 1, j
    place = max(range(len(numbers)), key=length.__getitem__) if numbers else -1
    chain = []
    while place >= 0:
        chain.append(place)
        place = before[place]
    return chain[::-1]


def _first_paragraph(piece: str) -> str:
    """The first line of an answer, joined by the bullets below it; what follows is prose."""
    lines = [line for line in piece.strip().split("\n")]
    first, rest = lines[0].strip(), lines[1:]
    bullets = []
    for line in rest:
        if not line.strip() or not _BULLET.match(line):
            break
        bullets.append(_bare_line(line))
    if first.endswith((":", "?")) and rest and not bullets and rest[0].strip():
        bullets = [rest[0].strip()]
    if first.endswith(":") and bullets:
        first = ""
    return " ".join(filter(None, [first, ", ".join(bullets)])).strip()


def _named(text: str, names: Sequence[str]) -> dict[int, str]:
    found: dict[int, str] = {}
    for line in text.splitlines():
        head, colon, answer = _bare_line(line).partition(":")
        for index, name in enumerate(names):
            if colon and answer.strip() and head.strip("* ").casefold() == name.casefold():
                found.setdefault(index, answer.strip())
    return found


def _one_a_line(text: str, count: int) -> dict[int, str]:
    lines = [line for line in text.splitlines() if line.strip()]
    return dict(enumerate(lines)) if len(lines) == count and count > 1 else {}


def _bare_answer(answer: str, name: str, question: str) -> str | None:
    answer = _bare_line(answer)
    asked = question.rstrip("?. ")
    rest = answer[len(asked) :]
    # A one-word "question" ("pattern") may well begin its own answer ("patterned"): then a mark must follow.
    marks = ("?", ":", ".", "-", "–", *([" "] if "?" in question else []))
    if asked and answer.casefold().startswith(asked.casefold()) and rest.startswith(marks):
        answer = rest.lstrip("?.:-– ")
    if "?" in answer:
        answer = answer.rpartition("?")[2]
    answer = answer.strip(" *-–:")
    if answer.casefold().startswith(name.casefold()) and answer[len(name) :].lstrip(
        "* "
    ).startswith(":"):
        answer = answer[len(name) :].lstrip("*: ")
    answer = _LABEL.sub("", answer).strip(" *_`\"'")
    return answer if re.search(r"\w", answer) else None


def _bare_line(line: str) -> str:
    line = _BULLET.sub("", line.strip())
    line = _AT_LINE_START.sub("", line, count=1)
    return re.sub(r"\s+", " ", line.replace("**", "")).strip(" \"'“”`")
