"""Where the small real data set lies, if there is one."""

import os
from pathlib import Path

import pytest

from icl_lib.params.paths import repo_root


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real pictures and annotations: $ICL_REAL, or shared/real beside the kit."""
    folder = Path(os.environ.get("ICL_REAL") or repo_root().parent / "shared" / "real")
    if not (folder / "CUHK-PEDES" / "reid_raw.json").is_file():
        pytest.skip(
            f"no real data set at {folder}: it may not be shipped; set ICL_REAL to its folder to "
            "test on it"
        )
    return folder
