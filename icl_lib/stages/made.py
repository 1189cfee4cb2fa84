"""How a stage is made once, timed, and reported."""

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch

from icl_lib.params import Params
from icl_lib.results import (
    is_made,
    made,
    read_json,
    record_seconds,
    versions,
    write_json,
)

_TOLD: set[Path] = set()  # folders that this process has spoken of


def timing(
    params: Params, name: str, about: dict, measure: Callable[[], pd.DataFrame], attempt: int = 0
) -> pd.DataFrame:
    """The table of times that `measure()` gives, kept: a second run shows the first one's and has the MLLM do nothing again.

    about: all that the times depend on (JSON-like); the machine and the versions of everything count besides. Another `attempt`
    measures anew. The table's index needs a name, or is 0, 1, 2, ….
    """

    def build(folder: Path) -> None:
        table = measure()
        names = [level for level in table.index.names if level is not None]
        rows = (table.reset_index() if names else table).to_dict("list")
        write_json(folder / "times.json", {"index": names, "attrs": table.attrs, "columns": rows})

    machine = {
        "cpu": platform.processor(),
        "node": platform.node(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }
    folder = made(
        params,
        f"times-{name}",
        {**about, "machine": machine, "versions": versions(), "attempt": attempt},
        build,
    )
    kept = read_json(folder / "times.json")
    table = pd.DataFrame(kept["columns"])
    table.attrs = kept["attrs"]
    return table.set_index(kept["index"]) if kept["index"] else table


def stage(params: Params, name: str, key: dict, build, variant: str = "") -> Path:
    """`made`, with a line that says what was found or made."""
    name = f"{name}-{variant}" if variant else name
    found = is_made(params, name, key)
    start = time.monotonic()
    folder = made(params, name, key, build)
    seconds = time.monotonic() - start
    if not found and not variant:
        record_seconds(params, name, seconds)
    if folder not in _TOLD:
        print(
            f"made {folder.name} in {seconds:.0f} s" if not found else f"found {folder.name}",
            flush=True,
        )
        _TOLD.add(folder)
    return folder
