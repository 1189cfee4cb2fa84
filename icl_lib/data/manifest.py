"""The one table everything reads: a pandas DataFrame, one row a caption.

| column | what |
|---|---|
| split | "train", "val" or "test" |
| pid | int, the person, as numbered in the benchmark's own file |
| image_id | int, 0, 1, … in order of appearance, one number a picture |
| path | str, the picture's full path |
| caption_id | int, 0, 1, … in order of appearance; -1 for a picture of your own that has no caption |
| caption | str, verbatim; "" for a picture of your own that has no caption |

`attrs` of a freshly read manifest: `root` (folder), `title`, `report` (kind of problem → how often it was
met), `problems` (the first messages); `held_out` where `hold_out` made the val split, `lacks` where the file
says too little. pandas drops attrs on merges, so nothing below depends on them.
"""

import hashlib
import json
import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.data.problems import Problems


def _finish(kept: list, folder: Path, title: str, problems: Problems) -> pd.DataFrame:
    if not kept:
        raise ValueError(f"{problems.file}: not one usable picture. {problems.summary()}.")
    if problems.total:
        warnings.warn(f"{title}: {problems.summary()}", stacklevel=3)
    return build(kept, folder, title, problems)


COLUMNS = ["split", "pid", "image_id", "path", "caption_id", "caption"]
SPLITS = ["train", "val", "test"]


def build(
    records: list[tuple[str, int, str, list[str]]], root, title: str, problems: Problems
) -> pd.DataFrame:
    """Manifest of (split, pid, path, captions) records, one a picture; without captions: caption_id -1."""
    rows, caption_id = [], 0
    for image_id, (split, pid, path, texts) in enumerate(records):
        for text in texts:
            rows.append((split, pid, image_id, path, caption_id, text))
            caption_id += 1
        if not texts:
            rows.append((split, pid, image_id, path, -1, ""))
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.attrs = {
        "root": str(root),
        "title": title,
        "report": dict(problems.counts),
        "problems": problems.messages,
    }
    return table


def images(manifest: pd.DataFrame, split: str | None = None) -> pd.DataFrame:
    """The gallery: one row a picture (split, pid, image_id, path) of `split`, or of all, by image_id."""
    table = _of(manifest, split).drop_duplicates("image_id").sort_values("image_id")
    return table[["split", "pid", "image_id", "path"]].reset_index(drop=True)


def captions(manifest: pd.DataFrame, split: str | None = None) -> pd.DataFrame:
    """The queries: one row a caption (all columns) of `split`, or of all, by caption_id."""
    table = _of(manifest, split)
    return table[table["caption_id"] >= 0].sort_values("caption_id").reset_index(drop=True)


def hold_out(manifest: pd.DataFrame, identities: int, seed: int = 0) -> pd.DataFrame:
    """The manifest with `identities` random persons of the train split, all their pictures, as its val split.

    For benchmarks without a val split (ICFG-PEDES, UFine6926), so that nothing is chosen on test. The order
    of rows stays; `attrs["held_out"]` tells how many identities, images and captions, and the seed. The same
    arguments choose the same persons, whatever seed a training has. 0 identities: nothing changes. Raises
    ValueError if there is a val split already, or nobody would be left to train on.
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
            f"{identities} identities cannot be held out of the {len(people)} of the train split as val: "
            "set data.val_from_train lower"
        )
    chosen = np.random.default_rng(seed).choice(people, identities, replace=False)
    held = (manifest["split"] == "train") & manifest["pid"].isin(chosen)
    table = manifest.assign(split=manifest["split"].mask(held, "val"))
    part = manifest[held]
    counts = {"images": int(part["image_id"].nunique()), "captions": len(captions(part))}
    table.attrs = {
        **manifest.attrs,
        "held_out": {"identities": int(identities), **counts, "seed": int(seed)},
    }
    return table


def nonempty(manifest: pd.DataFrame, split: str) -> pd.DataFrame:
    """The manifest, if `split` has a caption to ask with. Raises ValueError that says what to do, if not."""
    if captions(manifest, split).empty:
        has = ", ".join(name for name in SPLITS if len(captions(manifest, name))) or "none"
        hint = " Set data.val_from_train to hold identities out of train." if split == "val" else ""
        raise ValueError(f"the {split} split has no captions; splits with captions: {has}.{hint}")
    return manifest


def fingerprint(manifest: pd.DataFrame) -> str:
    """16 hex digits that name the rows and the pictures' sizes in bytes, wherever the folder lies."""
    paths = manifest["path"].tolist()
    common = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    size = {path: os.path.getsize(path) if os.path.isfile(path) else -1 for path in set(paths)}
    hashed = hashlib.sha256()
    for row in manifest[COLUMNS].itertuples(index=False):
        # A benchmark's pictures lie under imgs/, so a subset keeps its names; one's own folder has no mark.
        posix = row.path.replace(os.sep, "/")
        name = (
            posix.rpartition("/imgs/")[2]
            if "/imgs/" in posix
            else os.path.relpath(row.path, common)
        )
        line = [
            row.split,
            int(row.pid),
            int(row.image_id),
            name,
            size[row.path],
            int(row.caption_id),
            row.caption,
        ]
        hashed.update(json.dumps(line).encode() + b"\n")
    return hashed.hexdigest()[:16]


def _of(manifest: pd.DataFrame, split: str | None) -> pd.DataFrame:
    if split is None:
        return manifest
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; valid: {', '.join(SPLITS)}")
    return manifest[manifest["split"] == split]
