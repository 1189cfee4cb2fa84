"""An append-only file of records, read back after a kill."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

PORTION = 512  # records between two appends; a killed run loses at most these


def _step(file: Path, given: dict, make: Callable[[list, list], Iterable]) -> dict:
    """{key: result} for all keys of `given` {key: input}; appended to `file` by portions."""
    done = _read_lines(file, given)
    todo = [key for key in given if key not in done]
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as stream:
        for start in range(0, len(todo), PORTION):
            keys = todo[start : start + PORTION]
            for key, result in zip(keys, make(keys, [given[key] for key in keys])):
                done[key] = result
                line = {"key": key, "given": _told(given[key]), "result": result}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    return {key: done[key] for key in given}


def _read_lines(file: Path, given: dict) -> dict:
    """What an earlier run finished; a last line torn by a kill is cut off."""
    if not file.is_file():
        return {}
    content = file.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        os.truncate(file, len(whole))
    done = {}
    for number, line in enumerate(whole.decode().split("\n")[:-1], 1):
        try:
            entry = json.loads(line)
            key, told, result = entry["key"], entry["given"], entry["result"]
        except (ValueError, KeyError, TypeError) as problem:
            raise ValueError(
                f"{file}, line {number} is damaged ({problem}). Remove the line, or the file, and run again."
            ) from problem
        if key in given and _told(given[key]) != told:
            raise ValueError(
                f"{file} was made from other captions (line {number}: {told!r}, now "
                f"{_told(given[key])!r}). Give RDA a folder of its own for each set of captions."
            )
        done[key] = result
    return done


def _told(value) -> str:
    # A data set may be moved between two runs: of a picture's path, only the name must stay.
    return os.path.basename(value) if isinstance(value, str) and os.path.isabs(value) else value
