"""Settings of all tests."""

from __future__ import annotations

import os

from hypothesis import settings

# Speed is never asserted by a clock, hypothesis' own deadline included. CI draws the same examples every time, so that
# a red run is the change's doing; runs elsewhere look for new ones.
settings.register_profile("local", deadline=None, database=None, print_blob=True)
settings.register_profile("ci", parent=settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")
