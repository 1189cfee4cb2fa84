"""The tiny CLIP and the tiny benchmark of the retrieval tests."""

import importlib.util
from pathlib import Path

_spec = importlib.util.spec_from_file_location(
    "retrieval_fixtures", Path(__file__).resolve().parents[1] / "retrieval" / "conftest.py")
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
small_folder, benchmark_table = _fixtures.small_folder, _fixtures.benchmark_table
tiny_params = _fixtures.tiny_params
