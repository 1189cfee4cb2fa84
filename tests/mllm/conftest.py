"""The fixtures of tests/support that these tests use."""

from mllm_fixtures import make_local, params, pictures, scripted, tiny_folder  # noqa: F401
from server_fixtures import at  # noqa: F401
