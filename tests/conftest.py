"""Settings for all tests."""

from __future__ import annotations

from hypothesis import settings

# A busy machine is no failure; a failing example prints how to run it again.
settings.register_profile("fenchel", deadline=None, print_blob=True)
settings.load_profile("fenchel")
