"""Hashes of settings, and the nearest valid name for one that is unknown."""

import difflib
import hashlib
import json
from typing import Any


def digest(key: Any) -> str:
    """First 12 hex digits of the SHA-256 of `key` as canonical JSON."""
    text = json.dumps(
        key, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def nearest(name: str, valid) -> str | None:
    """The valid name most like `name`, letter case aside, or None if none is alike."""
    lower = {str(v).lower(): str(v) for v in valid}
    found = difflib.get_close_matches(str(name).lower(), list(lower), n=1, cutoff=0.5)
    return lower[found[0]] if found else None


def _nearest(name: str, valid) -> str:
    close = nearest(name, valid)
    return f": did you mean {close!r}?" if close else ""


def _known(what: str, name: str, valid: list[str]) -> str:
    if name not in valid:
        raise ValueError(
            f"unknown {what} {name!r}{_nearest(name, valid) or '.'} Valid: {', '.join(valid)}."
        )
    return name
