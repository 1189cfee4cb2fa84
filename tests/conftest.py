"""Settings of all tests: property tests repeat exactly, and two processes share the work well.

`make test` runs two processes (`pytest -n 2`). One executes the notebooks 00 to 05 in order, since
each of them uses what the earlier ones made; the other runs the unit tests. Whichever is done takes
the other notebooks, one after another.
"""

import os
from pathlib import Path

from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("kit", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("kit")

STORY = [f"notebooks/{p.name}" for p in Path("notebooks").glob("0[0-5]_*.ipynb")]

EARLY = tuple(
    f"notebooks/{start}"
    for start in ("A", "08", "09", "10", *(f"solutions/0{i}" for i in range(4)))
)


def pytest_configure():
    """Shares the cores among the processes, before any of them loads torch."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
    if workers > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, os.cpu_count() // workers)))


def pytest_collection_modifyitems(items):
    """With several processes, the story comes first, then unit tests, then other notebooks."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: _place(_file(item.nodeid)))


def pytest_xdist_make_scheduler(config, log):
    """Gives out whole files, the story as one, in the order of `pytest_collection_modifyitems`."""
    config.option.loadscopereorder = False
    return Files(config, log)


class Files(LoadScopeScheduling):
    """Gives the tests of a file to the same process."""

    def _split_scope(self, nodeid):
        file = _file(nodeid)
        return "story" if file in STORY else file


def _place(file: str) -> int:
    """When a file is given out; what needs all of the story comes last."""
    if file in STORY:
        return 0
    if not file.endswith(".ipynb"):
        return 1
    return 2 if file.startswith(EARLY) else 3


def _file(nodeid: str) -> str:
    return nodeid.split("::")[0]
