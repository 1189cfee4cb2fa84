"""Reads the benchmarks' own annotation files into a manifest."""

import contextlib
import json
import os
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from icl_lib.data.fields import (
    check_picture,
    match_names,
    plain_captions,
    plain_id,
    plain_path,
    plain_split,
    usable_captions,
    wrong_type,
)
from icl_lib.data.manifest import Entry, finish
from icl_lib.data.problems import Fault, Problems
from icl_lib.params import load_params
from icl_lib.params.paths import available

# Key of the picture's path, relative to imgs/, in each benchmark's records. Titles and file names
# are in params/datasets.
PATH_KEYS = {"cuhk": "file_path", "icfg": "file_path", "rstp": "img_path", "ufine": "file_path"}
PROJECTS = {
    "cuhk": "'Person Search with Natural Language Description', Li et al., CVPR 2017",
    "icfg": "project 'SSAN', Ding et al., 2021",
    "rstp": "project 'DSSL' / 'RSTPReid', Zhu et al., ACM MM 2021",
    "ufine": "project 'UFineBench', Zuo et al., CVPR 2024",
}
CAPTION_ALL = "caption_all.json"  # an older file of CUHK-PEDES
LACKS = (
    "it names no split and has one record per caption. The records of a picture are joined and all "
    "are read as 'test', which is good for searching and for testing without training. Training "
    "and the published numbers need reid_raw.json."
)


def read_benchmark(
    name: str,
    root: str | os.PathLike,
    strict: bool = False,
    check_pictures: bool = False,
    annotation: str | None = None,
    limit_ids: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Manifest of a benchmark in its own layout: `<root>/<annotation>` and `<root>/imgs/`.

    A record that cannot be used is skipped and counted in the manifest's `attrs`, which
    `icl_lib.data.manifest` describes. A value that is untidy but has one plain meaning is read
    (`icl_lib.data.fields`).

    Args:
        name: cuhk, icfg, rstp or ufine, or the benchmark's full title.
        root: The benchmark's folder, or the one above it.
        strict: Raise an error that names what would be skipped.
        check_pictures: Decode every picture, not only its header and end.
        annotation: Another annotation file in the folder. CUHK-PEDES' caption_all.json, which has
            no split and one record per caption, is all read as "test", with a warning.
        limit_ids: Split -> how many people to read, those with the lowest ids, such as
            {"train": 50, "val": 50, "test": 50}. Pictures of other people are not opened.

    Raises:
        FileNotFoundError: There is no such benchmark; the message shows the layout.
        ValueError: The file is not a list of records, no record is usable, or `strict` is set and
            a record would be skipped.
    """
    name = short_name(name)
    title, file = load_params(name).data.title, find_annotation(name, root, annotation)
    problems = Problems(file)
    entries = _read(file, PATH_KEYS[name], problems, check_pictures, limit_ids)
    table = finish(entries, Path(os.path.abspath(file.parent)), title, problems, strict)
    left = set(table["split"])
    emptied = {split: n for split, n in problems.records.items() if split not in left}
    table.attrs["emptied"] = emptied
    if limit_ids is not None:
        table.attrs["limit_ids"] = dict(limit_ids)
    for split, count in emptied.items():
        message = f"{title}: not one of the {count} records of split {split!r} is usable"
        warnings.warn(message, stacklevel=2)
    if file.name == CAPTION_ALL:
        table.attrs["lacks"] = LACKS
        warnings.warn(f"{title}: {LACKS}", stacklevel=2)
    return table


def short_name(name: str) -> str:
    """A benchmark's short name: "rstp" for "rstp" and for "RSTPReid".

    Raises:
        ValueError: There is no such benchmark; the message has the nearest valid name.
    """
    titles = {load_params(short).data.title.lower(): short for short in available("datasets")}
    name = titles.get(name.lower(), name)
    load_params(name)  # refuses an unknown name
    return name


def find_annotation(name: str, root: str | os.PathLike, annotation: str | None = None) -> Path:
    """The annotation file of a benchmark in `root`, or in the folder of its title in `root`.

    Raises:
        FileNotFoundError: It is not there; the message says where it was looked for and how to
            get the benchmark.
    """
    data = load_params(name).data
    root, title, annotation = Path(root).expanduser(), data.title, annotation or data.annotation
    lines = [f"{title} ({name}) was not found. Looked for:"]
    others = set()
    for file in (root / annotation, root / title / annotation):
        there = [part.exists() for part in (file, file.parent / "imgs")]
        if all(there):
            return file
        found, beside = ("there" if part else "missing" for part in there)
        lines.append(f"  {file}  ({found}), imgs/ beside it ({beside})")
        others |= {path.name for path in file.parent.glob("*.json")} - {annotation}
    if CAPTION_ALL in others and name == "cuhk":
        how = f"To read it all the same: annotation={CAPTION_ALL!r}."
        lines.append(f"{CAPTION_ALL} is there, but {LACKS} {how}")
    elif others:
        names = ", ".join(sorted(others))
        lines.append(f"Other .json files there: {names}. To read one of them: annotation=NAME.")
    lines += [
        "The layout it should have:",
        f"  {title}/{annotation}   a JSON list of records with split, captions, "
        f"{PATH_KEYS[name]}, id",
        f"  {title}/imgs/...       the pictures, at each record's {PATH_KEYS[name]}",
        f"How to get it: ask its authors ({PROJECTS[name]}) and keep to their terms of use. "
        "Nothing is downloaded by this kit.",
        f"Without it: `icl data standin {name} {root}` draws a stand-in with the same layout.",
    ]
    raise FileNotFoundError("\n".join(lines))


def _load(file: Path) -> list:
    try:
        records = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{file} is not readable as JSON ({error}): was it cut off while being copied?"
        ) from None
    if not isinstance(records, list) or not records:
        raise ValueError(
            f"{file} should be a list of records but is "
            f"{'an empty list' if records == [] else f'of type {type(records).__name__}'}."
        )
    return records


def _read(
    file: Path,
    path_key: str,
    problems: Problems,
    decode: bool,
    limit_ids: Mapping[str, int] | None,
) -> Iterable[Entry]:
    """The usable pictures of an annotation file."""
    imgs, flat = Path(os.path.abspath(file.parent)) / "imgs", file.name == CAPTION_ALL
    records = _load(file)
    left_out = set() if limit_ids is None else _beyond_limit(records, path_key, flat, limit_ids)
    kept: dict[str, Entry] = {}  # by real path
    split_of: dict[int, str] = {}
    for index, record in enumerate(records):
        if index in left_out:
            continue
        where = f"record {index}"
        with problems.at(where):
            split, pid, written, texts = _plain(record, where, path_key, problems, flat)
            name = plain_path(written, imgs, path_key, split, "imgs")
            problems.note(path_key, where, written, name)
            path, called = imgs / name, f"imgs/{name}"
            real = os.path.realpath(path)
            entry = kept.get(real)
            if entry and not flat:
                raise Fault("duplicate_picture", f"{called} is already in {entry.where}")
            if entry and entry.pid != pid:
                message = f"{called} is person {pid} here and {entry.pid} in {entry.where}"
                raise Fault("wrong_type", message)
            if not entry:
                check_picture(path, called, decode)
            texts = usable_captions(texts, where, problems)
            if entry:
                entry.captions.extend(texts)
            elif texts and split_of.setdefault(pid, split) != split:
                message = f"id {pid} is in split {split!r} but was in {split_of[pid]!r} before"
                raise Fault("id_in_two_splits", message)
            elif texts:
                kept[real] = Entry(split, pid, str(path), texts, where)
    return kept.values()


def _plain(record: Any, where: str, path_key: str, problems: Problems, flat: bool) -> tuple:
    """Split, id, path as written, and captions of a record, by their plain meaning.

    `flat` means a record of caption_all.json, which has one text and counts as "test".
    """
    if not isinstance(record, dict):
        raise wrong_type("a record", "an object", record)
    fields = {field: (field,) for field in ("split", "id", path_key)}
    keys = match_names(record, {**fields, "captions": ("captions", "caption")})
    values = {field: record[key] for field, key in keys.items()}
    if flat:
        values["split"] = "test"
    if "split" in values:
        split = plain_split(values["split"])
        problems.records[split] += 1
    lacks = [field for field in (*fields, "captions") if field not in values]
    if lacks:
        kind = "no_captions" if lacks == ["captions"] else "missing_key"
        has = ", ".join(map(repr, list(record)[:8]))
        raise Fault(kind, f"it has no {' and no '.join(lacks)}; it has {has}")
    pid, texts = plain_id(values["id"]), plain_captions(values["captions"])
    if not flat:
        for field, read in (("split", split), ("id", pid), ("captions", texts)):
            problems.note(field, where, values[field], read)
        for field, key in keys.items():
            problems.note("key", where, key, field)
    return split, pid, values[path_key], texts


def _beyond_limit(
    records: list, path_key: str, flat: bool, limit_ids: Mapping[str, int]
) -> set[int]:
    """Indices of the records of people who are not among the first, by id, of their split."""
    person_of: dict[int, tuple[str, int]] = {}
    for index, record in enumerate(records):
        with contextlib.suppress(Fault):  # counted when the record is read
            split, pid, *_ = _plain(record, "", path_key, Problems(""), flat)
            person_of[index] = split, pid
    people = sorted(set(person_of.values()))
    first: set[tuple[str, int]] = set()
    for split, limit in limit_ids.items():
        first.update([person for person in people if person[0] == split][:limit])
    return {index for index, person in person_of.items() if person not in first}
