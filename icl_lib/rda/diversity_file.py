"""The file of RDA's texts in the authors' form: annotations with `diversity_captions`."""

import os
from pathlib import Path

import pandas as pd

from icl_lib.results import read_json, write_json

Parts = list[list[str]]  # sub-sentences, each a list of rewritings


def write_diversity(
    captions: pd.DataFrame,
    parts: dict[int, Parts],
    path: str | Path,
    root: str | Path | None = None,
    path_key: str = "img_path",
) -> None:
    """Writes RDA's texts in the authors' form, one record per image.

    A record has the fields id, split, `path_key`, captions, and diversity_captions: for each
    caption a list (sub-sentences) of lists (rewritings).

    Args:
        captions: a manifest.
        parts: {caption_id: sub-sentences, each a list of rewritings}.
        path: the file to write.
        root: the benchmark's folder, by default the manifest's own.
        path_key: the field for the image's path below `root`/imgs: "img_path" in RSTPReid,
            "file_path" in the others.
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
                path_key: os.path.relpath(first["path"], base),
                "captions": rows["caption"].tolist(),
                "diversity_captions": [parts.get(int(i), []) for i in rows["caption_id"]],
            }
        )
    write_json(path, records)


def read_diversity(path: str | Path, captions: pd.DataFrame) -> dict[int, Parts]:
    """Reads a file in the authors' form: {caption_id: parts}, for captions of the manifest.

    A record is matched by its image's path, and each of its captions by the text.

    Raises:
        ValueError: a record (named in the message) lacks a field or has one of the wrong form, or
            no record fits the manifest.
    """
    records = read_json(path)
    if not isinstance(records, list):
        raise ValueError(
            f"{path} should be a list of records, as the benchmark's annotation file is."
        )
    by_name: dict[str, list] = {}
    for row in captions.itertuples():
        by_name.setdefault(Path(row.path).name, []).append(row)
    found: dict[int, Parts] = {}
    for number, record in enumerate(records):
        image, own, diverse = _fields(record, f"{path}, record {number}")
        tail = "/" + image.lstrip("./")
        fits = [row for row in by_name.get(Path(image).name, []) if f"/{row.path}".endswith(tail)]
        for caption, parts in zip(own, diverse, strict=True):
            found |= {
                int(row.caption_id): parts for row in fits if parts and row.caption == caption
            }
    if records and not found:
        raise ValueError(
            f"None of the {len(records)} records of {path} fits the {len(captions)} captions "
            "given: is it another benchmark's or split's file?"
        )
    return found


def _fields(record, name: str) -> tuple[str, list[str], list[Parts]]:
    """The image's path, captions and diversity_captions of a record, whose form is checked."""
    record = record if isinstance(record, dict) else {}
    image = record.get("img_path") or record.get("file_path")
    if not isinstance(image, str):
        raise ValueError(f"{name} has neither img_path nor file_path.")
    own, diverse = record.get("captions"), record.get("diversity_captions")
    if not isinstance(own, list) or not isinstance(diverse, list) or len(own) != len(diverse):
        raise ValueError(
            f"{name} ({image}) needs `captions` and, equally long, `diversity_captions`."
        )
    for parts in diverse:
        if not isinstance(parts, list) or not all(
            isinstance(part, list) and part and all(isinstance(text, str) for text in part)
            for part in parts
        ):
            raise ValueError(
                f"{name} ({image}): diversity_captions should be, for each caption, a list "
                "(sub-sentences) of non-empty lists of texts (rewritings)."
            )
    return image, own, diverse
