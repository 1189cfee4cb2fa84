"""Where results lie: made once by the hash of their causes, written atomically, with their provenance."""

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from icl_lib.params import Params
from icl_lib.params.names import digest
from icl_lib.results.files import _TEMP, _plain, locked, write_json
from icl_lib.results.summary import made_by, versions

PROVENANCE = "provenance.json"


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
            raise FileNotFoundError(
                f"{folder} has no {PROVENANCE}: not a finished result. Remove it."
            )
        part = folder.with_name(folder.name + ".part")
        resumed = part.is_dir() and any(part.iterdir())
        part.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        build(part)
        for stale in part.rglob(f"{_TEMP}*"):  # left by a killed run
            stale.unlink()
        write_json(
            part / PROVENANCE,
            {
                "name": name,
                "key": key,
                **made_by(params),
                "versions": versions(),
                "machine": platform.platform(),
                "resumed": resumed,
                "seconds": round(time.perf_counter() - start, 2),
            },
        )
        part.rename(folder)
    return folder
