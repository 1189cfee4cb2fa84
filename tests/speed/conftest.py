"""Fixtures of the speed tests: a tiny backbone, and eight people to evaluate it on."""

import pytest
from clip_fixtures import benchmark_table, small_folder, tiny_params  # noqa: F401

from icl_lib.retrieval.load import new_backbone
from icl_lib.speed.evaluating import held


@pytest.fixture(scope="module")
def model(tiny_params):  # noqa: F811
    return new_backbone(tiny_params()).eval()


@pytest.fixture(scope="module")
def data(model, benchmark_table):  # noqa: F811
    return held(model, benchmark_table, "train", 8)
