"""The file of RDA texts (`diversity_captions`), written and read in the authors' form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from icl_lib.results import read_json, write_json

Parts = list[list[str]]  # sub-sentences x rewritings


def write_diversity(
    captions: pd.DataFrame,
    parts: dict[int, Parts],
    path: str | Path,
    root: str | Path | None = None,
    path_key: str = "img_path",
) -> None:
    """Writes RDA in the authors' format: the annotation list, each record with `diversity_captions`.

    One record a picture: id, split, `path_key` (relative to `root`/imgs; "img_path" for RSTPReid, "file_path"
    for the others), captions, and per caption a list (sub-sentences) of lists (rewritings). `root` is the
    benchmark's folder, by default the manifest's own.
    """
    root = Path(
        root or captions.attrs.get("root", "") or os.path.commonpath(captions["path"].tolist())
    )
    base = root / "imgs" if (root / "imgs").is_dir() else root
    records = []
    for _, rows in captions.groupby("image_id", sort=True):
        first = rows.iloc[0]
        records.append(
            {
                "id": int(first["pid"]),
                "split": first["split"],
                path_key: PurePosixPath(os.path.relpath(first["path"], base)).as_posix(),
                "captions": rows["caption"].tolist(),
                "diversity_captions": [parts.get(int(i), []) for i in rows["caption_id"]],
            }
        )
    write_json(path, records)


def read_diversity(path: str | Path, captions: pd.DataFrame) -> dict[int, Parts]:
    """Reads the authors' format -> {caption_id: parts} for the captions of the manifest that it knows.

    A record is matched by its picture's path and each caption by its text. Raises ValueError that names the
    record whose fields are missing or of the wrong form, and if no record fits the manifest at all.
    """
    records = read_json(path)
    if not isinstance(records, list):
        raise ValueError(
            f"{path} should be a list of records, as the benchmark's annotation file is."
        )
    by_name: dict[str, list] = {}
    for row in captions.itertuples():
        by_name.setdefault(PurePosixPath(row.path.replace(os.sep, "/")).name, []).append(row)
    found: dict[int, Parts] = {}
    for number, record in enumerate(records):
        where, own, diverse = _record(record, f"{path}, record {number}")
        fits = [
            row for row in by_name.get(PurePosixPath(where).name, []) if _ends_with(row.path, where)
        ]
        for caption, parts in zip(own, diverse):
            found.update(
                {int(row.caption_id): parts for row in fits if row.caption == caption and parts}
            )
    if records and not found:
        raise ValueError(
            f"None of the {len(records)} records of {path} fits the {len(captions)} captions given: is "
            "it another benchmark's or split's file?"
        )
    return found


def _record(record, name: str) -> tuple[str, Sequence[str], Sequence[Parts]]:
    where = (
        (record.get("img_path") or record.get("file_path")) if isinstance(record, dict) else None
    )
    if not isinstance(where, str):
        raise ValueError(f"{name} has neither img_path nor file_path.")
    own, diverse = record.get("captions"), record.get("diversity_captions")
    if not isinstance(own, list) or not isinstance(diverse, list) or len(own) != len(diverse):
        raise ValueError(
            f"{name} ({where}) needs `captions` and, equally long, `diversity_captions`."
        )
    for parts in diverse:
        if not isinstance(parts, list) or not all(
            isinstance(part, list) and part and all(isinstance(text, str) for text in part)
            for part in parts
        ):
            raise ValueError(
                f"{name} ({where}): diversity_captions should be, per caption, a list (sub-sentences) of "
                "non-empty lists of texts (rewritings)."
            )
    return where, own, diverse


def _ends_with(path: str, tail: str) -> bool:
    return ("/" + path.replace(os.sep, "/").lstrip("/")).endswith("/" + tail.lstrip("./"))
