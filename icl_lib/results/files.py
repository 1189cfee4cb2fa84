"""Files that are written whole or not at all, their hashes, and locks between processes."""

import errno
import fcntl
import hashlib
import json
import math
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TEMP = ".tmp-"  # how the name of an unfinished file begins
MIB = 2**20
WHOLE = 256 * MIB  # larger files are not hashed whole
MODEL_FILES = {".json", ".safetensors", ".bin", ".jinja", ".txt", ".model"}


def file_hash(file: str | Path) -> str:
    """Returns 12 hex digits that stand for a file's name, size and content.

    Files above 256 MiB are not read whole; see `folder_hash`.
    """
    return _files_hash([Path(file)])


def folder_hash(folder: str | Path) -> str:
    """Returns 12 hex digits that stand for the files of a model, or of an adapter, in a folder.

    Files up to 256 MiB are read whole. Of larger ones only the size and the first and last MiB
    count, because reading 15 GB would cost a minute at every start.
    """
    folder = Path(folder)
    files = sorted(
        file
        for file in folder.iterdir()
        if file.suffix in MODEL_FILES and file.stem != "provenance"
    )
    if (folder / "adapter_config.json").is_file():
        files = [file for file in files if file.name.startswith("adapter_")]
    return _files_hash(files)


def _files_hash(files: list[Path]) -> str:
    hashed = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        hashed.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as stream:
            if size > WHOLE:
                hashed.update(stream.read(MIB))
                stream.seek(-MIB, os.SEEK_END)
            hashed.update(stream.read())
    return hashed.hexdigest()[:12]


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Gives a temporary path beside `path`; when the block ends well, the new file replaces `path`.

    The temporary path has the same suffix. If the block fails, the temporary file is removed and
    the old file stays as it was.

    Raises:
        OSError: the disk is full (ENOSPC); the message names the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f"{TEMP}{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temp
        with open(temp, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temp, path)
    except BaseException as error:
        temp.unlink(missing_ok=True)
        # safetensors and torch hide the system's error behind their own, so the message counts too.
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
            free = shutil.disk_usage(path.parent).free // MIB
            kept = "the old file is intact" if path.exists() else "nothing was written"
            message = f"the disk is full ({free} MiB left): {kept}; make room and run again"
            raise OSError(errno.ENOSPC, message, str(path)) from error
        raise


def atomic_write(path: str | Path, content: bytes | str) -> Path:
    """Writes `content` (a str as UTF-8) to `path`, whole or not at all."""
    with atomic_path(path) as temp:
        temp.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def write_json(path: str | Path, value: Any) -> Path:
    """Writes `value` as indented JSON, whole or not at all; see `plain` for what JSON lacks."""
    text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    return atomic_write(path, text + "\n")


def read_json(path: str | Path) -> Any:
    """Reads a JSON file; if it is not JSON, raises a ValueError that names the file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is not readable as JSON ({error}). Remove it and run again."
        ) from None


def plain(value: Any) -> Any:
    """Turns a value into what JSON can hold.

    NumPy and torch values become numbers and lists, tuples become lists, keys and paths become
    strings, and NaN and infinities become None.
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # NumPy and torch
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value


@contextmanager
def locked(path: str | Path, waiting: str = "") -> Iterator[None]:
    """Holds <path>.lock so that other processes wait; the system releases it if this process dies.

    `waiting` is printed to stderr if another process holds the lock.
    """
    lock = Path(f"{path}.lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                print(waiting, file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
