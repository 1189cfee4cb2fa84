"""A result is made once, in a folder named by the hash of everything that it depends on."""

import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from icl_lib.params import Params
from icl_lib.params.names import digest
from icl_lib.results.files import TEMP, locked, plain, write_json
from icl_lib.results.summary import made_by, versions

PROVENANCE = "provenance.json"  # is written last, so a folder that has it is finished


def made_folder(params: Params, name: str, key: dict) -> Path:
    """Returns <cache_dir>/<name>-<12 hex digits of key>, the folder of `made`, finished or not."""
    return params.cache_dir / f"{name}-{digest(plain(key))}"


def is_made(params: Params, name: str, key: dict) -> bool:
    """Says whether `made` with the same arguments would find a finished folder."""
    return (made_folder(params, name, key) / PROVENANCE).is_file()


def made(params: Params, name: str, key: dict, build: Callable[[Path], Any]) -> Path:
    """Returns the folder that `build` fills; it is built the first time only.

    `build` works in <folder>.part. If the run is killed, that folder stays, and the next `build`
    finds the unfinished work in it. When `build` ends well, provenance.json is added and the
    folder gets its final name in one step. A second process that asks for the same folder waits
    for the first.

    Args:
        params: the settings; they say where the folder lies.
        name: the beginning of the folder's name.
        key: all that the content depends on, as values that JSON can hold.
        build: called with the folder to fill.

    Raises:
        FileNotFoundError: a folder of that name exists, but `made` did not finish it.
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
        for stale in part.rglob(f"{TEMP}*"):  # left by a killed run
            stale.unlink()
        provenance = {
            "name": name,
            "key": key,
            **made_by(params),
            "versions": versions(),
            "machine": platform.platform(),
            "resumed": resumed,
            "seconds": round(time.perf_counter() - start, 2),
        }
        write_json(part / PROVENANCE, provenance)
        part.rename(folder)
    return folder
