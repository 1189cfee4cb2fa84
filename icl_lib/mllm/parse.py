"""Reads what an MLLM wrote: numbered answers, lists of sentences, one text.

What is unclear stays unread and is never guessed.
"""

import re
import unicodedata
from collections.abc import Sequence
from itertools import pairwise, takewhile

# "1." "1)" "(1)" "**1.**" "1:" "1、", after bullets or markdown, not followed by a digit ("1.5").
_MARK = r"[(\[]?\*{0,2}(\d{1,2})\*{0,2}[.):\]、]{1,2}\*{0,2}(?!\d)"
_AT_LINE_START = re.compile(rf"(?m)^[ \t]*(?:[-*•>#]+[ \t]+)*{_MARK}")
_ANYWHERE = re.compile(rf"(?:(?<=\s)|(?<=[;,])|^){_MARK}")
_BULLET = re.compile(r"^\s*(?:[-*•–>#]+\s+|[-•–])\s*")
_LABEL = re.compile(r"^(?:\*{0,2}(?:answer|response|a)\*{0,2}\s*:\s*)", re.IGNORECASE)
_TEXT_LABEL = re.compile(r"^\**[A-Za-z ]{0,30}text\**\s*:\s*\**", re.IGNORECASE)
_REFUSAL = re.compile(
    r"^(?:(?:i'?m sorry|sorry|i apologi[sz]e|as an ai|unable to"
    r"|i (?:can ?not|can'?t|am unable|am not able)"
    r"|lo siento|je suis désolée?|je ne peux pas|es tut mir leid|tut mir leid|ich kann nicht)\b"
    r"|(?:很|非常)?(?:抱歉|对不起|對不起)|我无法|我無法|申し訳)",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'])")
_PREFACE = re.compile(
    r"^(?:sure|certainly|of course|okay|ok|here (?:are|is)|below (?:are|is)|the following)\b.*:?$",
    re.IGNORECASE,
)
_QUOTES = "\"'“”`"


def is_refusal(text: str) -> bool:
    """Whether the answer begins by declining ("I'm sorry", "I cannot …", "As an AI …")."""
    return bool(_REFUSAL.match(text.strip().replace("’", "'")))


def parse_answers(
    text: str, names: Sequence[str], questions: Sequence[str] = ()
) -> dict[str, str | None]:
    """The answer to each of `names`, or None where none can be read.

    Tries, in this order: numbered answers (at the starts of lines, or one after the other within a
    line), lines of the form "name: answer", and as many plain lines as there are names. Repeated
    questions, markdown, bullets and prose at the end are cut off; an answer that declines is
    unread.
    """
    text = unicodedata.normalize("NFKC", text).replace("’", "'").strip()
    raw = _numbered(text, len(names)) or _named(text, names) or _one_a_line(text, len(names))
    found: dict[str, str | None] = dict.fromkeys(names)
    for index, answer in raw.items():
        question = questions[index] if questions else ""
        answer = _bare_answer(answer, names[index], question)
        found[names[index]] = answer if answer and not is_refusal(answer) else None
    return found


def parse_sentences(text: str) -> list[str]:
    """The sentences of a list: one per line, numbered, bulleted, or one after the other.

    Prefaces ("Here are …:") and repeated sentences are dropped.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    if is_refusal(text):
        return []
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    marked = [line for line in lines if _AT_LINE_START.match(line) or _BULLET.match(line)]
    if len(lines) == 1 and len(_ANYWHERE.findall(text)) > 1:
        lines = _ANYWHERE.sub("\n", text).splitlines()
    elif len(marked) > 1 or (marked and len(lines) - len(marked) == 1):
        lines = marked  # text around a numbered or bulleted list only introduces it
    elif len(lines) == 1:
        lines = _SENTENCE_END.split(lines[0])
    kept: dict[str, str] = {}
    for sentence in map(_bare_line, lines):
        if re.search(r"\w", sentence) and not _is_preface(sentence):
            kept.setdefault(sentence.casefold().rstrip(".!"), sentence)
    return list(kept.values())


def parse_text(text: str) -> str | None:
    """The first paragraph that is not a preface, without label and quotes; None if none is left."""
    if is_refusal(text):
        return None
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        lines = [line.strip() for line in paragraph.splitlines() if line.strip()]
        if len(lines) > 1 and _is_preface(lines[0]):
            lines = lines[1:]
        plain = _TEXT_LABEL.sub("", " ".join(lines)).replace("**", "")
        plain = " ".join(plain.split()).strip(_QUOTES + " ")
        # A description may begin like a preface ("Here is a man in black."), but has a full stop.
        if plain and not plain.endswith(":") and not (_is_preface(plain) and "." not in plain):
            return plain
    return None


def _is_preface(line: str) -> bool:
    return line.endswith(":") or bool(_PREFACE.match(line))


def _numbered(text: str, count: int) -> dict[int, str]:
    """Answers by their place, from the numbers 1 to `count` in front of them."""
    marks = list(_AT_LINE_START.finditer(text))
    if len({mark[1] for mark in marks}) < 2:
        marks = list(_ANYWHERE.finditer(text))
    marks = [mark for mark in marks if 1 <= int(mark[1]) <= count]
    starts = [i for i, mark in enumerate(marks) if i == 0 or mark[1] == "1"]
    best: dict[int, str] = {}
    for start, stop in pairwise([*starts, len(marks)]):
        chosen = _longest_rise(marks[start:stop])
        ends = [mark.start() for mark in [*chosen[1:], *marks[stop : stop + 1]]]
        ends += [len(text)] * (len(chosen) - len(ends))
        said = {}
        for mark, end in zip(chosen, ends, strict=True):
            piece = _first_paragraph(text[mark.end() : end])
            if piece and not piece.endswith("?"):
                said[int(mark[1]) - 1] = piece
        # A model may repeat the list of questions first: the block with more answers counts.
        if len(said) >= len(best):
            best = said
    return best


def _longest_rise(marks: list[re.Match]) -> list[re.Match]:
    """The longest run of marks with rising numbers; "size 10." in an answer does not count."""
    runs: list[list[re.Match]] = []  # the longest run that ends at each mark
    for mark in marks:
        lower = [run for run in runs if int(run[-1][1]) < int(mark[1])]
        runs.append([*max(lower, key=len, default=[]), mark])
    return max(runs, key=len)


def _first_paragraph(piece: str) -> str:
    """The first line of an answer, with the bullets below it; what follows is prose."""
    first, *rest = piece.strip().split("\n")
    first = first.strip()
    bullets = [_bare_line(line) for line in takewhile(_BULLET.match, rest)]
    if first.endswith((":", "?")) and not bullets and rest and rest[0].strip():
        bullets = [rest[0].strip()]  # the answer stands below its question
    if first.endswith(":") and bullets:
        first = ""
    return " ".join(filter(None, [first, ", ".join(bullets)])).strip()


def _named(text: str, names: Sequence[str]) -> dict[int, str]:
    places = {name.casefold(): place for place, name in enumerate(names)}
    found: dict[int, str] = {}
    for line in text.splitlines():
        head, _, answer = _bare_line(line).partition(":")
        name = head.strip("* ").casefold()
        if name in places and answer.strip():
            found.setdefault(places[name], answer.strip())
    return found


def _one_a_line(text: str, count: int) -> dict[int, str]:
    lines = [line for line in text.splitlines() if line.strip()]
    return dict(enumerate(lines)) if len(lines) == count and count > 1 else {}


def _bare_answer(answer: str, name: str, question: str) -> str | None:
    """The answer without its question, name, label and marks; None if no word is left."""
    answer = _bare_line(answer)
    asked = question.rstrip("?. ")
    rest = answer[len(asked) :]
    # A question of one word ("pattern") may begin its own answer ("patterned"): a mark must follow.
    marks = ("?", ":", ".", "-", "–", *([" "] if "?" in question else []))
    if asked and answer.casefold().startswith(asked.casefold()) and rest.startswith(marks):
        answer = rest.lstrip("?.:-– ")
    answer = answer.rpartition("?")[2].strip(" *-–:")
    rest = answer[len(name) :].lstrip("* ")
    if answer.casefold().startswith(name.casefold()) and rest.startswith(":"):
        answer = rest.lstrip("*: ")
    answer = _LABEL.sub("", answer).strip(" *_`\"'")
    return answer if re.search(r"\w", answer) else None


def _bare_line(line: str) -> str:
    line = _BULLET.sub("", line.strip())
    line = _AT_LINE_START.sub("", line, count=1)
    return re.sub(r"\s+", " ", line.replace("**", "")).strip(_QUOTES + " ")
