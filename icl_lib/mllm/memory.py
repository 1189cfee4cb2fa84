"""Keeps an MLLM's answers on disk, so that no question is asked twice.

Several processes may use one file at once, and a kill at any moment leaves it whole.
"""

import copy
import errno
import hashlib
import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

import numpy as np

from icl_lib.data.pictures import Picture, picture_hash, picture_id
from icl_lib.mllm.base import MLLM, check_pairs
from icl_lib.mllm.calibration import Calibration
from icl_lib.results import progress

COMMIT_SECONDS = 2.0  # time between two commits: about what a killed run loses
COMMIT_AT_MOST = 2000  # answers between two commits


class Memory(MLLM):
    """Wraps an MLLM and asks it only questions that it has not answered before.

    The key of an answer is the hash of who answers (model, weights, adapter, precision), the verb,
    the finished prompt, the length limit of written answers, and the picture's CONTENT. A moved or
    renamed data set therefore finds its answers again, and other weights or wordings never find
    them.

    Attributes:
        inner: the wrapped MLLM.
        file: the SQLite file with the answers.
        hits: answers found since this object was made. Equal questions in one call are asked once.
        misses: answers that had to be asked for.
        calibration: applied to P(Yes) after the lookup; what is kept is P(Yes) as it was said.
    """

    def __init__(self, inner: MLLM, file: str | Path, calibration: Calibration = Calibration()):  # noqa: B008
        super().__init__(
            name=inner.name,
            writer_name=inner.writer_name,
            prompts=inner.prompts,
            batch_size=inner.batch_size,
            max_new_tokens=inner.max_new_tokens,
        )
        self.inner = inner
        self.file = Path(file)
        self.calibration = calibration
        self.parse_report = inner.parse_report
        self.hits = 0
        self.misses = 0
        self.keeps = True
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, answer) WITHOUT ROWID"
            )

    def unkept(self) -> "Memory":
        """The same MLLM with the same calibration, which neither looks up nor keeps an answer.

        It is for questions that hold what a person has typed.
        """
        other = copy.copy(self)
        other.keeps = False
        return other

    def p_yes(self, images: Sequence[Picture], texts: Sequence[str]) -> np.ndarray:
        """P(Yes) [N] of Eq. 2, remembered and calibrated."""
        check_pairs(images, texts)
        pictures = _hashes(images)
        keys = [
            _key(self.name, "p_yes", self.prompts.ask_match(text), picture)
            for text, picture in zip(texts, pictures, strict=True)
        ]

        def ask(rows: list[int]) -> list[float]:
            p = self.inner.p_yes([images[row] for row in rows], [texts[row] for row in rows])
            return p.tolist()

        # In the order of pictures, so that a commit rarely separates the texts of one picture.
        p = np.array(self._answers(keys, ask, pictures, "P(Yes)"), np.float32)
        return self.calibration(p)

    def write(self, prompts: Sequence[str], images: Sequence[Picture] | None = None) -> list[str]:
        """Written answers [N], remembered."""
        if images is not None:
            check_pairs(images, prompts)
        pictures = [""] * len(prompts) if images is None else _hashes(images)
        keys = [
            _key(self.writer_name, f"write {self.max_new_tokens}", prompt, picture)
            for prompt, picture in zip(prompts, pictures, strict=True)
        ]

        def ask(rows: list[int]) -> list[str]:
            shown = None if images is None else [images[row] for row in rows]
            return self.inner.write([prompts[row] for row in rows], shown)

        # In the order of lengths, so that a batch needs little padding.
        return self._answers(keys, ask, list(map(len, prompts)), "writing")

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
        files = self.file.parent.glob(self.file.name + "*")
        size = sum(path.stat().st_size for path in files) / 2**20
        return f"{len(self):,} answers kept ({size:.1f} MiB); this session: {share}"

    def _answers(self, keys: list[bytes], ask: Callable, order: Sequence, desc: str) -> list:
        """The answer of each key; unknown ones are asked in `order` and committed in portions."""
        known = self._find(set(keys)) if self.keeps else {}
        unknown: dict[bytes, int] = {}  # the first row of each
        for row, key in enumerate(keys):
            if key not in known:
                unknown.setdefault(key, row)
        self.misses += len(unknown)
        self.hits += len(keys) - len(unknown)
        todo = iter(progress(sorted(unknown.values(), key=lambda row: order[row]), desc))
        size = 4 * self.batch_size
        while rows := list(islice(todo, max(self.batch_size, min(size, COMMIT_AT_MOST)))):
            start = time.perf_counter()
            fresh = {keys[row]: answer for row, answer in zip(rows, ask(rows), strict=True)}
            if self.keeps:
                self._keep(fresh)
            known.update(fresh)
            pace = COMMIT_SECONDS / max(time.perf_counter() - start, 1e-3)
            size = int(len(rows) * min(2.0, max(0.5, pace)))
        return [known[key] for key in keys]

    def _keep(self, fresh: dict[bytes, object]) -> None:
        with self._open() as database:
            database.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)", fresh.items())

    def _find(self, keys: Collection[bytes]) -> dict[bytes, object]:
        found: dict[bytes, object] = {}
        remaining = iter(keys)
        with self._open() as database:
            while some := list(islice(remaining, 500)):
                marks = ",".join("?" * len(some))
                asked = f"SELECT key, answer FROM answers WHERE key IN ({marks})"
                found.update(database.execute(asked, some))
        return found

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction: committed if the block ends well, else rolled back."""
        try:
            with closing(sqlite3.connect(self.file, timeout=60)) as database:
                # A write-ahead log: readers never wait, and a kill leaves the last commit whole.
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=NORMAL")
                with database:
                    yield database
        except sqlite3.DatabaseError as problem:
            code = getattr(problem, "sqlite_errorcode", None)
            if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
                raise ValueError(
                    f"The file of remembered answers {self.file} is damaged ({problem}). Remove it "
                    "and the files beside it whose names begin the same; the answers are asked "
                    "again."
                ) from problem
            if code == sqlite3.SQLITE_FULL:
                raise OSError(
                    errno.ENOSPC,
                    f"The disk is full: no answer can be added to {self.file}. Make room and run "
                    "again; nothing that was kept is lost",
                ) from problem
            raise


def _hashes(images: Sequence[Picture]) -> list[str]:
    """The content hash of each picture; every distinct one is read once."""
    distinct = {picture_id(image): image for image in images}
    hashes = {key: picture_hash(image) for key, image in distinct.items()}
    return [hashes[picture_id(image)] for image in images]


def _key(who: str, verb: str, prompt: str, picture: str) -> bytes:
    asked = json.dumps([who, verb, prompt, picture])
    return hashlib.blake2b(asked.encode(), digest_size=20).digest()
