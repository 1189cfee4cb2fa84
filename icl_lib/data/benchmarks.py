"""Readers of the benchmarks' own annotation files, and of a folder of your own pictures, into a manifest."""

import json
import os
import warnings
from collections import Counter
from pathlib import Path

import pandas as pd

from icl_lib.data.caption_all import CAPTION_ALL, LACKS, by_picture
from icl_lib.data.manifest import SPLITS, _finish
from icl_lib.data.problems import KINDS, Problems, _usable, inside, picture_problem, unsafe_path
from icl_lib.params import load_params
from icl_lib.params.names import nearest
from icl_lib.params.paths import available

# Key of the picture's path, relative to imgs/, in each benchmark's records; titles, files: params/datasets.
PATH_KEYS = {"cuhk": "file_path", "icfg": "file_path", "rstp": "img_path", "ufine": "file_path"}
PROJECTS = {
    "cuhk": "ask its authors ('Person Search with Natural Language Description', Li et al., CVPR 2017)",
    "icfg": "ask its authors (project 'SSAN', Ding et al., 2021)",
    "rstp": "ask its authors (project 'DSSL' / 'RSTPReid', Zhu et al., ACM MM 2021)",
    "ufine": "ask its authors (project 'UFineBench', Zuo et al., CVPR 2024)",
}


def read_benchmark(
    name: str,
    root,
    strict: bool = False,
    check_pictures: bool = False,
    annotation: str | None = None,
    limit_ids: dict[str, int] | None = None,
) -> pd.DataFrame:
    """Manifest of a benchmark in its own layout: `<root>/<annotation>` and `<root>/imgs/`.

    name: cuhk, icfg, rstp or ufine (or the full title); root: the benchmark's folder or the one above it.
    A bad record is skipped and counted in `attrs["report"]` (kinds: icl_lib.data.problems.KINDS), or raised as
    ValueError when `strict`, named by file and record (from 0). Pictures: header, checksums and end are
    looked at; `check_pictures=True` decodes every one. `annotation` names another annotation file there;
    CUHK-PEDES' caption_all.json, which has no split and one record a caption, is read all as "test", with a
    warning (`icl_lib.data.caption_all`). A split that lost all its records is named in `attrs["emptied"]`.
    `limit_ids`, such as {"train": 50, "val": 50, "test": 50}, keeps that many people of each split, the first
    by id; pictures of the others are not opened.
    Raises FileNotFoundError, with the layout expected, when nothing is there.
    """
    name = short_name(name)
    data, path_key = load_params(name).data, PATH_KEYS[name]
    file = find_annotation(name, root, annotation)
    folder = Path(os.path.abspath(file.parent))
    records, problems = _load(file), Problems(file, strict, KINDS)
    named = [(f"record {index}", record) for index, record in enumerate(records)]
    if file.name == CAPTION_ALL:
        named = by_picture(named, path_key, problems)
    if limit_ids is not None:
        named = _first_people(named, limit_ids)
    kept, seen, split_of = [], {}, {}
    for where, record in named:
        found = _read_record(record, path_key, folder / "imgs", where, problems, check_pictures)
        if found is None:
            continue
        split, pid, path, texts = found
        real = os.path.realpath(path)
        if real in seen:
            problems.add(
                "duplicate_picture", where, f"{record[path_key]!r} is already in {seen[real]}"
            )
        elif split_of.setdefault(pid, split) != split:
            problems.add(
                "id_in_two_splits",
                where,
                f"id {pid} is in split {split!r} but was in {split_of[pid]!r} before",
            )
        else:
            seen[real] = where
            kept.append(found)
    table = _finish(kept, folder, data.title, problems)
    asked = Counter(str(record.get("split")) for _, record in named if isinstance(record, dict))
    left = {split for split, *_ in kept}
    table.attrs["emptied"] = {
        split: n for split, n in asked.items() if split in SPLITS and split not in left
    }
    for split, count in table.attrs["emptied"].items():
        told = f"{data.title}: not one of the {count} records of split {split!r} is usable"
        warnings.warn(told, stacklevel=2)
    if limit_ids is not None:
        table.attrs["limit_ids"] = limit_ids
    if file.name == CAPTION_ALL:
        table.attrs["lacks"] = LACKS
        warnings.warn(f"{data.title}: {LACKS}", stacklevel=2)
    return table


def short_name(name: str) -> str:
    """ "rstp" for "rstp" and "RSTPReid". Raises ValueError with the nearest valid name."""
    titles = {load_params(short).data.title.lower(): short for short in available("datasets")}
    name = titles.get(str(name).lower(), name)
    if name not in PATH_KEYS:
        close = nearest(name, [*PATH_KEYS, *titles])
        hint = f": did you mean {titles.get(close, close)!r}?" if close else "."
        raise ValueError(
            f"unknown benchmark {name!r}{hint} Valid: {', '.join(PATH_KEYS)}; "
            "for pictures of your own use read_folder(path)."
        )
    return name


def find_annotation(name: str, root, annotation: str | None = None) -> Path:
    """The annotation file of benchmark `name` in `root`, or in the folder of its title below `root`.

    Raises FileNotFoundError that lists where it was looked for and how to get the benchmark.
    """
    data = load_params(name).data
    root, title, annotation = Path(root).expanduser(), data.title, annotation or data.annotation
    looked = [folder / annotation for folder in (root, root / title)]
    for file in looked:
        if file.is_file() and (file.parent / "imgs").is_dir():
            return file
    lines = [f"{title} ({name}) was not found. Looked for:"]
    lines += [
        f"  {file}  ({'there' if file.is_file() else 'missing'}), imgs/ beside it "
        f"({'there' if (file.parent / 'imgs').is_dir() else 'missing'})"
        for file in looked
    ]
    others = sorted({p.name for file in looked for p in file.parent.glob("*.json")} - {annotation})
    if CAPTION_ALL in others and name == "cuhk":
        how = f"To read it all the same: annotation={CAPTION_ALL!r}."
        lines.append(f"{CAPTION_ALL} is there, but {LACKS} {how}")
    elif others:
        lines.append(
            f"Other .json files there: {', '.join(others)}. If one is the annotation list: annotation=NAME."
        )
    lines += [
        "The layout it should have:",
        f"  {title}/{annotation}   a JSON list of records with split, captions, {PATH_KEYS[name]}, id",
        f"  {title}/imgs/...       the pictures, at each record's {PATH_KEYS[name]}",
        f"How to get it: {PROJECTS[name]}; its terms of use are theirs. Nothing is downloaded by this kit.",
        f"Without it: `icl data standin {name} {root}` draws a stand-in with the same layout.",
    ]
    raise FileNotFoundError("\n".join(lines))


def _first_people(named: list[tuple[str, object]], limit_ids: dict[str, int]) -> list:
    """The records of the first people of each split by id; records with no split or id stay as they are."""

    def person(record) -> tuple:
        given = record if isinstance(record, dict) else {}
        split, pid = given.get("split"), given.get("id")
        return (split, pid) if split in SPLITS and isinstance(pid, int) else (None, None)

    people = {person(record) for _, record in named} - {(None, None)}
    kept = {(None, None)}
    for split, limit in limit_ids.items():
        kept |= set(sorted(one for one in people if one[0] == split)[:limit])
    return [(where, record) for where, record in named if person(record) in kept]


def _load(file: Path) -> list:
    try:
        records = json.loads(file.read_bytes().decode("utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(
            f"{file} is not readable as JSON ({error}): was it cut off while being copied?"
        ) from None
    if not isinstance(records, list) or not records:
        raise ValueError(
            f"{file} should be a list of records but is {type(records).__name__} of length "
            f"{len(records) if isinstance(records, list | dict | str) else 1}."
        )
    return records


def _read_record(record, path_key: str, imgs: Path, where: str, problems: Problems, decode: bool):
    """(split, pid, path, captions) of one annotation record, or None after naming what is wrong with it."""
    if not isinstance(record, dict):
        return problems.add(
            "wrong_type", where, f"a record should be an object but is {type(record).__name__}"
        )
    lacks = [key for key in ("split", path_key, "id", "captions") if key not in record]
    if lacks:
        return problems.add(
            "no_captions" if lacks == ["captions"] else "missing_key",
            where,
            f"it has no {' and no '.join(lacks)}; it has {', '.join(map(repr, list(record)[:8]))}",
        )
    split, name, pid, texts = (record[key] for key in ("split", path_key, "id", "captions"))
    for key, value, kind in (
        ("split", split, str),
        (path_key, name, str),
        ("id", pid, int),
        ("captions", texts, list),
    ):
        if not isinstance(value, kind) or isinstance(value, bool):
            return problems.add(
                "wrong_type",
                where,
                f"{key} should be {kind.__name__} but is {str(value)[:60]!r} ({type(value).__name__})",
            )
    if split not in SPLITS:
        return problems.add(
            "unknown_split", where, f"split {split[:60]!r} is none of {', '.join(SPLITS)}"
        )
    reason = unsafe_path(name)
    if reason or not inside(imgs / name, imgs):
        return problems.add(
            "unsafe_path", where, f"{path_key} {name[:200]!r} {reason or 'leads out of imgs/'}"
        )
    if not os.path.isfile(imgs / name):
        return problems.add("missing_picture", where, f"there is no picture imgs/{name}")
    reason = picture_problem(imgs / name, decode=decode)
    if reason:
        return problems.add("unreadable_picture", where, f"imgs/{name}: {reason}")
    texts = _usable(texts, where, problems)
    if not texts:
        return (
            problems.add("no_captions", where, "no caption is left")
            if record["captions"] == []
            else None
        )
    return split, pid, str(imgs / name), texts
