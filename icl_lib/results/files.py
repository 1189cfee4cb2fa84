"""Files written whole or not at all, their hashes, and locks between processes."""

import errno
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TEMP = ".tmp-"


def file_hash(file: str | Path) -> str:
    """12 hex digits of a file's name, size and content (see `folder_hash` for large ones)."""
    return _files_hash([Path(file)])


def folder_hash(folder: str | Path) -> str:
    """12 hex digits of a model's or adapter's own files, whole ones up to 256 MiB.

    Of larger ones the size and the first and last MiB count: reading 15 GB at every start would cost a
    minute.
    """
    known = {".json", ".safetensors", ".bin", ".jinja", ".txt", ".model"}
    files = sorted(
        path
        for path in Path(folder).iterdir()
        if path.suffix in known and path.stem != "provenance"
    )
    if (Path(folder) / "adapter_config.json").is_file():
        files = [path for path in files if path.name.startswith("adapter_")]
    return _files_hash(files)


def _files_hash(files: list[Path], whole: int = 256 * 2**20) -> str:
    hashed = hashlib.sha256()
    for file in files:
        size = file.stat().st_size
        hashed.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as stream:
            if size <= whole:
                for block in iter(lambda: stream.read(2**20), b""):
                    hashed.update(block)
            else:
                hashed.update(stream.read(2**20))
                stream.seek(-(2**20), os.SEEK_END)
                hashed.update(stream.read(2**20))
    return hashed.hexdigest()[:12]


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A temporary path in the folder of `path` (same suffix) that takes its place when the block ends well.

    On any error the temporary file is removed and the old file stays. A full disk raises OSError (ENOSPC)
    naming the file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f"{_TEMP}{os.getpid()}-{secrets.token_hex(4)}-{path.name}")
    try:
        yield temp
        with open(temp, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(temp, path)
    except BaseException as error:
        temp.unlink(missing_ok=True)
        # safetensors and torch wrap the system's error in their own, so its words count too.
        if getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error):
            free = shutil.disk_usage(path.parent).free // 2**20
            kept = "the old file is intact" if path.exists() else "nothing was written"
            told = f"the disk is full ({free} MiB left): {kept}; make room and run again"
            raise OSError(errno.ENOSPC, told, str(path)) from error
        raise


def atomic_write(path: str | Path, content: bytes | str) -> Path:
    """Writes `content` (str as UTF-8) to `path` whole or not at all."""
    with atomic_path(path) as temp:
        temp.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def write_json(path: str | Path, value: Any) -> Path:
    """Writes `value` as indented JSON; numpy becomes numbers and lists, NaN becomes null."""
    return atomic_write(
        path, json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    )


def read_json(path: str | Path) -> Any:
    """What `path` holds. Raises ValueError naming the file if it is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(
            f"{path} is not readable as JSON ({error}). Remove it and run again."
        ) from None


@contextmanager
def locked(path: str | Path, waiting: str = "") -> Iterator[None]:
    """Holds <path>.lock against other processes; the system frees it when the holder dies."""
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


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):  # numpy and torch
        return _plain(value.tolist())
    if isinstance(value, float) and value - value != 0:  # NaN and infinities have no JSON
        return None
    return value
