"""Time and memory of the metrics, in a process of their own: `python -m icl_lib.speed.metrics_memory`."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd

KINDS = ("counted", "sorted")


def metrics_cost(
    queries: int = 6156, gallery: int = 3074, people: int = 1000, kind: str = "counted"
) -> dict:
    """What metrics of random similarities [queries, gallery] cost in a fresh process.

    seconds: of the quickest of three runs. traced_MB: the peak of what Python and NumPy allocate
    (tracemalloc). resident_MB: how far the process's peak memory rose above what the
    similarities themselves take. kind: "counted", the kit's, or
    "sorted", a whole argsort of every row. Default sizes: CUHK-PEDES' test split.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}: {', '.join(KINDS)}")
    command = [
        sys.executable,
        "-m",
        "icl_lib.speed.metrics_memory",
        *map(str, (queries, gallery, people)),
        kind,
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    measured = json.loads(told.stdout.splitlines()[-1])
    return {"captions": queries, "pictures": gallery, "kind": kind, **measured}


def metrics_growth(sizes: list[tuple[int, int, int]]) -> pd.DataFrame:
    """`metrics_cost` of both kinds for each (queries, gallery, people), and their ratio of seconds."""
    rows = []
    for size in sizes:
        both = {kind: metrics_cost(*size, kind=kind) for kind in KINDS}
        row = {"captions": size[0], "pictures": size[1]}
        for kind, told in both.items():
            row |= {
                f"{kind}, seconds": told["seconds"],
                f"{kind}, resident_MB": told["resident_MB"],
            }
        rows.append(row | {"ratio": row["sorted, seconds"] / row["counted, seconds"]})
    return pd.DataFrame(rows)


def measure(queries: int, gallery: int, people: int, kind: str) -> dict:
    """The measurement itself, in this process: its peak of memory means something only in a fresh one."""
    import time
    import tracemalloc

    if kind == "sorted":
        from icl_lib.speed.released import sorted_metrics as metrics
    else:
        from icl_lib.retrieval.metrics import retrieval_metrics as metrics
    rng = np.random.default_rng(0)
    sim = rng.standard_normal((queries, gallery), dtype=np.float32)
    query_pids, gallery_pids = rng.integers(0, people, queries), rng.integers(0, people, gallery)
    metrics(sim[:8], query_pids[:8], gallery_pids)  # loads what is loaded once
    before, took = _peak_memory(), []
    for _ in range(3):
        start = time.perf_counter()
        metrics(sim, query_pids, gallery_pids)
        took.append(time.perf_counter() - start)
    rose = _peak_memory() - before
    tracemalloc.start()
    metrics(sim, query_pids, gallery_pids)
    traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return {"seconds": min(took), "traced_MB": traced / 1e6, "resident_MB": rose / 1e6}


def _peak_memory() -> int:
    """The most bytes of memory that this process has held so far."""
    import resource
    from pathlib import Path

    status = Path("/proc/self/status")
    if (
        status.is_file()
    ):  # getrusage begins, on Linux, with the peak of the process that started this one
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    print(json.dumps(measure(*map(int, sys.argv[1:4]), sys.argv[4])))
