"""Times a call, with the device synchronised."""

import time
from collections.abc import Callable

import numpy as np
import torch


def seconds(work: Callable, repeats: int) -> tuple[float, object]:
    """The least time of `repeats` runs of `work()` and its last result; a GPU's work is waited for."""
    best = np.inf
    for _ in range(repeats):
        _wait()
        start = time.perf_counter()
        result = work()
        _wait()
        best = min(best, time.perf_counter() - start)
    return best, result


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
