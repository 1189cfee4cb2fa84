"""Settings of all tests: property tests repeat exactly and have no deadline."""

from hypothesis import settings

settings.register_profile("kit", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("kit")
