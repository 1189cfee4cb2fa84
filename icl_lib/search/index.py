"""A gallery of pictures on disk: encoded once, kept up to date, opened in seconds.

The folder `search-…` of the cache holds, for one source and one backbone,

    pictures.json        name, size and time of every picture, in the order of the vectors
    vectors-….npy        their vectors [G, D]
    index-….faiss        the FAISS index of these vectors, one for each recipe that was asked for
    portion-….npz        vectors that are not yet in the files above, while encoding goes on

`…` stands for a hash of the pictures, so that files of different states never meet. pictures.json
is written after the vectors that it names: a run may be killed at any moment and goes on where it
stopped, with the loss of one portion at most.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.data.pictures import open_picture
from icl_lib.params.names import digest
from icl_lib.results import atomic_path, atomic_write, locked, progress, read_json
from icl_lib.retrieval.gallery import Gallery
from icl_lib.search.listing import Listing, Row, groups_of, listed

PORTION = 2048  # pictures that are encoded together and then kept on disk


@dataclass
class PictureIndex:
    """The pictures that a person searches in.

    Attributes:
        title: the name of the folder, or of the data set.
        paths: the full path of each picture [G]; the place in the list is the gallery column.
        names: the paths relative to the folder, as shown to people [G].
        groups: camera or subfolder of each picture, "" if there is none [G]; see `groups_of`.
        vectors: the unit vectors [G, D] float32, mapped from disk and read-only.
        gallery: the FAISS index of the vectors.
        skipped: a message about each picture that is left out.
        root: the folder that no picture may lead out of; "" for a table.
    """

    title: str
    paths: list[str]
    names: list[str]
    groups: list[str]
    vectors: np.ndarray
    gallery: Gallery
    skipped: list[str]
    root: str = ""

    def __len__(self) -> int:
        return len(self.paths)


def open_index(
    source: str | os.PathLike | pd.DataFrame,
    model,
    model_name: str,
    cache: Path,
    factory: str = "Flat",
    options: str = "",
    title: str = "",
) -> PictureIndex:
    """The index of a folder of pictures, or of a table of them; only new pictures are encoded.

    A picture is new if its name, size and time of the last change are not those of a picture that
    this backbone has encoded. A picture that cannot be read is left out and listed in `skipped`;
    the next call tries it again.

    Args:
        source: a folder, or a table with a column `path`; see `icl_lib.search.listing.listed`.
        model: anything with encode_images(paths), which returns unit vectors [N, D].
        model_name: identity of the model and its weights.
        cache: the folder in which the index is kept, in a subfolder of its own.
        factory: FAISS's recipe of the index, see `Gallery`.
        options: the index's search parameters, see `Gallery`.
        title: what people call the source; by default the folder's name.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no readable picture, or FAISS does not know the recipe.
    """
    listing = listed(source, title)
    kind = "table" if isinstance(source, pd.DataFrame) else "folder"
    folder = Path(cache) / f"search-{digest([kind, str(listing.root), model_name])}"
    with locked(folder, waiting=f"waiting for another run that encodes {listing.title}"):
        rows, contents, unreadable = _updated(folder, listing, model)
        vectors = np.load(folder / f"vectors-{contents}.npy", mmap_mode="r")
        gallery = _gallery(folder, contents, vectors, factory, model_name).set_options(options)
    names = [row[0] for row in rows]
    return PictureIndex(
        listing.title,
        [listing.path(row) for row in rows],
        names,
        groups_of(names),
        vectors,
        gallery,
        listing.skipped + unreadable,
        "" if kind == "table" else str(listing.root),
    )


def _updated(folder: Path, listing: Listing, model) -> tuple[list[Row], str, list[str]]:
    """Encodes what is new; the pictures in the index, their hash, and messages about the others."""
    kept, contents = _read(folder)
    if kept == listing.rows:
        return kept, contents, []
    place: dict[Row, np.ndarray] = {}
    if kept:
        old = np.asarray(np.load(folder / f"vectors-{contents}.npy", mmap_mode="r"))
        place = dict(zip(kept, old, strict=True))
    portions = sorted(folder.glob("portion-*.npz"))
    for portion in portions:
        with np.load(portion) as part:
            place |= zip(map(tuple, json.loads(str(part["rows"]))), part["vectors"], strict=True)
    skipped = []
    new = [row for row in listing.rows if row not in place]
    rest = iter(progress(new, f"encoding {listing.title}"))
    while some := list(islice(rest, PORTION)):
        good, vectors, faults = _encoded(model, listing, some)
        skipped += faults
        if good:
            _write_portion(folder, good, vectors)
            place |= zip(good, vectors, strict=True)
    rows = [row for row in listing.rows if row in place]
    if not rows:
        raise ValueError(f"No picture in {listing.root} can be read. First: {skipped[0]}.")
    if rows != kept:
        contents = digest(rows)
        _write(folder, contents, rows, [place[row] for row in rows])
    _clean(folder, contents)
    return rows, contents, skipped


def _encoded(model, listing: Listing, rows: list[Row]) -> tuple[list[Row], np.ndarray, list[str]]:
    """Vectors of those of `rows` that can be read, and a message about each of the others."""
    faults: list[str] = []
    while rows:
        try:
            vectors = model.encode_images([listing.path(row) for row in rows])
            return rows, np.asarray(vectors, np.float32), faults
        except Exception:  # damaged files make Pillow raise nearly anything
            found = {row: _fault(listing, row) for row in rows}
            if not any(found.values()):
                raise
            rows = [row for row, message in found.items() if not message]
            faults += filter(None, found.values())
    return [], np.empty((0, 0), np.float32), faults


def _fault(listing: Listing, row: Row) -> str:
    """Why a picture cannot be read; "" if it can."""
    path = listing.path(row)
    try:
        open_picture(path)
    except Exception as error:
        said = f"{type(error.__cause__ or error).__name__}: {error.__cause__ or error}"
        return f"{row[0]}: not readable as a picture ({said.replace(path, 'file')[:120]})"
    return ""


def _read(folder: Path) -> tuple[list[Row], str]:
    """The pictures whose vectors are kept, and their hash; nothing if there are none yet."""
    file = folder / "pictures.json"
    told = read_json(file) if file.is_file() else {"contents": "", "pictures": []}
    if not (folder / f"vectors-{told['contents']}.npy").is_file():
        return [], ""
    return [(name, size, time) for name, size, time in told["pictures"]], told["contents"]


def _write_portion(folder: Path, rows: list[Row], vectors: np.ndarray) -> None:
    with atomic_path(folder / f"portion-{digest(rows)}.npz") as temp:
        np.savez(temp, rows=np.array(json.dumps(rows)), vectors=vectors)


def _write(folder: Path, contents: str, rows: list[Row], vectors: list[np.ndarray]) -> None:
    """Writes the vectors, and after them the list of their pictures."""
    with (
        atomic_path(folder / f"vectors-{contents}.npy") as temp,
        open(temp, "wb") as stream,
    ):
        # Not through a memory map: a full disk would kill the process instead of raising an error.
        about = {"descr": "<f4", "fortran_order": False, "shape": (len(rows), len(vectors[0]))}
        np.lib.format.write_array_header_1_0(stream, about)
        for start in range(0, len(vectors), PORTION):
            stream.write(np.stack(vectors[start : start + PORTION]).astype("<f4").tobytes())
    told = {"contents": contents, "pictures": rows}
    atomic_write(folder / "pictures.json", json.dumps(told, ensure_ascii=False))


def _clean(folder: Path, contents: str) -> None:
    """Removes portions, the files of earlier states, and what killed runs left."""
    patterns = ("portion-*", "vectors-*", "index-*", ".tmp-*")
    old: Iterable[Path] = (file for pattern in patterns for file in folder.glob(pattern))
    for file in old:
        if contents not in file.name or file.name.startswith("."):
            file.unlink()


def _gallery(
    folder: Path, contents: str, vectors: np.ndarray, factory: str, model_name: str
) -> Gallery:
    """The saved index of this recipe; it is made if there is none, or if its file is damaged."""
    file = folder / f"index-{digest(factory)}-{contents}.faiss"
    try:
        return Gallery.load(file, vectors, model_name)
    except (FileNotFoundError, ValueError):
        Gallery(vectors, factory, source=model_name).save(file)
    return Gallery.load(file, vectors, model_name)
