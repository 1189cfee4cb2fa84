"""Reads a folder of one's own pictures, with captions.csv if it is there."""

import csv
import io
import os
from pathlib import Path

import pandas as pd

from icl_lib.data.manifest import _finish
from icl_lib.data.problems import KINDS, Problems, _usable, inside, picture_problem, unsafe_path

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}


def read_folder(path, strict: bool = False, check_pictures: bool = False) -> pd.DataFrame:
    """Manifest (all split "test") of your own pictures anywhere below `path`, in order of their names.

    An optional `captions.csv` in it has the columns file (relative to `path`), caption and, if you know it,
    person (any text; `attrs["persons"]` gives the name of each pid). A picture with no person is its own; a
    picture with no caption is gallery only. Problems are handled as in `read_benchmark`, named by line.
    """
    folder = Path(os.path.abspath(path))
    if not folder.is_dir():
        raise FileNotFoundError(
            f"No folder {folder}. Give a folder of pictures ({', '.join(sorted(PICTURES))})."
        )
    file = folder / "captions.csv"
    problems = Problems(file if file.is_file() else folder, strict, KINDS)
    said = _read_captions(file, problems) if file.is_file() else {}
    kept, seen, persons = [], {}, {}
    for picture in _pictures(folder):
        name = picture.relative_to(folder).as_posix()
        real = os.path.realpath(picture)
        texts, person, _ = said.pop(real, ([], None, 0))
        reason = picture_problem(picture, decode=check_pictures)
        if not inside(picture, folder):
            problems.add("unsafe_path", name, "the picture lies outside the folder (symbolic link)")
        elif real in seen:
            problems.add("duplicate_picture", name, f"it is the same file as {seen[real]}")
        elif reason:
            problems.add("unreadable_picture", name, reason)
        else:
            # The tuple can't equal a person's name, so pictures without one stay apart.
            seen[real] = name
            pid = persons.setdefault(
                person if person is not None else ("picture", name), len(persons)
            )
            kept.append(("test", pid, str(picture), texts))
    for real, (_, _, line) in said.items():
        problems.add(
            "missing_picture",
            f"line {line}",
            f"{os.path.basename(real)!r} is no picture in {folder}",
        )
    table = _finish(kept, folder, folder.name, problems)
    table.attrs["persons"] = {
        pid: key if isinstance(key, str) else key[1] for key, pid in persons.items()
    }
    return table


def _read_captions(file: Path, problems: Problems) -> dict[str, tuple[list[str], str | None, int]]:
    """captions.csv as real path → (captions, person, first line)."""
    said: dict[str, tuple[list[str], str | None, int]] = {}
    try:
        reader = csv.DictReader(io.StringIO(file.read_bytes().decode("utf-8-sig"), newline=""))
        rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"{file} is not readable as UTF-8 CSV ({error}). Save it as 'CSV UTF-8'."
        ) from None
    if not {"file", "caption"} <= set(reader.fieldnames or []):
        raise ValueError(
            f"{file} needs the columns file, caption and optionally person; it has "
            f"{', '.join(reader.fieldnames or []) or 'none'}."
        )
    for line, row in rows:
        where, name = f"line {line}", (row["file"] or "").strip()
        reason = unsafe_path(name)
        if reason:
            problems.add("unsafe_path", where, f"file {name[:200]!r} {reason}")
            continue
        person = (row.get("person") or "").strip() or None
        texts, known, _ = said.setdefault(os.path.realpath(file.parent / name), ([], person, line))
        if known != person:
            problems.add(
                "wrong_type", where, f"{name!r} is person {person!r} here and {known!r} before"
            )
            continue
        texts += _usable([row["caption"] or ""], where, problems)
    return said


def _pictures(folder: Path) -> list[Path]:
    """Picture files at any depth, hidden ones left out, in order of their names."""
    found = [p for p in folder.rglob("*") if p.suffix.lower() in PICTURES and p.is_file()]
    return sorted(
        p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )
