"""The fixtures of tests/support that these tests use."""

from standin_fixtures import drawn  # noqa: F401
