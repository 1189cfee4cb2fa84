"""What every test file shares: property tests that repeat exactly and do not mind a slow machine."""

from hypothesis import settings

settings.register_profile("kit", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("kit")
