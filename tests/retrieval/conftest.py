"""The fixtures of tests/support that these tests use."""

from clip_fixtures import benchmark_table, golden, golden_metadata, small_folder, tiny, tiny_params  # noqa: F401
