"""Yes/No answers on disk, one JSON line each, appended batch by batch: a kill loses one batch at most."""

import json
import os
from pathlib import Path

from icl_lib.params.names import digest


class Answers:
    """(query number, picture) → (P(Yes), seconds); in memory only when `folder` is None.

    The file is named by the MLLM and the queries' texts, so answers of another model or other queries
    stay apart.
    """

    def __init__(self, folder, mllm_name: str, queries):
        self.known: dict[tuple[int, str], tuple[float, float]] = {}
        self.path = None
        if folder is None:
            return
        self.path = Path(folder) / f"answers-{digest([mllm_name, list(map(str, queries))])}.jsonl"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for line in self.path.read_bytes().split(b"\n") if self.path.exists() else ():
            try:
                row = json.loads(line)
                self.known[row["query"], row["image"]] = (row["p_yes"], row["seconds"])
            except ValueError:  # the line that a kill cut off: its question is asked again
                continue

    def __contains__(self, key) -> bool:
        return self._key(key) in self.known

    def __getitem__(self, key) -> tuple[float, float]:
        return self.known[self._key(key)]

    def add(self, rows) -> None:
        """Keeps (query, picture, p_yes, seconds) rows; on disk before it returns."""
        fresh = {self._key(row): (float(row[2]), float(row[3])) for row in rows}
        if self.path is not None:
            lines = [
                {"query": query, "image": image, "p_yes": p, "seconds": round(seconds, 6)}
                for (query, image), (p, seconds) in fresh.items()
            ]
            self._append("".join(json.dumps(line) + "\n" for line in lines).encode())
        self.known |= fresh

    def _append(self, content: bytes) -> None:
        try:
            with open(self.path, "ab+") as file:
                # A line that was cut off must not swallow the next one.
                if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                    content = b"\n" + content
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            told = f"{error.strerror}; all earlier answers are kept, run again to go on"
            raise OSError(error.errno, told, str(self.path)) from error

    @staticmethod
    def _key(row) -> tuple[int, str]:
        return int(row[0]), str(row[1])
