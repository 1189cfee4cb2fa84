"""Figures of a data set before anything is trained on it: lengths, words, duplicates, and stand-ins side by
side.
"""

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd

from icl_lib.data.checks import token_lengths, word_counts
from icl_lib.data.manifest import captions, images
from icl_lib.figures.pictures import CELL, _limits, _place
from icl_lib.figures.style import BLACK, BLUE, GREY, WIDTH, panels, styled

# Words that say nothing of a person; left out of the bars, not of the curve.
PLAIN = set(["a", "an", "and", "the", "of", "is", "are", "in", "on", "with", "to", "it", "its", "this", "that", "he", "she", "his", "her", "him", "has", "have", "who", "which", "at", "by", "for", "from", "as", "there", "also", "or", "be", "been", "was", "were", "while"])  # fmt: skip


@styled
def caption_tokens(manifest: pd.DataFrame, limit: int):
    """Histogram of CLIP tokens a caption, start and end included, a line a split; what is beyond `limit` is
    cut off.
    """
    figure, ((ax,),) = panels()
    said = captions(manifest)
    tokens = pd.Series(token_lengths(said["caption"].tolist()), index=said.index)
    bins = np.arange(0, max(int(tokens.max()), limit) + 3)
    for split, part in tokens.groupby(said["split"], sort=False):
        share, cut = 100 * np.histogram(part, bins)[0] / len(part), 100 * (part > limit).mean()
        ax.stairs(
            share,
            bins - 0.5,
            lw=1.8,
            label=f"{split}: median {part.median():g}, {cut:.1f}% cut off",
        )
    ax.axvline(limit + 0.5, color=BLACK, ls="--", lw=1)
    ax.text(limit, ax.get_ylim()[1], f"{limit} tokens ", ha="right", va="top", fontsize=8)
    ax.set(xlabel="tokens a caption, start and end included", ylabel="share of captions (%)")
    ax.legend(loc="upper left")
    return figure


@styled
def words(manifest: pd.DataFrame, split: str = "train", most: int = 24):
    """The most frequent words of a split's captions, and how often the n-th most frequent word is used."""
    texts = captions(manifest, split)["caption"]
    counts = word_counts(texts)
    telling = counts[[word not in PLAIN for word in counts.index]][:most]
    figure, ((left, right),) = panels(1, 2, height=4.6)
    left.barh(telling.index[::-1], 100 * telling.to_numpy()[::-1] / len(texts), color=BLUE)
    left.set(
        xlabel="uses in 100 captions", title=f"{split}: the {len(telling)} most frequent words"
    )
    left.tick_params(axis="y", labelsize=8)
    left.grid(False, axis="y")
    right.loglog(np.arange(1, len(counts) + 1), counts, color=BLUE)
    right.set_title(f"{len(counts):,} different words, {counts.sum():,} in all")
    right.set(xlabel="rank of the word", ylabel="uses")
    return figure


@styled
def side_by_side(manifests: Mapping[str, pd.DataFrame], pictures: int = 7, split: str = "train"):
    """A row a data set: pictures of its first persons of `split`, and the caption of median length of the
    first ones.
    """
    cell = WIDTH / (2 * pictures)
    figure, axes = panels(len(manifests), 1, height=cell * CELL[1] / CELL[0] + 0.3)
    for ax, (title, manifest) in zip(axes[:, 0], manifests.items()):
        ax.axis("off")
        shown = images(manifest, split).head(pictures)
        for column, path in enumerate(shown["path"]):
            _place(ax, path, column)
        said = captions(manifest, split)
        texts = said.loc[said["image_id"].isin(shown["image_id"]), "caption"]
        typical = sorted(texts, key=lambda text: len(text.split()))[len(texts) // 2]
        told = "\n".join(textwrap.wrap(f"“{typical}”", 62, max_lines=14, placeholder=" …"))
        ax.text(pictures + 0.15, 0.0, told, fontsize=7.5, va="top", parse_math=False)
        people = f"{shown['pid'].nunique()} people" if shown["pid"].nunique() > 1 else "one person"
        heading = f"{title}: {people}, and a typical caption of {len(typical.split())} words"
        ax.set_title(heading, fontsize=9, loc="left", color=GREY)
        _limits(ax, 2 * pictures)
    return figure


@styled
def caption_lengths(manifest: pd.DataFrame, limit: int | None = None, xlim=None):
    """Histogram of words a caption, one line a split; `limit`: the text encoder's tokens."""
    figure, ((ax,),) = panels()
    said = manifest[manifest["caption_id"] >= 0]
    words = said["caption"].str.split().str.len()
    bins = np.arange(0, max(int(words.max()) + 2, (limit or 0) + 2))
    for split, part in words.groupby(said["split"], sort=False):
        share = 100 * np.histogram(part, bins)[0] / len(part)
        ax.stairs(
            share,
            bins - 0.5,
            label=f"{split}: {len(part):,} captions, median {part.median():g}",
            lw=1.8,
        )
    if limit:
        ax.axvline(limit - 2, color=BLACK, ls="--", lw=1)
        ax.text(
            limit - 2,
            ax.get_ylim()[1],
            f" {limit} tokens less 2 ",
            ha="right",
            va="top",
            fontsize=8,
        )
    ax.set(xlabel="words a caption", ylabel="share of captions (%)", xlim=xlim)
    ax.legend()
    return figure
