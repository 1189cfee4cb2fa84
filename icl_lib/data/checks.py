"""What can be wrong with a record, a picture, a data set; and the table that says what is."""

import functools
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from icl_lib.data.manifest import SPLITS, captions, images
from icl_lib.params import load_params


def check(
    manifest: pd.DataFrame,
    name: str | None = None,
    sizes_of: int = 2000,
    context_length: int | None = None,
) -> pd.DataFrame:
    """Table (check, split, found, published, verdict) of what a manifest holds.

    Counts of identities, images and captions a split against the published ones of benchmark `name` (None:
    your own pictures, nothing to compare with); val held out of train; records skipped and splits emptied by
    it; paths that leave the folder; captions shared by several identities; identities in two splits; words
    and tokens a caption, and how many are cut off at `context_length` (by default the benchmark's text
    encoder's, 77 without `name`); pixels of up to `sizes_of` pictures, evenly spread. A difference is
    reported, not fatal.
    """
    params = load_params(name) if name else None
    limit = context_length or (params.backbone.context_length if params else 77)
    rows = _counts(manifest, params.data.expected if params else None) + _told(manifest)
    rows += _shared(manifest) + _words(manifest, limit) + _pixels(manifest, sizes_of)
    told = [
        (what, split, found, "" if wanted is None else wanted, verdict)
        for what, split, found, wanted, verdict in rows
    ]
    return pd.DataFrame(
        told, columns=["check", "split", "found", "published", "verdict"], dtype=object
    )


def token_lengths(texts) -> np.ndarray:
    """Tokens of each text [N] in OpenAI CLIP's byte-pair encoding, start and end included."""
    encode = _openai_bpe().encode
    known: dict[str, int] = {}
    for text in texts:
        if text not in known:
            known[text] = len(encode(text)) + 2
    return np.array([known[text] for text in texts], dtype=np.int64)


def duplicate_captions(manifest: pd.DataFrame) -> pd.DataFrame:
    """Captions (letter case, punctuation aside) said of several identities of one split, with their pids."""
    said = captions(manifest)
    said = said.assign(key=[" ".join(re.findall(r"\w+", text.lower())) for text in said["caption"]])
    groups = said.groupby(["split", "key"], sort=False)
    several = groups["pid"].transform("nunique") > 1
    table = (
        said[several]
        .groupby(["split", "key"], sort=False)
        .agg(
            caption=("caption", "first"),
            pids=("pid", lambda pids: sorted(set(pids))),
            captions=("pid", "size"),
        )
    )
    return table.reset_index()[["caption", "split", "pids", "captions"]]


def identities_in_two_splits(manifest: pd.DataFrame) -> list[int]:
    """Persons who appear in more than one split, sorted."""
    splits = manifest.groupby("pid")["split"].nunique()
    return sorted(int(pid) for pid in splits[splits > 1].index)


@functools.cache
def _openai_bpe():
    from open_clip.tokenizer import SimpleTokenizer  # ships its vocabulary: nothing is downloaded

    return SimpleTokenizer()


def _counts(manifest: pd.DataFrame, published) -> list[tuple]:
    rows, held, limited = [], manifest.attrs.get("held_out"), manifest.attrs.get("limit_ids")
    for index, split in enumerate(SPLITS):
        part = manifest[manifest["split"] == split]
        counts = {
            "identities": part["pid"].nunique(),
            "images": part["image_id"].nunique(),
            "captions": len(captions(part)),
        }
        for what, count in counts.items():
            if published is None or (held and split == "val"):
                wanted, verdict = (
                    None,
                    "held out of train: the benchmark has no val split" if held else "",
                )
                rows.append((what, split, int(count), wanted, verdict if split == "val" else ""))
                continue
            wanted = getattr(published, what.replace("identities", "ids"))[index]
            out = held[what] if held and split == "train" else 0
            verdict = "as published" if wanted == count + out else "differs"
            if limited:
                verdict = f"trial run on the first {limited[split]} people"
            verdict += f", with {out} held out as val" if out else ""
            rows.append((what, split, int(count), wanted, verdict))
    return rows


def _told(manifest: pd.DataFrame) -> list[tuple]:
    """What the reader noted: what the file lacks, skipped records, emptied splits, paths out of the
    folder.
    """
    attrs, rows = manifest.attrs, []
    if attrs.get("lacks"):
        rows.append(("split named in the file", "all", "no", None, attrs["lacks"]))
    if "report" not in attrs:
        return rows
    for kind, count in attrs["report"].items():
        if count:
            rows.append((f"skipped: {kind}", "all", count, None, "see attrs['problems']"))
    for split, count in attrs.get("emptied", {}).items():
        rows.append(
            ("records all skipped", split, count, None, f"nothing is left of split {split}")
        )
    out = attrs["report"].get("unsafe_path", 0)
    return [*rows, ("paths that leave the folder", "all", out, None, "refused" if out else "none")]


def _shared(manifest: pd.DataFrame) -> list[tuple]:
    shared, rows = duplicate_captions(manifest), []
    for split in _present(manifest):
        count = int(shared.loc[shared["split"] == split, "captions"].sum())
        share = 100 * count / max(1, len(captions(manifest, split)))
        verdict = f"{share:.1f}% of captions fit several persons word for word" if count else "none"
        rows.append(("captions shared by identities", split, count, None, verdict))
    both = identities_in_two_splits(manifest)
    return [
        *rows,
        (
            "identities in two splits",
            "all",
            len(both),
            None,
            f"leak: {', '.join(map(str, both[:5]))}…" if both else "none",
        ),
    ]


def _words(manifest: pd.DataFrame, limit: int) -> list[tuple]:
    rows = []
    for split in _present(manifest):
        texts = captions(manifest, split)["caption"].tolist()
        tokens = token_lengths(texts)
        cut = int((tokens > limit).sum())
        share = f"{100 * cut / max(1, len(texts)):.2f}% lose what stands beyond token {limit}"
        rows += [
            (
                "words a caption",
                split,
                _spread([len(t.split()) for t in texts]),
                None,
                "min / median / max",
            ),
            ("tokens a caption", split, _spread(tokens.tolist()), None, "min / median / max"),
            (
                f"captions over {limit} tokens",
                split,
                cut,
                None,
                share if cut else "none is cut off",
            ),
        ]
    return rows


def _pixels(manifest: pd.DataFrame, at_most: int) -> list[tuple]:
    paths = images(manifest)["path"].tolist()
    chosen = [
        paths[i]
        for i in np.unique(np.linspace(0, len(paths) - 1, min(at_most, len(paths))).astype(int))
    ]
    sizes = [size for size in map(_size, chosen) if size]
    rows = [
        (
            "unreadable pictures",
            "all",
            len(chosen) - len(sizes),
            None,
            f"headers of {len(chosen)} pictures",
        )
    ]
    for axis, what in enumerate(("width", "height")):
        rows.append(
            (
                f"picture {what}, pixels",
                "all",
                _spread([size[axis] for size in sizes]),
                None,
                "min / median / max",
            )
        )
    return rows


def _size(path) -> tuple[int, int] | None:
    try:
        with Image.open(Path(path)) as picture:
            return picture.size
    except Exception:  # as in picture_problem
        return None


def _spread(values: list[int]) -> str:
    return f"{min(values)} / {np.median(values):g} / {max(values)}" if values else "–"


def _present(manifest: pd.DataFrame) -> list[str]:
    here = set(manifest["split"])
    return [split for split in SPLITS if split in here]


def word_counts(texts) -> pd.Series:
    """Word (lower case) -> how often it stands in the texts, most frequent first; ties by the alphabet."""
    counts = Counter(word for text in texts for word in re.findall(r"[\w'-]+", text.lower()))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return pd.Series(dict(ordered), dtype=np.int64)


def duplicate_pairs(manifest: pd.DataFrame, texts: int = 3, people: int = 2) -> pd.DataFrame:
    """Captions said of several persons of one split, a row a person (path, caption, pid): up to `texts`,
    `people` each.
    """
    said, rows = captions(manifest), []
    key = said["caption"].map(lambda text: " ".join(re.findall(r"\w+", text.lower())))
    twice = duplicate_captions(manifest).sort_values("captions", ascending=False, kind="stable")
    for one in twice.head(texts).itertuples():
        same = said[
            (key == " ".join(re.findall(r"\w+", one.caption.lower())))
            & (said["split"] == one.split)
        ]
        rows.append(same.drop_duplicates("pid").head(people))
    table = pd.concat(rows) if rows else said.head(0)
    return table[["path", "caption", "pid"]].reset_index(drop=True)
