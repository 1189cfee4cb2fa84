"""The fixtures of tests/support that these tests use."""

from clip_fixtures import benchmark_table, small_folder, tiny_params  # noqa: F401
