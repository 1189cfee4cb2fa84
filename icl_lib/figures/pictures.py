"""Figures made of pictures: people across cameras, pairs with their texts, rankings."""

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from PIL import Image, ImageOps

from icl_lib.data.manifest import captions, images
from icl_lib.figures.style import BLACK, GREEN, GREY, RED, WIDTH, panels, styled

CELL = (100, 250)  # pixels that a person's picture is fitted into: width, height
DASHED = (0, (3, 2))


@styled
def pair_sheet(table: pd.DataFrame, columns: int = 4, lines: int = 9):
    """Pictures with their texts below.

    Args:
        table: A row for each picture, with the columns path, caption and, if known, label, p, rank.
            With `label`, the frame is solid green for a text about this very person, and dashed red
            for one about another.
        columns: Pictures side by side.
        lines: Lines of text shown at most.
    """
    columns = min(columns, max(1, len(table)))
    width = WIDTH / columns
    picture_height = min(0.5 * width, 0.9) * CELL[1] / CELL[0]
    rows = max(1, -(-len(table) // columns))
    figure, axes = panels(rows, columns, height=picture_height + 0.125 * lines + 0.35)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    for ax, (_, row) in zip(axes.flat, table.iterrows(), strict=False):
        ax.imshow(fitted(row["path"]))
        ax.set_title(_heading(row), fontsize=8.5)
        ax.set_xlabel(_wrapped(row["caption"], int(15 * width), lines), fontsize=7.5)
        ax.xaxis.label.set_parse_math(False)
        if "label" in row:
            color, style = (GREEN, "-") if row["label"] else (RED, DASHED)
            ax.spines[:].set(visible=True, color=color, linestyle=style, lw=2.5)
    return figure


def _heading(row: pd.Series) -> str:
    forms = {
        "label": lambda label: "✓ same person" if label else "✗ another",
        "rank": "rank {}".format,
        "p": "P(Yes) {:.2f}".format,
    }
    return ", ".join(form(row[name]) for name, form in forms.items() if name in row)


@styled
def sample_sheet(
    manifest: pd.DataFrame,
    split: str = "train",
    identities: int = 6,
    pictures: int = 5,
    seed: int = 0,
):
    """Random people of a split, two in a line, each with the first of their pictures."""
    table = images(manifest, split)
    pids = np.random.default_rng(seed).permutation(table["pid"].unique())[:identities]
    figure, axes = _picture_rows(-(-len(pids) // 2), 2, pictures, WIDTH / (2 * pictures + 0.6))
    for ax, pid in zip(axes.flat, pids, strict=False):
        paths = table.loc[table["pid"] == pid, "path"]
        for column, path in enumerate(paths[:pictures]):
            _place(ax, path, column)
        ax.set_title(f"identity {pid}: {len(paths)} pictures", fontsize=9, loc="left")
    return figure


@styled
def data_set_rows(manifests: Mapping[str, pd.DataFrame], pictures: int = 7, split: str = "train"):
    """A row for each data set: the pictures of its first people and a caption of typical length."""
    columns = 2 * pictures
    figure, axes = _picture_rows(len(manifests), 1, columns, WIDTH / columns)
    for ax, (title, manifest) in zip(axes.flat, manifests.items(), strict=True):
        shown = images(manifest, split).head(pictures)
        for column, path in enumerate(shown["path"]):
            _place(ax, path, column)
        texts = captions(manifest, split)
        texts = texts.loc[texts["image_id"].isin(shown["image_id"]), "caption"]
        typical = sorted(texts, key=lambda text: len(text.split()))[len(texts) // 2]
        text = _wrapped(f"“{typical}”", 62, 14)
        ax.text(pictures + 0.15, 0.0, text, fontsize=7.5, va="top", parse_math=False)
        people = f"{shown['pid'].nunique()} people" if shown["pid"].nunique() > 1 else "one person"
        heading = f"{title}: {people}, and a typical caption of {len(typical.split())} words"
        ax.set_title(heading, fontsize=9, loc="left", color=GREY)
    return figure


@styled
def rankings(
    query: str,
    similarities: dict[str, np.ndarray],
    gallery: pd.DataFrame,
    pid: int,
    title: str = "",
    n: int = 10,
    anchor: int = -1,
):
    """A query and the first pictures of its rankings, framed in green (right) or dashed red.

    Args:
        query: The caption.
        similarities: {title: similarities [G]}, a row each.
        gallery: The G pictures: columns path and pid.
        pid: The person sought.
        title: A line above the query.
        n: Pictures in a row.
        anchor: The anchor's gallery column, framed in black; -1 for none.
    """
    n = min(n, len(gallery))
    figure, axes = _picture_rows(len(similarities), 1, n, WIDTH / (n + 0.4), room=0.75, below=0.22)
    head = (f"{title}\n" if title else "") + f"“{_wrapped(query, 108, 4)}”"
    figure.suptitle(head, fontsize=10, x=0.01, ha="left", parse_math=False)
    for ax, (name, sim) in zip(axes.flat, similarities.items(), strict=True):
        order = np.argsort(-np.asarray(sim), kind="stable")[:n]
        for column, picture in enumerate(order):
            path, right = gallery["path"].iloc[picture], gallery["pid"].iloc[picture] == pid
            color, style, sign = (GREEN, "-", "✓") if right else (RED, DASHED, "✗")
            _place(ax, path, column)
            _frame(ax, column, color, style)
            middle = column + 0.5
            ax.text(middle, -0.02, f"{column + 1} {sign}", ha="center", va="bottom", fontsize=8)
            if picture == anchor:
                _frame(ax, column, BLACK, "-", margin=0.045)
                ax.text(middle, 1.13, "anchor", ha="center", va="top", fontsize=8, weight="bold")
        ax.set_title(name, fontsize=9, loc="left", pad=12, color=GREY, parse_math=False)
    return figure


def before_after(run, q: int, final: np.ndarray, anchor: np.ndarray, n: int = 10, title: str = ""):
    """The first `n` pictures of query number `q` before and after THI; see `rankings`.

    Args:
        run: An `icl_lib.thi.interaction.Interaction`.
        q: The query's number.
        final: Similarities after THI [Q, G].
        anchor: Gallery column of each query's anchor [Q], -1 for none.
        n: Pictures in a row.
        title: A line above the query.
    """
    changed = anchor[q] >= 0 or run.evidence is not None
    after = "after: Ŝ(q, v)" if changed else "after: no anchor, nothing changes"
    similarities = {"before: S(q, v)": run.sim[q], after: final[q]}
    query, pid = run.queries["caption"].iloc[q], run.pids[0][q]
    return rankings(query, similarities, run.gallery, pid, title, n, anchor[q])


def fitted(path, size: tuple[int, int] = CELL, enlarge: bool = True) -> Image.Image:
    """A picture as large as fits into `size` (width, height), with white around it.

    A picture that cannot be read becomes a grey area, so that a figure of many pictures survives.

    Args:
        path: The picture's file.
        size: In pixels.
        enlarge: If False, the picture is never enlarged and gets no white around it.
    """
    try:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
    except Exception:
        return Image.new("RGB", size, "#C8C8C8")
    if enlarge:
        return ImageOps.pad(picture, size, Image.Resampling.LANCZOS, color="white")
    picture.thumbnail(size, Image.Resampling.LANCZOS)
    return picture


def _wrapped(text, width: int, lines: int) -> str:
    """At most `lines` lines of `width` characters."""
    words = " ".join(str(text).split())
    return "\n".join(textwrap.wrap(words, width, max_lines=lines, placeholder=" …"))


def _picture_rows(
    rows: int, columns: int, pictures: int, cell: float, room: float = 0.3, below: float = 0.0
):
    """Panels that hold `pictures` pictures side by side, each `cell` inches wide.

    `room` is for the titles, in inches; `below` is for text under a picture, in parts of its
    height.
    """
    figure, axes = panels(rows, columns, height=cell * CELL[1] / CELL[0] + room)
    for ax in axes.flat:
        ax.set(xlim=(0, pictures), ylim=(1 + below, -0.02))
        ax.axis("off")
    return figure, axes


def _place(ax, path, column: int) -> None:
    ax.imshow(fitted(path), extent=(column + 0.04, column + 0.96, 1, 0), aspect="auto", zorder=1)


def _frame(ax, column: int, color: str, style, margin: float = 0.0) -> None:
    corner, size = (column + 0.04 - margin / 2, -margin / 4), (0.92 + margin, 1 + margin / 2)
    ax.add_patch(
        Rectangle(corner, *size, fill=False, ec=color, ls=style, lw=2.5, clip_on=False, zorder=2)
    )
