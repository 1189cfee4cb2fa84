"""The manifest, the one table that every stage reads: a DataFrame with one row per caption.

| column | what |
|---|---|
| split | "train", "val" or "test" |
| pid | int, the person, as numbered in the benchmark's own file |
| image_id | int, 0, 1, … in order of appearance, one number per picture |
| path | str, the picture's full path |
| caption_id | int, 0, 1, … in order of appearance; -1 for a picture of your own without caption |
| caption | str, verbatim; "" for a picture of your own without caption |

The `attrs` of a freshly read manifest:

| key | what |
|---|---|
| root, title | the folder, and the name of the data set |
| report | kind of problem -> how often it was met (`icl_lib.data.problems.KINDS`) |
| problems | the first messages, missing folders ahead of single records |
| missing_folders | folder -> split -> number of records |
| read_as | field -> {"count": how many untidy but clear values were read, "first": one of them} |
| emptied | split -> number of its records, for a split that lost all of them (benchmarks only) |
| lacks | what the file does not say (CUHK-PEDES' caption_all.json only) |
| held_out | what `hold_out` has moved from train to val |

pandas drops attrs when tables are merged, so no result depends on them.
"""

import hashlib
import json
import os
import warnings
from collections import namedtuple
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.data.problems import Problems

COLUMNS = ["split", "pid", "image_id", "path", "caption_id", "caption"]
SPLITS = ["train", "val", "test"]


# A usable picture, and where it stands in the annotation file.
Entry = namedtuple("Entry", ["split", "pid", "path", "captions", "where"])


def finish(
    entries: Iterable[Entry], folder: Path, title: str, problems: Problems, strict: bool
) -> pd.DataFrame:
    """The manifest of what a reader has found in `folder`; warns if anything was skipped.

    Raises:
        ValueError: There is no entry, or `strict` is set and something was skipped.
    """
    skipped = problems.messages()
    if not entries:
        raise ValueError(f"{problems.file}: not one usable picture. {problems.summary()}.")
    if skipped and strict:
        raise ValueError(
            f"{problems.summary()}. Correct or remove what is wrong, or read with strict=False to "
            "skip and count it."
        )
    if skipped:
        warnings.warn(f"{title}: {problems.summary()}", stacklevel=3)
    rows = [
        (entry.split, entry.pid, image_id, entry.path, text)
        for image_id, entry in enumerate(entries)
        for text in entry.captions or [""]
    ]
    table = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "caption_id"])
    said = table["caption"] != ""
    table.insert(4, "caption_id", np.where(said, said.cumsum() - 1, -1))
    table.attrs = {
        "root": str(folder),
        "title": title,
        "report": problems.counts,
        "problems": skipped,
        "missing_folders": problems.folders(),
        "read_as": problems.read_as,
    }
    return table


def images(manifest: pd.DataFrame, split: str | None = None) -> pd.DataFrame:
    """The gallery: one row per picture (split, pid, image_id, path), ordered by image_id.

    Args:
        manifest: The manifest.
        split: "train", "val" or "test"; None for all pictures.
    """
    table = _of(manifest, split).drop_duplicates("image_id").sort_values("image_id")
    return table[["split", "pid", "image_id", "path"]].reset_index(drop=True)


def captions(manifest: pd.DataFrame, split: str | None = None) -> pd.DataFrame:
    """The queries: one row per caption (all columns), ordered by caption_id.

    Args:
        manifest: The manifest.
        split: "train", "val" or "test"; None for all captions.
    """
    table = _of(manifest, split)
    return table[table["caption_id"] >= 0].sort_values("caption_id").reset_index(drop=True)


def hold_out(manifest: pd.DataFrame, identities: int, seed: int = 0) -> pd.DataFrame:
    """The manifest with random persons of the train split, and all their pictures, as val split.

    For benchmarks without a val split (ICFG-PEDES, UFine6926), so that nothing is chosen on test.
    The order of the rows stays. The same arguments always choose the same persons.

    Args:
        manifest: The manifest.
        identities: How many persons; 0 changes nothing.
        seed: The seed of the choice; it is independent of the training's seed.

    Returns:
        The new manifest; its `attrs["held_out"]` has the numbers of identities, images and
        captions, and the seed.

    Raises:
        ValueError: There is a val split already, or nobody would be left to train on.
    """
    if not identities:
        return manifest
    if (manifest["split"] == "val").any():
        raise ValueError(
            "the manifest has a val split of its own: nothing needs to be held out of train"
        )
    people = np.sort(manifest.loc[manifest["split"] == "train", "pid"].unique())
    if not 0 < identities < len(people):
        raise ValueError(
            f"{identities} identities cannot be held out of the {len(people)} of the train split "
            "as val: set data.val_from_train lower"
        )
    chosen = np.random.default_rng(seed).choice(people, identities, replace=False)
    held = (manifest["split"] == "train") & manifest["pid"].isin(chosen)
    table = manifest.assign(split=manifest["split"].mask(held, "val"))
    part = manifest[held]
    table.attrs = {
        **manifest.attrs,
        "held_out": {
            "identities": int(identities),
            "images": int(part["image_id"].nunique()),
            "captions": len(captions(part)),
            "seed": int(seed),
        },
    }
    return table


def nonempty(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    """Returns the manifest unchanged if `split` has captions.

    Raises:
        ValueError: `split` has no caption to search with; the message says what to do.
    """
    if captions(manifest, split).empty:
        has = ", ".join(name for name in SPLITS if len(captions(manifest, name))) or "none"
        hint = " Set data.val_from_train to hold identities out of train." if split == "val" else ""
        raise ValueError(f"the {split} split has no captions; splits with captions: {has}.{hint}")
    return manifest


def fingerprint(manifest: pd.DataFrame) -> str:
    """16 hex digits of the rows and the pictures' sizes in bytes, wherever the folder lies."""
    paths = manifest["path"].tolist()
    common = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    size = {path: os.path.getsize(path) if os.path.isfile(path) else -1 for path in set(paths)}
    hashed = hashlib.sha256()
    for row in manifest[COLUMNS].itertuples(index=False):
        # A benchmark's pictures lie under imgs/, so that a subset keeps its names; in a folder of
        # your own names count from the deepest folder that holds all pictures.
        _, mark, name = row.path.replace(os.sep, "/").rpartition("/imgs/")
        name = name if mark else os.path.relpath(row.path, common)
        line = [row.split, int(row.pid), int(row.image_id), name, size[row.path]]
        line += [int(row.caption_id), row.caption]
        hashed.update(json.dumps(line).encode() + b"\n")
    return hashed.hexdigest()[:16]


def _of(manifest: pd.DataFrame, split: str | None) -> pd.DataFrame:
    if split is None:
        return manifest
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; valid: {', '.join(SPLITS)}")
    return manifest[manifest["split"] == split]
