"""What is wrong with a record or a picture, counted and named."""

import os
from pathlib import PurePosixPath, PureWindowsPath

from PIL import Image

NAMED_AT_MOST = 50  # messages kept in attrs["problems"]; all are counted


class Problems:
    """Collects bad records: counted by kind, or fatal at the first one when `strict`."""

    def __init__(self, file, strict: bool, kinds):
        self.file, self.strict = file, strict
        self.counts, self.messages = dict.fromkeys(kinds, 0), []

    def add(self, kind: str, where: str, what: str) -> None:
        """Count one problem, e.g. add("no_captions", "record 17", "…"). Raises ValueError when strict."""
        message = f"{self.file}, {where}: {what}"
        if self.strict:
            raise ValueError(
                f"{message}. Mend or remove it, or read with strict=False to skip and count such records."
            )
        self.counts[kind] += 1
        if len(self.messages) < NAMED_AT_MOST:
            self.messages.append(message)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def summary(self) -> str:
        """One line: how many of which kind, and the first by name."""
        kinds = ", ".join(f"{n} {kind}" for kind, n in self.counts.items() if n)
        return (
            f"{self.total} skipped ({kinds}). First: {self.messages[0]}"
            if self.total
            else "none skipped"
        )


def _usable(texts: list, where: str, problems: Problems) -> list[str]:
    """The captions that are text and not blank; the others are named and counted, each on its own."""
    good = []
    for number, text in enumerate(texts):
        if not isinstance(text, str) or _not_unicode(text):
            problems.add("wrong_type", where, f"caption {number} is no text: {str(text)[:60]!a}")
        elif not text.strip():
            problems.add("empty_caption", where, f"caption {number} is empty")
        else:
            good.append(text)
    return good


def _not_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except (
        UnicodeEncodeError
    ):  # half of a surrogate pair, which JSON can escape but no file or tokeniser can hold
        return True
    return False


# Why a record is skipped; the keys of attrs["report"].
KINDS = [
    "wrong_type",
    "missing_key",
    "unknown_split",
    "unsafe_path",
    "missing_picture",
    "unreadable_picture",
    "no_captions",
    "empty_caption",
    "duplicate_picture",
    "id_in_two_splits",
]


def unsafe_path(name: str) -> str | None:
    """Why `name`, a path from an annotation file, must not be followed; None if it may."""
    if not name or "\0" in name:
        return "is empty or holds a zero byte"
    if (
        PurePosixPath(name).is_absolute()
        or PureWindowsPath(name).drive
        or PureWindowsPath(name).root
    ):
        return "is absolute; paths are relative to the pictures' folder"
    if ".." in PureWindowsPath(name).parts:  # splits at / and \
        return "has '..' in it"
    return None


def inside(path, folder) -> bool:
    """Whether `path`, symbolic links followed, lies in `folder`, symbolic links followed."""
    real, home = os.path.realpath(path), os.path.realpath(folder)
    return real.startswith(home.rstrip(os.sep) + os.sep)


def picture_problem(path, decode: bool = False) -> str | None:
    """Why the picture at `path` can't be read, or None.

    Looks at the header, PNG's checksums and JPEG's end mark; decodes every pixel when `decode` or in doubt.
    """
    try:
        with Image.open(path) as picture:
            kind = picture.format
            picture.verify()
        if decode or not (kind == "PNG" or (kind == "JPEG" and _ends_as_jpeg(path))):
            with Image.open(path) as picture:
                picture.load()
    except Exception as error:  # damaged files make PIL's plugins raise nearly anything
        said = str(error).replace(str(path), "file")[:120]
        return f"not readable as a picture ({type(error).__name__}: {said})"
    return None


def _ends_as_jpeg(path) -> bool:
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - 64))
        return b"\xff\xd9" in file.read()
