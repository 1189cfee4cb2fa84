"""Reads a folder of your own pictures, with captions.csv if there is one."""

import csv
import io
import os
from pathlib import Path
from typing import Any

import pandas as pd

from icl_lib.data.fields import check_picture, inside, match_names, plain_path, usable_captions
from icl_lib.data.manifest import Entry, finish
from icl_lib.data.problems import Fault, Problems

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
FIELDS = {"file": ("file",), "caption": ("caption", "captions"), "person": ("person",)}
SEPARATORS = ",;\t|"


def read_folder(
    path: str | os.PathLike, strict: bool = False, check_pictures: bool = False
) -> pd.DataFrame:
    """Manifest of your own pictures anywhere below `path`, all in split "test", ordered by name.

    An optional `captions.csv` in it has the columns file (relative to `path`), caption and, if you
    know it, person (any text; `attrs["persons"]` gives the name of each pid). A picture without a
    person counts as a person of its own; a picture without a caption is in the gallery only.

    Args:
        path: The folder. Hidden files and folders in it are left out.
        strict: Raise an error that names what would be skipped.
        check_pictures: Decode every picture, not only its header and end.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: captions.csv is not a table with these columns, no picture is usable, or
            `strict` is set and something would be skipped.
    """
    folder = Path(os.path.abspath(path))
    if not folder.is_dir():
        raise FileNotFoundError(
            f"No folder {folder}. Give a folder of pictures ({', '.join(sorted(PICTURES))})."
        )
    file = folder / "captions.csv"
    problems = Problems(file if file.is_file() else folder)
    said = _read_captions(file, problems) if file.is_file() else {}
    kept: dict[str, Entry] = {}  # by real path
    pids: dict[Any, int] = {}
    for picture in _pictures(folder):
        name = picture.relative_to(folder).as_posix()
        real = os.path.realpath(picture)
        person, texts, *_ = said.pop(real, (None, []))
        with problems.at(name):
            if not inside(picture, folder):
                raise Fault("unsafe_path", "the picture lies outside the folder (symbolic link)")
            if real in kept:
                raise Fault("duplicate_picture", f"it is the same file as {kept[real].where}")
            check_picture(picture, name, check_pictures)
            # A tuple cannot equal a person's name, so pictures without a person stay apart.
            pid = pids.setdefault(person or ("picture", name), len(pids))
            kept[real] = Entry("test", pid, str(picture), texts, name)
    for _, _, where, name in said.values():
        problems.add(Fault("missing_picture", f"{name!r} is no picture in {folder}"), where)
    table = finish(kept.values(), folder, folder.name, problems, strict)
    table.attrs["persons"] = {
        pid: person if isinstance(person, str) else person[1] for person, pid in pids.items()
    }
    return table


def _read_captions(
    file: Path, problems: Problems
) -> dict[str, tuple[str | None, list[str], str, str]]:
    """captions.csv as real path -> (person, captions, first line, name) of a picture."""
    said: dict[str, tuple[str | None, list[str], str, str]] = {}
    for where, row in _read_table(file, problems):
        with problems.at(where):
            if None in row:
                raise Fault(
                    "wrong_type",
                    "it has more values than there are columns: put a caption that holds the "
                    "separator in double quotes",
                )
            written = (row["file"] or "").strip()
            name = plain_path(written, file.parent, "file", "test")
            problems.note("file", where, written, name)
            person = (row.get("person") or "").strip() or None
            real = os.path.realpath(file.parent / name)
            known, texts, *_ = said.setdefault(real, (person, [], where, name))
            if known != person:
                message = f"{name!r} is person {person!r} here and {known!r} before"
                raise Fault("wrong_type", message)
            texts += usable_captions([row["caption"] or ""], where, problems)
    return said


def _read_table(file: Path, problems: Problems) -> list[tuple[str, dict]]:
    """Where each row of captions.csv stands, and its values by field, as csv.DictReader gives them.

    The separator is the one of `SEPARATORS` that is most frequent in the first line. The text is
    UTF-8, with or without a byte-order mark, or UTF-16 with one.
    """
    data = file.read_bytes()
    utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
        separator = max(SEPARATORS, key=text.partition("\n")[0].count)
        lines = io.StringIO(text, newline="")
        reader = csv.DictReader(lines, delimiter=separator, skipinitialspace=True, strict=True)
        written = list(reader.fieldnames or [])
        column_of = match_names(written, FIELDS)
        field_of = {column: field for field, column in column_of.items()}
        reader.fieldnames = [field_of.get(column, column) for column in written]
        rows = [(f"line {reader.line_num}", row) for row in reader]
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 ({error}). Save it as 'CSV UTF-8'.") from None
    except csv.Error as error:
        raise ValueError(
            f"{file} is not readable as CSV after line {reader.line_num} ({error}). Close every "
            "double quote that opens a value, and double the quotes inside it."
        ) from None
    except Fault as fault:
        raise ValueError(f"{file}: {fault}. Keep one of these columns.") from None
    if not {"file", "caption"} <= set(column_of):
        raise ValueError(
            f"{file} needs the columns file, caption and optionally person; it has "
            f"{', '.join(written) or 'none'}."
        )
    problems.note("separator", "line 1", separator, ",")
    for field, column in column_of.items():
        problems.note("column", "line 1", column, field)
    return rows


def _pictures(folder: Path) -> list[Path]:
    """Picture files at any depth, hidden ones left out, ordered by name."""
    found = [p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and p.is_file()]
    return sorted(
        p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )
