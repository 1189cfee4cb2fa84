"""Time and memory of the retrieval metrics, measured in a fresh process."""

import multiprocessing
import resource
import sys
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from icl_lib.retrieval.metrics import retrieval_metrics
from icl_lib.speed.released import sorted_metrics
from icl_lib.speed.timing import seconds

METRICS = {"counted": retrieval_metrics, "sorted": sorted_metrics}


def metrics_cost(
    queries: int, gallery: int, people: int, kind: str = "counted"
) -> dict[str, float]:
    """What the metrics of random similarities [queries, gallery] cost.

    Args:
        queries: captions, each of one of `people` identities.
        gallery: pictures, each also of one of the `people`.
        people: identities.
        kind: "counted" as the kit does it, or "sorted", with the whole gallery sorted for every
            query.

    Returns:
        `seconds`, the shortest of three runs, and `resident_MB`, by how much the process's peak
        memory grows beyond the similarities themselves.
    """
    # A process's peak of memory never falls, so each measurement needs a process of its own.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh) as pool:
        return pool.submit(_measure, queries, gallery, people, kind).result()


def metrics_growth(sizes: Iterable[tuple[int, int, int]]) -> pd.DataFrame:
    """`metrics_cost` of both kinds for each (queries, gallery, people), and their ratio in time."""
    rows = []
    for size in sizes:
        row = {"captions": size[0], "pictures": size[1]}
        for kind in METRICS:
            cost = metrics_cost(*size, kind)
            row |= {f"{kind}, {name}": cost[name] for name in ("seconds", "resident_MB")}
        rows.append(row | {"ratio": row["sorted, seconds"] / row["counted, seconds"]})
    return pd.DataFrame(rows)


def _measure(queries: int, gallery: int, people: int, kind: str) -> dict[str, float]:
    rng = np.random.default_rng(0)
    sim = rng.standard_normal((queries, gallery), dtype=np.float32)
    query_pids, gallery_pids = rng.integers(0, people, queries), rng.integers(0, people, gallery)
    METRICS[kind](sim[:8], query_pids[:8], gallery_pids)  # loads what the first call loads
    before = _peak_memory()
    took, _ = seconds(METRICS[kind], sim, query_pids, gallery_pids, repeats=3)
    return {"seconds": took, "resident_MB": (_peak_memory() - before) / 1e6}


def _peak_memory() -> int:
    """The peak of this process's memory in bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # on Linux getrusage would start from the parent's peak
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
