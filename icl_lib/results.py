"""Where results lie: made once by the hash of their causes, written atomically, with their provenance."""

import datetime
import errno
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from icl_lib.params import Params, digest

PACKAGES = ["torch", "torchvision", "open_clip_torch", "transformers", "peft", "faiss-cpu", "numpy", "pandas"]
PROVENANCE = "provenance.json"
_TEMP = ".tmp-"


def progress(iterable: Iterable, desc: str, total: int | None = None) -> Iterable:
    """`iterable` with a progress bar in JupyterLab and terminals, silent in logs and executed notebooks."""
    if watched():
        from tqdm.auto import tqdm

        return tqdm(iterable, desc=desc, total=total, leave=False)
    from tqdm import tqdm

    return tqdm(iterable, desc=desc, total=total, leave=False, disable=None, dynamic_ncols=True)


def watched() -> bool:
    """Whether this runs in a notebook that a person has opened."""
    # A bar in an executed notebook would be committed with it and differ in every run. Jupyter's server sets
    # this variable for the kernels that a person opened; papermill and nbval do not.
    return bool(os.environ.get("JPY_SESSION_NAME")) and "ipykernel" in sys.modules


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
        path for path in Path(folder).iterdir() if path.suffix in known and path.stem != "provenance"
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
    return atomic_write(path, json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """What `path` holds. Raises ValueError naming the file if it is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not readable as JSON ({error}). Remove it and run again.") from None


def made_folder(params: Params, name: str, key: dict) -> Path:
    """<cache_dir>/<name>-<12 hex of key>: where `made` puts it, whether or not it is there yet."""
    return params.cache_dir / f"{name}-{digest(_plain(key))}"


def is_made(params: Params, name: str, key: dict) -> bool:
    """Whether `made` with the same arguments would find the folder finished."""
    return (made_folder(params, name, key) / PROVENANCE).is_file()


def made(params: Params, name: str, key: dict, build: Callable[[Path], Any]) -> Path:
    """The folder that `build` fills, built once for one `key` (JSON-like: all that the content depends on).

    `build(part)` works in <folder>.part, which outlives a killed run, so a resumable build finds its own
    unfinished work there; then the folder takes its final name in one step, with provenance.json inside. A
    second process that wants the same folder waits for the first.
    """
    folder = made_folder(params, name, key)
    if is_made(params, name, key):
        return folder
    with locked(folder, waiting=f"waiting for another run that is making {folder.name}"):
        if is_made(params, name, key):
            return folder
        if folder.exists():
            raise FileNotFoundError(f"{folder} has no {PROVENANCE}: not a finished result. Remove it.")
        part = folder.with_name(folder.name + ".part")
        resumed = part.is_dir() and any(part.iterdir())
        part.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        build(part)
        for stale in part.rglob(f"{_TEMP}*"):  # left by a killed run
            stale.unlink()
        write_json(part / PROVENANCE, {
            "name": name, "key": key, **made_by(params), "versions": versions(),
            "machine": platform.platform(), "resumed": resumed,
            "seconds": round(time.perf_counter() - start, 2)})
        part.rename(folder)
    return folder


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


def summary_path(params: Params) -> Path:
    """results/<profile>/<dataset>/summary.json."""
    return params.results_dir / "summary.json"


def read_summary(params: Params) -> dict:
    """The run's summary; empty if no stage has reported yet."""
    path = summary_path(params)
    return read_json(path) if path.is_file() else {}


def update_summary(params: Params, dotted_key: str, value: Any) -> None:
    """Sets summary.json's `dotted_key` ("thi.final") to `value`, keeping the rest; processes take turns.

    The file's head tells dataset, profile, seed and versions of the latest writer; `made_by` tells, for each
    entry, the seed, the settings' hash and when. Raises ValueError if a part of the key is no section.
    """
    with locked(params.cache_dir / "summary"):
        old = read_summary(params)
        head = {"dataset": params.dataset, "profile": params.profile, "seed": params.seed,
                "versions": versions()}
        entries = {k: v for k, v in old.items() if k not in (*head, "made_by")}
        spot, parts = entries, dotted_key.split(".")
        for part in parts[:-1]:
            spot = spot.setdefault(part, {})
            if not isinstance(spot, dict):
                raise ValueError(f"summary key {dotted_key!r}: {part!r} already holds a value.")
        fresh, mine = _plain(value), made_by(params)
        before = old.get("made_by", {}).get(dotted_key, {})
        if spot.get(parts[-1]) == fresh and {**before, "when": mine["when"]} == mine:
            mine = before  # the same result again: leave its date alone
        spot[parts[-1]] = fresh
        whole = {**head, **entries, "made_by": {**old.get("made_by", {}), dotted_key: mine}}
        if whole != old:
            write_json(summary_path(params), whole)


def record_seconds(params: Params, stage: str, seconds: float) -> None:
    """Notes how long making `stage` took; call it when the stage was made, not when it was found."""
    update_summary(params, f"seconds.{stage}", round(float(seconds), 2))


def made_by(params: Params) -> dict:
    """Profile, data set, seed, hash of all settings, and the time now (UTC)."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {"dataset": params.dataset, "profile": params.profile, "seed": params.seed,
            "params": params.hash(), "when": now}


def versions() -> dict[str, str]:
    """Versions of Python, of this kit and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in ["icl_lib", *PACKAGES]:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


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
