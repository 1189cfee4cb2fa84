"""Where the kit's folder, its YAML files and its results are."""

import os
from pathlib import Path


def repo_root() -> Path:
    """The kit's folder, which holds params/: $ICL_HOME, or else the folder above icl_lib.

    Raises:
        FileNotFoundError: the folder has no params/ in it.
    """
    root = _folder("ICL_HOME") or Path(__file__).resolve().parents[2]
    if not (root / "params").is_dir():
        raise FileNotFoundError(
            f"The kit's folder should be {root}, but there is no params/ in it. Set ICL_HOME to "
            "the folder you cloned, or install the package from it with `pip install -e .`."
        )
    return root


def results_root() -> Path:
    """$ICL_RESULTS, or else results/ in the kit's folder."""
    return _folder("ICL_RESULTS") or repo_root() / "results"


def default_data_root() -> Path:
    """Where the benchmarks' folders are: $ICL_DATA, or else data/ in the kit's folder."""
    return _folder("ICL_DATA") or repo_root() / "data"


def available(kind: str) -> list[str]:
    """Names of the YAML files in params/<kind>, where kind is "datasets" or "profiles"."""
    return sorted(path.stem for path in (repo_root() / "params" / kind).glob("*.yaml"))


def _folder(variable: str) -> Path | None:
    """The folder that an environment variable names; None if it is empty or not set."""
    named = os.environ.get(variable)
    return Path(named).expanduser().resolve() if named else None
