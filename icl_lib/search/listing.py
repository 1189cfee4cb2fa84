"""Which pictures there are to search in: those of a folder, or of a table such as a gallery's."""

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from icl_lib.data.folder import PICTURES

MOST_GROUPS = 50  # more subfolders than these are no filter: they are people or days
_CAMERA = re.compile(r"_c(\d+)(?:s\d+)?_")  # 0026_c14_0000.jpg, 0002_c1s1_000451.jpg

Row = tuple[str, int, int]  # name, size in bytes, time of the last change in nanoseconds


@dataclass
class Listing:
    """The pictures of a source, none of which has been opened.

    Attributes:
        title: what people call the source.
        root: the folder that names are relative to.
        rows: name, size and time of the last change of each picture; a picture with the same row
            is taken for the same picture.
        skipped: a message about each file that is left out.
    """

    title: str
    root: Path
    rows: list[Row] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    @cached_property
    def inside(self) -> str:
        """What the full path of everything in the folder begins with."""
        return str(self.root).rstrip(os.sep) + os.sep

    def path(self, row: Row) -> str:
        """The full path of a picture."""
        return self.inside + row[0]


def listed(source: str | os.PathLike | pd.DataFrame, title: str = "") -> Listing:
    """The pictures of a folder, at any depth and ordered by name, or of a table, in its own order.

    Hidden files and folders are left out. A symbolic link to a folder is not followed; one to a
    picture counts if that picture lies in the folder and is not there under its own name.

    Args:
        source: a folder, or a table with a column `path`, such as `icl_lib.data.images` gives.
        title: what people call the source; by default the folder's name.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there is no picture in it.
    """
    if isinstance(source, pd.DataFrame):
        listing = _of_table(list(dict.fromkeys(source["path"])), title)
    else:
        listing = _of_folder(Path(os.path.abspath(os.path.expanduser(source))), title)
    if not listing.rows:
        kinds = ", ".join(sorted(PICTURES))
        first = f" Left out: {listing.skipped[0]}." if listing.skipped else ""
        raise ValueError(f"There is no picture ({kinds}) in {listing.root}.{first}")
    return listing


def groups_of(names: list[str]) -> list[str]:
    """What pictures can be filtered by: the camera in a file's name, or else its subfolder.

    The camera is a part such as _c14_ of the name. The subfolder is the first one below the root;
    if there are more than `MOST_GROUPS` of them, they are left out. "" where there is neither.
    """
    cameras = [_CAMERA.search(name.rpartition("/")[2]) for name in names]
    folders = [name.partition("/")[0] if "/" in name else "" for name in names]
    few = len(set(folders)) <= MOST_GROUPS
    return [
        f"camera {int(camera[1])}" if camera else folder if few else ""
        for camera, folder in zip(cameras, folders, strict=True)
    ]


def _of_folder(folder: Path, title: str) -> Listing:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"No folder {folder}. Give a folder of pictures ({', '.join(sorted(PICTURES))})."
        )
    listing = Listing(title or folder.name, Path(os.path.realpath(folder)))
    links: list[str] = []

    def unopened(error: OSError) -> None:
        listing.skipped.append(f"{error.filename}: the folder cannot be opened ({error.strerror})")

    for inside, folders, files in os.walk(listing.root, onerror=unopened):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for file in files:
            if file.startswith(".") or os.path.splitext(file)[1].lower() not in PICTURES:
                continue
            path = f"{inside}{os.sep}{file}"
            if not _add(listing, path, os.lstat):
                links.append(path)
    real = {listing.path(row) for row in listing.rows} if links else set()
    for path in sorted(links):
        target = os.path.realpath(path)
        if not target.startswith(listing.inside):
            name = os.path.relpath(path, listing.root)
            listing.skipped.append(f"{name}: a symbolic link that leads out of the folder")
        elif target not in real:
            real.add(target)
            _add(listing, path, os.stat)
    listing.rows.sort()
    return listing


def _of_table(paths: list[str], title: str) -> Listing:
    paths = [os.path.abspath(path) for path in paths]
    root = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else os.getcwd()
    listing = Listing(title or os.path.basename(root), Path(root))
    for path in paths:
        _add(listing, path, os.stat)
    return listing


def _add(listing: Listing, path: str, look: Callable[[str], os.stat_result]) -> bool:
    """Adds a file, unless it is no regular file or its name is no text; False for a link."""
    name = path.removeprefix(listing.inside).replace(os.sep, "/")
    try:
        name.encode()
        found = look(path)
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode(errors="backslashreplace")
        listing.skipped.append(f"{shown}: the name is not UTF-8, rename the file")
        return True
    except OSError as error:
        listing.skipped.append(f"{name}: {error.strerror}")
        return True
    if stat.S_ISREG(found.st_mode):
        listing.rows.append((name, found.st_size, found.st_mtime_ns))
    return not stat.S_ISLNK(found.st_mode)
