"""The prompt templates T_loc, T_vqa, T_aggr, T_dec and T_rwt, read from a YAML file and checked."""

import hashlib
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator

from icl_lib.params.names import nearest

# The placeholders that a template must hold, and those that it may hold.
PLACEHOLDERS: dict[str, tuple[set[str], set[str]]] = {
    "loc": ({"text"}, set()),
    "vqa": ({"questions"}, {"count"}),
    "aggregate": ({"text", "answers"}, set()),
    "decompose": ({"text"}, set()),
    "rewrite": ({"text"}, {"count"}),
    "answer_line": ({"answer"}, {"name"}),
}
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)\}")


class Characteristic(BaseModel):
    """One thing that is asked about a picture: a short name and its question."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    question: str


class Prompts(BaseModel):
    """One file of templates; every `ask_…` method returns the finished prompt.

    `negatives` are shell patterns ("no", "not visible*"). An answer that matches one, in any case,
    says nothing about the person and stays out of {answers}.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    characteristics: list[Characteristic]
    loc: str
    vqa: str
    aggregate: str
    decompose: str
    rewrite: str
    answer_line: str
    answer_join: str
    negatives: list[str]

    @field_validator(*PLACEHOLDERS)
    @classmethod
    def _check_placeholders(cls, template: str, info) -> str:
        needed, optional = PLACEHOLDERS[info.field_name]
        found = set(_PLACEHOLDER.findall(template))
        for name in sorted(needed - found):
            raise ValueError(f"lacks the placeholder {{{name}}}")
        for name in sorted(found - needed - optional):
            hint = _hint(name, needed | optional)
            raise ValueError(f"has an unknown placeholder {{{name}}}{hint}")
        return template

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise ValueError(f"characteristics: named twice: {', '.join(twice)}")
        if not self.names:
            raise ValueError("characteristics: the list is empty")
        return self

    @property
    def names(self) -> list[str]:
        """The characteristics' names, in the order in which they are asked."""
        return [item.name for item in self.characteristics]

    @property
    def hash(self) -> str:
        """12 hex digits of the whole file's content."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    def ask_match(self, text: str) -> str:
        """T_loc (Eq. 2): does the text fit the picture, Yes or No?"""
        return _fill(self.loc, text=text)

    def ask_answers(self) -> str:
        """T_vqa (Eq. 4): all questions in one prompt; the query is not part of it."""
        lines = [
            f"{number}. {item.question}" for number, item in enumerate(self.characteristics, 1)
        ]
        return _fill(self.vqa, questions="\n".join(lines), count=str(len(lines)))

    def ask_merged(self, answers: Mapping[str, str | None], text: str) -> str:
        """T_aggr (Eq. 5): the query and the anchor's answers as one text."""
        return _fill(self.aggregate, text=text, answers=self.answers_text(answers))

    def ask_parts(self, text: str) -> str:
        """T_dec: the text as short sentences about one attribute each."""
        return _fill(self.decompose, text=text)

    def ask_rewritten(self, sentence: str, count: int) -> str:
        """T_rwt: `count` sentences of the same meaning."""
        return _fill(self.rewrite, text=sentence, count=str(count))

    def says_something(self, answer: str | None) -> bool:
        """Whether there is an answer and it matches none of the negatives."""
        plain = " ".join((answer or "").lower().split()).strip(" .,;:!\"'")
        negative = any(fnmatchcase(plain, pattern.lower()) for pattern in self.negatives)
        return bool(plain) and not negative

    def answers_text(self, answers: Mapping[str, str | None]) -> str:
        """{answers}: one `answer_line` for each answer that says something, in the order asked."""
        return self.answer_join.join(
            _fill(self.answer_line, name=name, answer=answers[name].strip().rstrip("."))
            for name in self.names
            if self.says_something(answers.get(name))
        )


def load_prompts(name: str | Path, folder: Path) -> Prompts:
    """Reads `folder/<name>.yaml`, or the YAML file at the path `name`.

    Raises:
        FileNotFoundError: there is no such file; the message lists those in `folder`.
        ValueError: naming every key that is missing, unknown or of the wrong form.
    """
    path = Path(name)
    if path.suffix.lower() not in (".yaml", ".yml"):
        path = Path(folder) / f"{name}.yaml"
    if not path.is_file():
        known = sorted(file.stem for file in Path(folder).glob("*.yaml"))
        raise FileNotFoundError(
            f"There is no prompt file {path}{_hint(str(name), known)}. Known here: "
            f"{', '.join(known) or 'none'}; a path to a YAML file of your own works too."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return Prompts.model_validate(content)
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise ValueError(f"{path} is not readable YAML: {problem}") from problem
    except ValidationError as problem:
        raise ValueError(f"{path}: {'; '.join(map(_told, problem.errors()))}") from None


def _fill(template: str, **values: str) -> str:
    # In one pass, so that braces inside a caption are never taken for placeholders.
    return _PLACEHOLDER.sub(lambda hole: values.get(hole[1], hole[0]), template).strip()


def _hint(name: str, known) -> str:
    close = nearest(name, known)
    return f" (did you mean {close}?)" if close else ""


def _told(error: Mapping) -> str:
    """One error of pydantic in plain words."""
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"the key {where} is missing"
    if error["type"] == "extra_forbidden":
        known = Characteristic.model_fields if "." in where else Prompts.model_fields
        return f"unknown key {where}{_hint(where.rsplit('.')[-1], known)}"
    return f"{where} {error['msg'].removeprefix('Value error, ')}".strip()
