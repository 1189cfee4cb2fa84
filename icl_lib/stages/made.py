"""How a stage's result is made once, timed and reported."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from icl_lib.params import Params
from icl_lib.results import is_made, made, record_seconds, versions

_REPORTED: set[Path] = set()  # folders for which this process has printed a line


def stage(
    params: Params, name: str, key: dict, build: Callable[[Path], None], variant: str = ""
) -> Path:
    """The folder that `build` fills, made once for each `key`; prints whether it was found or made.

    Args:
        params: the settings of the run.
        name: the stage's name; its seconds are recorded under it in summary.json.
        key: all that the result depends on (JSON-like).
        build: writes the result into the folder it is given.
        variant: names a result beside the run's own, such as that of another seed; its seconds are
            not recorded.
    """
    name = f"{name}-{variant}" if variant else name
    found = is_made(params, name, key)
    start = time.monotonic()
    folder = made(params, name, key, build)
    seconds = time.monotonic() - start
    if not found and not variant:
        record_seconds(params, name, seconds)
    if folder not in _REPORTED:
        line = f"found {folder.name}" if found else f"made {folder.name} in {seconds:.0f} s"
        print(line, flush=True)
        _REPORTED.add(folder)
    return folder


def timing(
    params: Params, name: str, about: dict, measure: Callable[[], pd.DataFrame], attempt: int = 0
) -> pd.DataFrame:
    """The table of times that `measure()` returns, measured once and then read from disk.

    A second run shows the times of the first one and asks the MLLM nothing.

    Args:
        params: the settings of the run.
        name: the table's name in the cache.
        about: all that the times depend on (JSON-like); the machine and all versions count too.
        measure: makes the table.
        attempt: another number measures again.
    """
    machine = {
        "cpu": platform.processor(),
        "node": platform.node(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
    key = {**about, "machine": machine, "versions": versions(), "attempt": attempt}

    def build(folder: Path) -> None:
        measure().to_pickle(folder / "times.pkl")

    return pd.read_pickle(made(params, f"timing-{name}", key, build) / "times.pkl")
