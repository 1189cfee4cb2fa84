"""A journal: results go to a file as they come, so that a killed run can go on where it stopped."""

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from icl_lib.results.progress import progress


class Journal:
    """Results by key, kept in a file of JSON lines, or in memory only if `file` is None.

    A key is a tuple of numbers and strings; a result is anything that JSON can hold. A last line
    that a kill cut short is removed, and its result is made again.

    Raises:
        ValueError: another line of the file is damaged.
    """

    def __init__(self, file: str | Path | None):
        self.file = None if file is None else Path(file)
        self.results: dict[tuple, Any] = {}
        if self.file is not None and self.file.is_file():
            self._read(self.file)

    def complete(
        self,
        inputs: dict[tuple, Any],
        make: Callable[[list], Iterable],
        portion: int = 512,
        desc: str = "",
    ) -> list:
        """Returns the result of every key in `inputs`, and makes those that the journal lacks.

        Args:
            inputs: {key: input}.
            make: turns a list of inputs into as many results.
            portion: inputs in one call of `make`. Their results are on disk before the next call,
                so a killed run loses one portion at most.
            desc: the label of the progress bar.
        """
        missing = [key for key in inputs if key not in self.results]
        for start in progress(range(0, len(missing), portion), desc):
            keys = missing[start : start + portion]
            results = make([inputs[key] for key in keys])
            self._add(dict(zip(keys, results, strict=True)))
        return [self.results[key] for key in inputs]

    def _add(self, results: dict[tuple, Any]) -> None:
        if self.file is not None:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            rows = [{"key": key, "result": result} for key, result in results.items()]
            try:
                with self.file.open("a", encoding="utf-8") as stream:
                    stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
                    stream.flush()
                    os.fsync(stream.fileno())
            except OSError as error:
                message = f"{error.strerror}; all earlier results are kept, run again to go on"
                raise OSError(error.errno, message, str(self.file)) from error
        self.results |= results

    def _read(self, file: Path) -> None:
        content = file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        os.truncate(file, len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                row = json.loads(line)
                self.results[tuple(row["key"])] = row["result"]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{file}, line {number} is damaged ({error!r}). "
                    "Remove the line, or the file, and run again."
                ) from error
