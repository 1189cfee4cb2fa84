"""Times calls, and turns a table of times into gains and ratios."""

import time
from collections.abc import Callable

import pandas as pd
import torch


def seconds(work: Callable, *args, repeats: int = 1) -> tuple[float, object]:
    """The shortest time of `repeats` calls `work(*args)`, and the last call's result.

    On a GPU, the time includes all work that the call has started there.
    """
    times = []
    for _ in range(repeats):
        _wait_for_gpu()
        start = time.perf_counter()
        result = work(*args)
        _wait_for_gpu()
        times.append(time.perf_counter() - start)
    return min(times), result


def with_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """Adds to a table with `seconds` as its first column how many times as fast each row is.

    `gain` compares with the row above, `ratio` with the first row.
    """
    took = table["seconds"]
    table.insert(1, "gain", (took.shift() / took).fillna(1.0))
    table.insert(2, "ratio", took.iloc[0] / took)
    return table.rename_axis("way")


def device_name() -> str:
    """The GPU's name, or the number of CPU threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} CPU threads"


def _wait_for_gpu() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
