"""Settings whose results go into a temporary folder."""

import pytest

from icl_lib import load_params


@pytest.fixture
def params(monkeypatch, tmp_path):
    monkeypatch.setenv("ICL_RESULTS", str(tmp_path / "results"))
    return load_params()
