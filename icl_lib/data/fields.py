"""The plain meaning of what annotation files say: one normalising step for all readers.

Files that people pass on are untidy: ids as text, "Train" for "train", paths that begin with imgs/.
A value that has exactly one meaning is read, and counted (`Problems.note`) where it is written in
another way than it should be. A value with two meanings, or none, is a `Fault`.
"""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from PIL import Image

from icl_lib.data.problems import Fault, Problems

# Spelling, in lower case -> split.
SPLIT_OF = {
    **dict.fromkeys(["train", "training"], "train"),
    **dict.fromkeys(["val", "valid", "validation", "dev", "development"], "val"),
    **dict.fromkeys(["test", "testing"], "test"),
}
_NO_TEXT = re.compile("[\ud800-\udfff]")  # half of a surrogate pair, which JSON can escape


def match_names(names: Iterable, fields: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Which key of a record, or column of a table, holds each field: field -> name as written.

    Letter case and blanks around a name do not matter. Fields without a name are left out.

    Args:
        names: The record's keys or the table's columns.
        fields: Field -> its spellings in lower case.

    Raises:
        Fault: Two names mean the same field.
    """
    matched = {}
    for field, spellings in fields.items():
        means = [name for name in names if name and name.strip().lower() in spellings]
        if len(means) > 1:
            raise Fault("two_meanings", f"{' and '.join(map(repr, means))} both mean the {field}")
        if means:
            matched[field] = means[0]
    return matched


def wrong_type(field: str, wanted: str, value: Any) -> Fault:
    """The fault of a value that does not have the type of its field."""
    message = f"{field} should be {wanted} but is {str(value)[:60]!r} ({type(value).__name__})"
    return Fault("wrong_type", message)


def plain_split(value: Any) -> str:
    """The split, "train", "val" or "test", that a text such as "Train" or "valid" means."""
    if not isinstance(value, str):
        raise wrong_type("split", "a text", value)
    split = SPLIT_OF.get(value.strip().lower())
    if not split:
        raise Fault("unknown_split", f"split {value[:60]!r} is none of train, val, test")
    return split


def plain_id(value: Any) -> int:
    """The whole number that an id such as 12, "12", "0012" or 12.0 means."""
    number = re.fullmatch(r"([+-]?\d{1,18})(\.0*)?", str(value).strip(), re.ASCII)
    if not number:
        raise wrong_type("id", "a whole number", value)
    return int(number[1])


def plain_captions(value: Any) -> list:
    """The list of captions; a single text becomes a list of one. The items are not checked."""
    if not isinstance(value, list | str):
        raise wrong_type("captions", "a list of texts", value)
    return [value] if isinstance(value, str) else value


def usable_captions(texts: list, where: str, problems: Problems) -> list[str]:
    """The captions that are text and not blank; each of the others is counted as a problem."""
    if not texts:
        raise Fault("no_captions", "no caption is left")
    good = []
    for number, text in enumerate(texts):
        with problems.at(where):
            if not isinstance(text, str) or _NO_TEXT.search(text):
                raise Fault("wrong_type", f"caption {number} is no text: {str(text)[:60]!a}")
            if not text.strip():
                raise Fault("empty_caption", f"caption {number} is empty")
            good.append(text)
    return good


def plain_path(value: Any, folder: Path, field: str, split: str, called: str = "") -> str:
    r"""The picture that a path of an annotation file means, relative to its folder, separated by /.

    Args:
        value: The path, relative to `folder`. It may begin with ./, with imgs/, or with the name of
            `folder`, after that of the folder above it or not, and may have \ in place of /.
        folder: Where the pictures are.
        field: What the path is called in the file, for messages.
        split: The record's split, under which a record of a missing folder is counted.
        called: What `folder` is called in messages.

    Raises:
        Fault: The path is not a text, leads out of the folder, may mean two files, or its file is
            missing.
    """
    if not isinstance(value, str):
        raise wrong_type(field, "a text", value)
    written = f"{field} {value[:200]!r}"
    if reason := _unsafe(value):
        raise Fault("unsafe_path", f"{written} {reason}")
    plain = PurePosixPath(value.strip().replace("\\", "/")).as_posix()
    prefixes = ("imgs/", f"{folder.name}/", f"{folder.parent.name}/{folder.name}/")
    shorter = [plain.removeprefix(prefix) for prefix in prefixes]
    names = dict.fromkeys([PurePosixPath(value).as_posix(), plain, *shorter])
    found = [name for name in names if os.path.isfile(folder / name)]
    name = found[0] if found else min(names, key=len)
    if not inside(folder / name, folder):
        raise Fault("unsafe_path", f"{written} leads out of {folder.name}/")
    if len(found) > 1 and len({os.path.realpath(folder / name) for name in found}) > 1:
        raise Fault("two_meanings", f"{written} may be {' or '.join(found)}: both files exist")
    if not found:
        for parent in reversed(PurePosixPath(name).parents):  # from the top down
            there = os.path.isdir(folder / parent)
            if not there or _is_empty(folder / parent):
                told = f"{PurePosixPath(called) / parent}"[:200] + (" (empty)" if there else "")
                raise Fault("missing_folder", told, split)
        told = f"{PurePosixPath(called) / name}"[:200]
        raise Fault("missing_picture", f"there is no picture {told}")
    return name


def inside(path: str | os.PathLike, folder: str | os.PathLike) -> bool:
    """Whether `path` lies in `folder`, symbolic links of both followed."""
    home = os.path.realpath(folder)
    return os.path.realpath(path).startswith(home.rstrip(os.sep) + os.sep)


def check_picture(path: str | os.PathLike, called: str, decode: bool = False) -> None:
    """Raises a Fault if the picture, which messages name as `called`, cannot be read.

    Looks at the header, a PNG's checksums and a JPEG's end mark. Decodes every pixel with `decode`,
    if the end mark is missing, and of other formats.
    """
    try:
        with Image.open(path) as picture:
            picture.verify()
        ends_well = picture.format == "JPEG" and b"\xff\xd9" in Path(path).read_bytes()[-64:]
        if decode or not (picture.format == "PNG" or ends_well):
            with Image.open(path) as picture:
                picture.load()
    except Exception as error:  # damaged files make Pillow raise nearly anything
        said = f"{type(error).__name__}: {str(error).replace(str(path), 'file')[:120]}"
        message = f"{called}: not readable as a picture ({said})"
        raise Fault("unreadable_picture", message) from None


def _is_empty(folder: Path) -> bool:
    """Whether nothing is in a folder; False too if the folder must not be read."""
    with contextlib.suppress(PermissionError), os.scandir(folder) as entries:
        return next(entries, None) is None
    return False


def _unsafe(name: str) -> str | None:
    """Why a path from an annotation file must not be followed, or None if it may be."""
    if not name or "\0" in name or _NO_TEXT.search(name):
        return "is empty or holds characters that no path can have"
    windows = PureWindowsPath(name)  # splits at / and at \
    if PurePosixPath(name).is_absolute() or windows.drive or windows.root:
        return "is absolute; paths are relative to the pictures' folder"
    return "has '..' in it" if ".." in windows.parts else None
