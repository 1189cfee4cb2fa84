"""Where the kit, its YAML files and its results lie."""

import os
from pathlib import Path


def available(kind: str) -> list[str]:
    """Names of the YAML files in params/<kind>, e.g. available("datasets")."""
    return sorted(path.stem for path in (repo_root() / "params" / kind).glob("*.yaml"))


def repo_root() -> Path:
    """The folder that holds params/: $ICL_HOME, else the one above icl_lib. Raises FileNotFoundError."""
    named = os.environ.get("ICL_HOME")
    root = Path(named).expanduser().resolve() if named else Path(__file__).resolve().parents[2]
    if not (root / "params").is_dir():
        raise FileNotFoundError(
            f"The kit's folder was looked for in {root}, which has no params/ inside. Set ICL_HOME to the "
            "folder you cloned, or install the package from it with `pip install -e .`."
        )
    return root


def results_root() -> Path:
    """$ICL_RESULTS, else `results` in the kit's folder."""
    return Path(os.environ.get("ICL_RESULTS") or repo_root() / "results").expanduser().resolve()
