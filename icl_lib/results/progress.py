"""Progress bars, where a person is watching."""

import os
import sys
from collections.abc import Iterable


def progress(iterable: Iterable, desc: str, total: int | None = None) -> Iterable:
    """`iterable` with a progress bar in JupyterLab and terminals, silent in logs and executed notebooks."""
    if watched():
        from tqdm.auto import tqdm

        return tqdm(iterable, desc=desc, total=total, leave=False)
    from tqdm import tqdm

    return tqdm(iterable, desc=desc, total=total, leave=False, disable=None, dynamic_ncols=True)


def watched() -> bool:
    """Whether this runs in a notebook that a person has opened."""
    # A bar in an executed notebook would be committed with it and differ in every run. Jupyter's server sets
    # this variable for the kernels that a person opened; papermill and nbval do not.
    return bool(os.environ.get("JPY_SESSION_NAME")) and "ipykernel" in sys.modules
