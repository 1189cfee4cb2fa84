"""What a reader finds wrong with a data set, and what it reads by its plain meaning."""

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

NAMED_AT_MOST = 50  # single records named in attrs["problems"]; every problem is counted
FOLDERS_AT_MOST = 20  # missing folders named; the records of further ones are counted together

# Why a record is skipped; the keys of attrs["report"].
KINDS = [
    "missing_folder",
    "wrong_type",
    "missing_key",
    "two_meanings",
    "unknown_split",
    "unsafe_path",
    "missing_picture",
    "unreadable_picture",
    "no_captions",
    "empty_caption",
    "duplicate_picture",
    "id_in_two_splits",
]


class Fault(ValueError):
    """Why a record, a picture or a caption cannot be used.

    Args:
        kind: One of `KINDS`.
        what: What is wrong, or the name of a missing folder.
        split: The split of a record whose folder is missing.
    """

    def __init__(self, kind: str, what: str, split: str = ""):
        super().__init__(what)
        self.kind, self.split = kind, split


class Problems:
    """Counts the records of `file` that are skipped, and values read by their plain meaning."""

    def __init__(self, file: str | os.PathLike):
        self.file = file
        self.records = Counter()  # met, by split
        self.counts: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.named: list[str] = []
        self.missing_folders: dict[str, Counter] = {}  # folder -> split -> records
        self.read_as: dict[str, dict] = {}

    def add(self, fault: Fault, where: str) -> None:
        """Counts what is wrong with `where`, such as "record 17"."""
        self.counts[fault.kind] += 1
        if fault.kind == "missing_folder":
            self.missing_folders.setdefault(str(fault), Counter())[fault.split] += 1
        elif len(self.named) < NAMED_AT_MOST:
            self.named.append(f"{self.file}, {where}: {fault}")

    @contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Counts a `Fault` that is raised inside the block."""
        try:
            yield
        except Fault as fault:
            self.add(fault, where)

    def note(self, field: str, where: str, written, read) -> None:
        """Counts a value that is not written as it is read, such as an id "12", read as 12."""
        if type(written) is not type(read) or written != read:
            first = f"{repr(written)[:60]} read as {repr(read)[:60]}, first in {where}"
            self.read_as.setdefault(field, {"count": 0, "first": first})["count"] += 1

    def folders(self) -> dict[str, Counter]:
        """Missing folder -> split -> number of records; folders after the first 20 are one."""
        names = list(self.missing_folders)
        others = names[FOLDERS_AT_MOST:]
        shown = {name: self.missing_folders[name] for name in names[:FOLDERS_AT_MOST]}
        if others:
            together = sum((self.missing_folders[name] for name in others), Counter())
            shown[f"({len(others)} others)"] = together
        return shown

    def messages(self) -> list[str]:
        """One line per missing folder, then one line for each of the first single records."""
        folders = [
            f"{self.file}: missing folder {folder}: {of.total()} records, of {', '.join(of)}"
            for folder, of in self.folders().items()
        ]
        return folders + self.named

    def summary(self) -> str:
        """The number of problems of each kind; all missing folders, or else the first record."""
        kinds = ", ".join(f"{n} {kind}" for kind, n in self.counts.items() if n)
        first = "\n".join(self.messages()[: max(1, len(self.folders()))])
        total = sum(self.counts.values())
        return f"{total} problems ({kinds}). First: {first}" if total else "no problem"
