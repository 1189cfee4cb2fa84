"""Hashes of settings, and the nearest valid name for an unknown one."""

import difflib
import hashlib
import json
from collections.abc import Iterable
from typing import Any


def digest(key: Any) -> str:
    """The first 12 hex digits of the SHA-256 of `key` as canonical JSON."""
    text = json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name most similar to `name`, ignoring case; None if no name is similar."""
    lower = {str(v).lower(): str(v) for v in valid}
    found = difflib.get_close_matches(str(name).lower(), list(lower), n=1, cutoff=0.5)
    return lower[found[0]] if found else None


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """The end of an error message: ": did you mean 'rstp'?", or "" if no valid name is similar."""
    close = nearest(name, valid)
    return f": did you mean {close!r}?" if close else ""


def known(what: str, name: str, valid: Iterable[str]) -> str:
    """`name` if it is valid. Raises ValueError with the nearest valid name, and all valid names."""
    if name not in valid:
        hint = did_you_mean(name, valid) or "."
        raise ValueError(f"unknown {what} {name!r}{hint} Valid: {', '.join(valid)}.")
    return name
