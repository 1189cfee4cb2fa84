"""summary.json: what a run measured, and what made it."""

import datetime
import importlib.metadata
import platform
from pathlib import Path
from typing import Any

from icl_lib.params import Params
from icl_lib.results.files import _plain, locked, read_json, write_json

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


def summary_path(params: Params) -> Path:
    """results/<profile>/<dataset>/summary.json."""
    return params.results_dir / "summary.json"


def read_summary(params: Params) -> dict:
    """The run's summary; empty if no stage has reported yet."""
    path = summary_path(params)
    return read_json(path) if path.is_file() else {}


def update_summary(params: Params, dotted_key: str, value: Any) -> None:
    """Sets summary.json's `dotted_key` ("thi.final") to `value`, keeping the rest; processes take turns.

    The file's head tells dataset, profile, seed and versions of the latest writer; `made_by` tells, for each
    entry, the seed, the settings' hash and when. Raises ValueError if a part of the key is no section.
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
        entries = {k: v for k, v in old.items() if k not in (*head, "made_by")}
        spot, parts = entries, dotted_key.split(".")
        for part in parts[:-1]:
            spot = spot.setdefault(part, {})
            if not isinstance(spot, dict):
                raise ValueError(f"summary key {dotted_key!r}: {part!r} already holds a value.")
        fresh, mine = _plain(value), made_by(params)
        before = old.get("made_by", {}).get(dotted_key, {})
        if spot.get(parts[-1]) == fresh and {**before, "when": mine["when"]} == mine:
            mine = before  # the same result again: leave its date alone
        spot[parts[-1]] = fresh
        whole = {**head, **entries, "made_by": {**old.get("made_by", {}), dotted_key: mine}}
        if whole != old:
            write_json(summary_path(params), whole)


def record_seconds(params: Params, stage: str, seconds: float) -> None:
    """Notes how long making `stage` took; call it when the stage was made, not when it was found."""
    update_summary(params, f"seconds.{stage}", round(float(seconds), 2))


def made_by(params: Params) -> dict:
    """Profile, data set, seed, hash of all settings, and the time now (UTC)."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return {
        "dataset": params.dataset,
        "profile": params.profile,
        "seed": params.seed,
        "params": params.hash(),
        "when": now,
    }


def versions() -> dict[str, str]:
    """Versions of Python, of this kit and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in ["icl_lib", *PACKAGES]:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    return found
