"""The results on disk: each is made once, written whole or not at all, and says what made it."""

from icl_lib.results.files import (
    atomic_path,
    atomic_write,
    file_hash,
    folder_hash,
    locked,
    read_json,
    write_json,
)
from icl_lib.results.journal import Journal
from icl_lib.results.made import is_made, made, made_folder
from icl_lib.results.progress import progress, watched
from icl_lib.results.summary import (
    made_by,
    read_summary,
    record_seconds,
    update_summary,
    versions,
)

__all__ = [
    "Journal",
    "atomic_path",
    "atomic_write",
    "file_hash",
    "folder_hash",
    "is_made",
    "locked",
    "made",
    "made_by",
    "made_folder",
    "progress",
    "read_json",
    "read_summary",
    "record_seconds",
    "update_summary",
    "versions",
    "watched",
    "write_json",
]
