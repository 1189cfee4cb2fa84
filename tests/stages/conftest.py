"""The whole pipeline on a few drawn people, made once and shared by the tests of all stages."""

import pytest
from small_run import TINY

from icl_lib import load_params, stages


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """Folders of data and results, and what the last stage returned once it was made."""
    return {name: tmp_path_factory.mktemp(name) for name in ("ICL_DATA", "ICL_RESULTS")}


@pytest.fixture(scope="module")
def tiny(shared):
    """A function that returns the settings of the small run, with further overrides."""
    patch = pytest.MonkeyPatch()
    for name in ("ICL_DATA", "ICL_RESULTS"):
        patch.setenv(name, str(shared[name]))
    yield lambda **overrides: load_params("rstp", "demo", **TINY | overrides)
    patch.undo()


@pytest.fixture(scope="module")
def params(tiny):
    return tiny()


@pytest.fixture(scope="module")
def done(shared, params):
    """(point, interaction, metrics) of the last stage."""
    if "final" not in shared:
        shared["final"] = stages.final(params)
    return shared["final"]
