"""summary.json: what a run measured, and what made it."""

import datetime
import importlib.metadata
import platform
from typing import Any

from icl_lib.params import Params
from icl_lib.results.files import locked, plain, read_json, write_json

PACKAGES = [
    "torch",
    "torchvision",
    "open_clip_torch",
    "transformers",
    "peft",
    "faiss-cpu",
    "numpy",
    "pandas",
]


def read_summary(params: Params) -> dict:
    """Reads the run's summary; it is empty as long as no stage has reported."""
    path = params.results_dir / "summary.json"
    return read_json(path) if path.is_file() else {}


def update_summary(params: Params, dotted_key: str, value: Any) -> None:
    """Sets one entry of summary.json, such as "thi.final", and keeps the rest.

    The head of the file holds the data set, profile, seed and versions of the run that wrote last.
    `made_by` holds, for each entry, the seed, the hash of the settings and the time. Processes
    that write at the same time take turns.

    Raises:
        ValueError: a part of the key before its last dot already holds a value.
    """
    with locked(params.cache_dir / "summary"):
        old = read_summary(params)
        head = {
            "dataset": params.dataset,
            "profile": params.profile,
            "seed": params.seed,
            **({"limit_ids": params.data.limit_ids} if params.data.limit_ids else {}),
            "versions": versions(),
        }
        entries = {key: entry for key, entry in old.items() if key not in (*head, "made_by")}
        section = entries
        *parts, name = dotted_key.split(".")
        for part in parts:
            section = section.setdefault(part, {})
            if not isinstance(section, dict):
                raise ValueError(f"summary key {dotted_key!r}: {part!r} already holds a value.")
        maker, makers = made_by(params), dict(old.get("made_by", {}))
        known = {**makers.get(dotted_key, {}), "when": maker["when"]}
        if section.get(name) != plain(value) or known != maker:  # else the entry keeps its date
            makers[dotted_key] = maker
        section[name] = plain(value)
        whole = {**head, **entries, "made_by": makers}
        if whole != old:
            write_json(params.results_dir / "summary.json", whole)


def record_seconds(params: Params, stage: str, seconds: float) -> None:
    """Records how long it took to make a stage; call it only when the stage was made, not found."""
    update_summary(params, f"seconds.{stage}", round(float(seconds), 2))


def made_by(params: Params) -> dict:
    """Returns the data set, profile, seed, hash of all settings, and the time now (UTC)."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "dataset": params.dataset,
        "profile": params.profile,
        "seed": params.seed,
        "params": params.hash(),
        "when": now,
    }


def versions() -> dict[str, str]:
    """Returns the versions of Python, of this kit, and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in ("icl_lib", *PACKAGES):
        installed = next(iter(importlib.metadata.distributions(name=package)), None)
        found[package] = installed.version if installed else "absent"
    return found
