"""Where results lie: made once, written whole or not at all, with their provenance."""

from icl_lib.results.files import (
    atomic_path,
    atomic_write,
    file_hash,
    folder_hash,
    locked,
    read_json,
    write_json,
)
from icl_lib.results.made import is_made, made, made_folder
from icl_lib.results.progress import progress, watched
from icl_lib.results.summary import (
    made_by,
    read_summary,
    record_seconds,
    summary_path,
    update_summary,
    versions,
)

__all__ = [
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
    "summary_path",
    "update_summary",
    "versions",
    "watched",
    "write_json",
]
