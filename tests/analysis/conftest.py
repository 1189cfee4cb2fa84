"""The fixtures of tests/support that these tests use."""

from interactions import run  # noqa: F401
from mllm_fixtures import make_local, params, pictures, scripted, tiny_folder  # noqa: F401
from standin_fixtures import two_pictures  # noqa: F401
