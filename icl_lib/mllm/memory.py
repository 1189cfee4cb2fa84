"""Never ask twice: an MLLM's answers kept on disk, safe under several processes and a kill at any moment."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from icl_lib.data.pictures import Picture, picture_hash, picture_id
from icl_lib.mllm.base import MLLM, check_pairs
from icl_lib.results import progress

COMMIT_SECONDS = 2.0  # a killed run loses about as much
COMMIT_AT_MOST = 2000  # answers between two commits


def _hashes(images: Sequence[Picture]) -> list[str]:
    """Content hash of each picture; every distinct one is read once a call."""
    known: dict[str, str] = {}
    for image in images:
        if (key := picture_id(image)) not in known:
            known[key] = picture_hash(image)
    return [known[picture_id(image)] for image in images]


class Memory(MLLM):
    """Wraps any MLLM; asks it only what was never answered before.

    The key of an answer is the hash of who answers (model, weights, adapter, precision), the verb, the
    finished prompt, the length cap of written answers, and the picture's CONTENT, so a moved or renamed data
    set finds its answers again and changed weights or wording never meet stale ones.

    Attributes:
        inner: the wrapped MLLM.
        hits, misses: answers found and answers asked for since this object was made (equal questions in one
            call are asked once and count as one miss and hits).
    """

    def __init__(self, inner: MLLM, file: str | Path):
        super().__init__()
        self.inner, self.file = inner, Path(file)
        self.name, self.writer_name, self.prompts = inner.name, inner.writer_name, inner.prompts
        self.batch_size, self.max_new_tokens = inner.batch_size, inner.max_new_tokens
        self.parse_report = inner.parse_report
        self.hits = self.misses = 0
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer) WITHOUT ROWID"
            )

    def p_yes(self, images: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """P(Yes) [N] of Eq. 2, remembered; new answers are committed every few seconds."""
        check_pairs(images, texts)
        pictures = _hashes(images)
        keys = [
            self._key(self.name, "p_yes", self.prompts.ask_match(text), picture)
            for text, picture in zip(texts, pictures)
        ]

        def ask(rows: list[int]) -> list[float]:
            return self.inner.p_yes(
                [images[row] for row in rows], [texts[row] for row in rows]
            ).tolist()

        # By picture, so that a commit rarely cuts the texts of one picture apart.
        return np.array(self._answer(keys, ask, lambda row: pictures[row], "P(Yes)"), np.float32)

    def write(self, prompts: Sequence[str], images: Sequence[Picture] | None = None) -> list[str]:
        """Written answers [N], remembered; by length, so that a batch holds prompts alike."""
        if images is not None:
            check_pairs(images, prompts)
        pictures = _hashes(images) if images is not None else [""] * len(prompts)
        verb = f"write {self.max_new_tokens}"
        keys = [
            self._key(self.writer_name, verb, prompt, picture)
            for prompt, picture in zip(prompts, pictures)
        ]

        def ask(rows: list[int]) -> list[str]:
            return self.inner.write(
                [prompts[row] for row in rows],
                None if images is None else [images[row] for row in rows],
            )

        return self._answer(keys, ask, lambda row: len(prompts[row]), "writing")

    def tokens_read(
        self, prompts: Sequence[str], images: Sequence[Picture] | None = None
    ) -> np.ndarray | None:
        """The wrapped MLLM's own count."""
        return self.inner.tokens_read(prompts, images)

    def tokens_written(self, texts: Sequence[str]) -> np.ndarray | None:
        """The wrapped MLLM's own count."""
        return self.inner.tokens_written(texts)

    def __len__(self) -> int:
        with self._open() as database:
            return database.execute("SELECT count(*) FROM answers").fetchone()[0]

    def summary(self) -> str:
        """One line: how many answers are kept, their size, and the share found in this session."""
        asked = self.hits + self.misses
        share = f"{100 * self.hits / asked:.0f}% of {asked:,} found" if asked else "not asked yet"
        size = (
            sum(path.stat().st_size for path in self.file.parent.glob(self.file.name + "*")) / 2**20
        )
        return f"{len(self):,} answers kept ({size:.1f} MiB); this session: {share}"

    def _answer(self, keys: list[bytes], ask: Callable, order: Callable, desc: str) -> list:
        known: dict[bytes, object] = self._find(list(dict.fromkeys(keys)))
        rows_of: dict[bytes, int] = {}
        for row, key in enumerate(keys):
            if key not in known:
                rows_of.setdefault(key, row)
        self.hits += len(keys) - len(rows_of)
        self.misses += len(rows_of)
        todo = sorted(rows_of.values(), key=order)
        for rows in self._portions(todo, desc):
            fresh = {keys[row]: answer for row, answer in zip(rows, ask(rows))}
            known.update(fresh)
            with self._open() as database:
                database.executemany(
                    "INSERT OR IGNORE INTO answers VALUES (?, ?)", list(fresh.items())
                )
        return [known[key] for key in keys]

    def _portions(self, todo: list[int], desc: str) -> Iterator[list[int]]:
        """Portions that take about COMMIT_SECONDS each, whatever the model's speed."""
        size, done = 4 * self.batch_size, 0
        bar = iter(progress(todo, desc, total=len(todo)))
        while done < len(todo):
            size = max(self.batch_size, min(size, COMMIT_AT_MOST))
            portion = todo[done : done + size]
            start = time.perf_counter()
            yield portion
            took = max(time.perf_counter() - start, 1e-3)
            size = int(size * min(2.0, max(0.5, COMMIT_SECONDS / took)))
            done += len(portion)
            for _ in portion:
                next(bar)
        next(bar, None)

    def _find(self, keys: list[bytes]) -> dict[bytes, object]:
        found: dict[bytes, object] = {}
        with self._open() as database:
            for start in range(0, len(keys), 500):
                some = keys[start : start + 500]
                marks = ",".join("?" * len(some))
                found.update(
                    database.execute(
                        f"SELECT key, answer FROM answers WHERE key IN ({marks})", some
                    )
                )
        return found

    @staticmethod
    def _key(who: str, verb: str, prompt: str, picture: str) -> bytes:
        return hashlib.blake2b(
            json.dumps([who, verb, prompt, picture]).encode(), digest_size=20
        ).digest()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction: committed if the block ends well, else rolled back."""
        try:
            # Write-ahead log: readers never wait, and a killed writer leaves the last commit whole.
            database = sqlite3.connect(self.file, timeout=60)
            try:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=NORMAL")
                with database:
                    yield database
            finally:
                database.close()
        except sqlite3.DatabaseError as problem:
            told = str(problem)
            if "not a database" in told or "malformed" in told:
                raise ValueError(
                    f"The answers' file {self.file} is damaged ({told}). Remove it, with the files "
                    "beside it that begin with its name; the answers are asked again."
                ) from problem
            if "full" in told:
                raise OSError(
                    28,
                    f"The disk is full: no answer can be added to {self.file}; make room and run "
                    "again, nothing that was kept is lost",
                ) from problem
            raise
