"""Progress bars, shown where a person is watching."""

import os
import sys
from collections.abc import Iterable


def progress(iterable: Iterable, desc: str, total: int | None = None) -> Iterable:
    """Adds a progress bar to `iterable` in JupyterLab and in terminals, and nowhere else."""
    if watched():
        from tqdm.auto import tqdm

        return tqdm(iterable, desc=desc, total=total, leave=False)
    from tqdm import tqdm

    return tqdm(iterable, desc=desc, total=total, leave=False, disable=None, dynamic_ncols=True)


def watched() -> bool:
    """Says whether this code runs in a notebook that a person has opened."""
    # papermill and nbval would save a bar with the notebook, and it would differ in every run.
    # Jupyter's server sets this variable for the kernels that a person opens; papermill and nbval
    # do not.
    return bool(os.environ.get("JPY_SESSION_NAME")) and "ipykernel" in sys.modules
