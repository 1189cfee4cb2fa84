"""Checks of a data set: counts, what was skipped, shared captions, lengths and sizes."""

import contextlib
import functools
import re
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pandas as pd
from PIL import Image

from icl_lib.data.manifest import SPLITS, captions, images
from icl_lib.params import load_params

SPREAD = "min / median / max"
SIZES_OF = 2000  # pictures, evenly spread, that are opened to learn their size


def check(manifest: pd.DataFrame, name: str | None = None) -> pd.DataFrame:
    """Table (check, split, found, published, verdict) of what a manifest holds.

    Its rows: identities, images and captions per split, against the published counts; missing
    folders, skipped records, splits emptied by that, values read by their plain meaning, paths that
    leave the folder; captions shared by several identities, identities in two splits; words and
    tokens per caption, and how many captions the text encoder cuts off; pixels. A difference is
    reported and not fatal.

    Args:
        manifest: The manifest; what was skipped stands in its `attrs`.
        name: The benchmark whose published counts are compared, and whose text encoder's limit
            counts; None for pictures of your own, and for CLIP's 77 tokens.
    """
    params = load_params(name) if name else None
    limit = params.backbone.context_length if params else 77
    rows = [
        *_counts(manifest, params.data.expected if params else None),
        *_reported(manifest.attrs),
        *_shared(manifest),
        *_lengths(manifest, limit),
        *_pixels(manifest),
    ]
    columns = ["check", "split", "found", "published", "verdict"]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def token_lengths(texts: Iterable[str]) -> np.ndarray:
    """Tokens of each text [N] in OpenAI CLIP's byte-pair encoding, start and end included."""
    texts, encode = list(texts), _openai_bpe().encode
    length = {text: len(encode(text)) + 2 for text in dict.fromkeys(texts)}
    return np.array([length[text] for text in texts], dtype=np.int64)


def word_counts(texts: Iterable[str]) -> pd.Series:
    """Lower-case word -> number of uses; most frequent first, ties by the alphabet."""
    words = sorted(word for text in texts for word in re.findall(r"[\w'-]+", text.lower()))
    return pd.Series(dict(Counter(words).most_common()), dtype=np.int64)


def duplicate_captions(manifest: pd.DataFrame) -> pd.DataFrame:
    """Captions that several identities of one split share, letter case and punctuation aside.

    Returns:
        One row per text: caption, split, pids (sorted), captions (how many).
    """
    table = _shared_captions(manifest).groupby(["split", "words"], sort=False)
    table = table.agg(
        caption=("caption", "first"),
        pids=("pid", lambda pids: sorted(set(pids))),
        captions=("pid", "size"),
    )
    return table.reset_index()[["caption", "split", "pids", "captions"]]


def duplicate_pairs(manifest: pd.DataFrame, texts: int = 3, people: int = 2) -> pd.DataFrame:
    """The most frequent of the captions that several identities of one split share, with pictures.

    Args:
        manifest: The manifest.
        texts: How many texts at most.
        people: How many identities of each at most.

    Returns:
        One row per identity and text: path, caption, pid.
    """
    said, text = _shared_captions(manifest), ["split", "words"]
    groups = said.groupby(text, sort=False)
    said = said.assign(uses=groups["pid"].transform("size"), number=groups.ngroup())
    said = said.sort_values(["uses", "number", "caption_id"], ascending=[False, True, True])
    said = said.drop_duplicates([*text, "pid"]).groupby(text, sort=False).head(people)
    said = said[said.groupby(text, sort=False).ngroup() < texts]
    return said[["path", "caption", "pid"]].reset_index(drop=True)


def identities_in_two_splits(manifest: pd.DataFrame) -> list[int]:
    """Identities that appear in more than one split, sorted."""
    splits = manifest.groupby("pid")["split"].nunique()
    return sorted(int(pid) for pid in splits[splits > 1].index)


@functools.cache
def _openai_bpe():
    from open_clip.tokenizer import SimpleTokenizer  # ships its vocabulary: nothing is downloaded

    return SimpleTokenizer()


def _shared_captions(manifest: pd.DataFrame) -> pd.DataFrame:
    """The captions that several identities of one split share, with their `words`."""
    said = captions(manifest)
    words = [" ".join(re.findall(r"\w+", text.lower())) for text in said["caption"]]
    said = said.assign(words=words)
    return said[said.groupby(["split", "words"])["pid"].transform("nunique") > 1]


def _counts(manifest: pd.DataFrame, published) -> list[tuple]:
    held, limits = (manifest.attrs.get(name) for name in ("held_out", "limit_ids"))
    rows = []
    table = manifest.assign(said=manifest["caption_id"] >= 0).groupby("split")
    table = table.agg(
        identities=("pid", "nunique"), images=("image_id", "nunique"), captions=("said", "sum")
    )
    table = table.reindex(SPLITS, fill_value=0)
    for index, split in enumerate(SPLITS):
        for what, count in table.loc[split].astype(int).to_dict().items():
            wanted = verdict = ""
            if held and split == "val":
                verdict = "held out of train: the benchmark has no val split"
            elif published is not None:
                wanted = getattr(published, "ids" if what == "identities" else what)[index]
                out = held[what] if held and split == "train" else 0
                verdict = "as published" if wanted == count + out else "differs"
                verdict = f"trial run on the first {limits[split]} people" if limits else verdict
                verdict += f", with {out} held out as val" if out else ""
            rows.append((what, split, count, wanted, verdict))
    return rows


def _reported(attrs: dict) -> list[tuple]:
    """What the reader has noted in the manifest's attrs; nothing if no reader has made it."""
    if "report" not in attrs:
        return []
    put, out = "no picture of it is there: put the folder in place", attrs["report"]["unsafe_path"]
    rows = [
        (f"missing folder {folder}", ", ".join(splits), sum(splits.values()), "", put)
        for folder, splits in attrs.get("missing_folders", {}).items()
    ]
    if "lacks" in attrs:
        rows.append(("split named in the file", "all", "no", "", attrs["lacks"]))
    rows += [
        (f"skipped: {kind}", "all", count, "", "see attrs['problems']")
        for kind, count in attrs["report"].items()
        if count
    ]
    rows += [
        ("records all skipped", split, count, "", f"nothing is left of split {split}")
        for split, count in attrs.get("emptied", {}).items()
    ]
    rows += [
        (f"read as: {field}", "all", read["count"], "", read["first"])
        for field, read in attrs.get("read_as", {}).items()
    ]
    verdict = "refused" if out else "none"
    return [*rows, ("paths that leave the folder", "all", out, "", verdict)]


def _shared(manifest: pd.DataFrame) -> list[tuple]:
    shared, rows = duplicate_captions(manifest), []
    for split in _splits(manifest):
        count = int(shared.loc[shared["split"] == split, "captions"].sum())
        share = 100 * count / max(1, len(captions(manifest, split)))
        verdict = f"{share:.1f}% of captions fit several persons word for word" if count else "none"
        rows.append(("captions shared by identities", split, count, "", verdict))
    both = identities_in_two_splits(manifest)
    verdict = f"leak: {', '.join(map(str, both[:5]))}…" if both else "none"
    return [*rows, ("identities in two splits", "all", len(both), "", verdict)]


def _lengths(manifest: pd.DataFrame, limit: int) -> list[tuple]:
    rows = []
    for split in _splits(manifest):
        texts = captions(manifest, split)["caption"].tolist()
        tokens = token_lengths(texts)
        cut = int((tokens > limit).sum())
        share = f"{100 * cut / max(1, len(texts)):.2f}% lose what stands beyond token {limit}"
        words = [len(text.split()) for text in texts]
        rows += [
            ("words per caption", split, _spread(words), "", SPREAD),
            ("tokens per caption", split, _spread(tokens.tolist()), "", SPREAD),
            (f"captions over {limit} tokens", split, cut, "", share if cut else "none is cut off"),
        ]
    return rows


def _pixels(manifest: pd.DataFrame) -> list[tuple]:
    paths = images(manifest)["path"].tolist()
    evenly = np.linspace(0, len(paths) - 1, min(SIZES_OF, len(paths))).astype(int)
    chosen, sizes = [paths[i] for i in np.unique(evenly)], []
    for path in chosen:
        # Damaged files make Pillow raise nearly anything.
        with contextlib.suppress(Exception), Image.open(path) as picture:
            sizes.append(picture.size)
    bad, about = len(chosen) - len(sizes), f"headers of {len(chosen)} pictures"
    return [
        ("unreadable pictures", "all", bad, "", about),
        ("picture width, pixels", "all", _spread([width for width, _ in sizes]), "", SPREAD),
        ("picture height, pixels", "all", _spread([height for _, height in sizes]), "", SPREAD),
    ]


def _spread(values: list[int]) -> str:
    return f"{min(values)} / {np.median(values):g} / {max(values)}" if values else "–"


def _splits(manifest: pd.DataFrame) -> list[str]:
    return [split for split in SPLITS if split in set(manifest["split"])]
