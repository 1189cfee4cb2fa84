"""Figures made of pictures: identities across cameras, and what a query finds before and after THI."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.patches import Rectangle
from PIL import Image

from icl_lib.data.manifest import images
from icl_lib.figures.style import BLACK, GREEN, GREY, RED, WIDTH, panels, styled


@styled
def pair_sheet(table: pd.DataFrame, columns: int = 4, lines: int = 9):
    """A picture with its text below, a cell a row of `table` (path, caption; optional: label, p, rank).

    With `label`, the frame is green and solid for a text of this very person, red and dashed for another's.
    """
    columns = min(columns, max(1, len(table)))
    across = int(15 * WIDTH / columns)  # characters of the small print in one cell
    rows, wide = max(1, -(-len(table) // columns)), WIDTH / columns
    figure, axes = panels(
        rows, columns, height=min(0.5 * wide, 0.9) * CELL[1] / CELL[0] + 0.125 * lines + 0.35
    )
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.spines[:].set_visible(False)
    for ax, (_, row) in zip(axes.flat, table.iterrows()):
        ax.imshow(np.asarray(fitted(row["path"])))
        ax.set_title(_heading(row), fontsize=8.5)
        text = textwrap.wrap(
            " ".join(str(row["caption"]).split()), across, max_lines=lines, placeholder=" …"
        )
        ax.set_xlabel("\n".join(text), fontsize=7.5, parse_math=False)
        if "label" in row:
            ax.spines[:].set(
                visible=True,
                color=GREEN if row["label"] else RED,
                lw=2.5,
                linestyle="-" if row["label"] else (0, (3, 2)),
            )
    return figure


def _heading(row: pd.Series) -> str:
    told = []
    if "label" in row:
        told.append("✓ same person" if row["label"] else "✗ another")
    if "rank" in row:
        told.append(f"rank {row['rank']}")
    if "p" in row:
        told.append(f"P(Yes) {row['p']:.2f}")
    return ", ".join(told)


CELL = (100, 250)  # pixels a person's picture is fitted into: width, height


@styled
def sample_sheet(
    manifest: pd.DataFrame,
    split: str = "train",
    identities: int = 6,
    pictures: int = 5,
    seed: int = 0,
):
    """Random identities of a split, two a line, each with its first pictures in order of image_id."""
    table = images(manifest, split)
    pids = np.random.default_rng(seed).permutation(table["pid"].unique())[:identities]
    lines = -(-len(pids) // 2)
    cell = WIDTH / (2 * pictures + 0.6)
    figure, axes = panels(lines, 2, height=cell * CELL[1] / CELL[0] + 0.3)
    for ax in axes.flat:
        ax.axis("off")
    for ax, pid in zip(axes.flat, pids):
        paths = table.loc[table["pid"] == pid, "path"].tolist()
        for column, path in enumerate(paths[:pictures]):
            _place(ax, path, column)
        ax.set_title(f"identity {pid}: {len(paths)} pictures", fontsize=9, loc="left")
        _limits(ax, pictures)
    return figure


@styled
def gallery_rows(query: str, rows: list[dict], title: str = ""):
    """A query's text and its first images, a line a ranking; framed green ✓ (right) or dashed red ✗.

    rows: [{"title": str, "paths": [n], "right": [n] bool, "p_yes": [n] or None (NaN: not asked),
    "anchor": index in paths or None, "names": [n] or None}, …]; the first row is by convention before,
    the second after.
    """
    wide = max(len(row["paths"]) for row in rows)
    cell = WIDTH / (wide + 0.4)
    figure, axes = panels(len(rows), 1, height=cell * CELL[1] / CELL[0] + 0.75)
    text = "\n".join(textwrap.wrap(" ".join(query.split()), 108, max_lines=4, placeholder=" …"))
    head = (f"{title}\n" if title else "") + f"“{text}”"
    figure.suptitle(head, fontsize=10, x=0.01, ha="left", parse_math=False)
    for ax, row in zip(axes[:, 0], rows):
        ax.axis("off")
        told = row.get("p_yes")
        for column, path in enumerate(row["paths"]):
            right = bool(row["right"][column])
            _place(ax, path, column)
            _frame(ax, column, GREEN if right else RED, "-" if right else (0, (3, 2)), 2.5)
            ax.text(
                column + 0.5,
                -0.02,
                f"{column + 1} {'✓' if right else '✗'}",
                ha="center",
                va="bottom",
                fontsize=8,
            )
            if told is not None and not np.isnan(told[column]):
                ax.text(
                    column + 0.5,
                    1.03,
                    f"P(Yes) {told[column]:.2f}",
                    ha="center",
                    va="top",
                    fontsize=7.5,
                )
            if row.get("anchor") == column:
                _frame(ax, column, BLACK, "-", 2.5, margin=0.045)
                ax.text(
                    column + 0.5, 1.13, "anchor", ha="center", va="top", fontsize=8, weight="bold"
                )
        ax.set_title(row["title"], fontsize=9, loc="left", pad=12, color=GREY, parse_math=False)
        _limits(ax, wide, below=0.22)
    return figure


def fitted(path, size=CELL, enlarge: bool = True) -> Image.Image:
    """The picture at `path` as large as fits into `size`, on white; a grey area where it can't be read.

    enlarge=False: no larger than it is, and without the white around it.
    """
    try:
        with Image.open(path) as picture:
            scaled = picture.convert("RGB")
    except Exception:  # a figure of many pictures should not fail for one that is damaged
        return Image.new("RGB", size, "#C8C8C8")
    ratio = min(size[0] / scaled.width, size[1] / scaled.height, np.inf if enlarge else 1)
    width, height = max(1, round(scaled.width * ratio)), max(1, round(scaled.height * ratio))
    scaled = scaled.resize((width, height), Image.Resampling.LANCZOS)
    if not enlarge:
        return scaled
    canvas = Image.new("RGB", size, "white")
    canvas.paste(scaled, ((size[0] - width) // 2, (size[1] - height) // 2))
    return canvas


def _place(ax, path, column: int) -> None:
    ax.imshow(
        np.asarray(fitted(path)),
        extent=(column + 0.04, column + 0.96, 1, 0),
        aspect="auto",
        zorder=1,
    )


def _frame(ax, column: int, color, style, width: float, margin: float = 0.0) -> None:
    corner, size = (column + 0.04 - margin / 2, -margin / 4), (0.92 + margin, 1 + margin / 2)
    ax.add_patch(
        Rectangle(corner, *size, fill=False, ec=color, ls=style, lw=width, clip_on=False, zorder=2)
    )


def _limits(ax, columns: int, below: float = 0.0) -> None:
    ax.set(xlim=(0, columns), ylim=(1 + below, -0.02))
