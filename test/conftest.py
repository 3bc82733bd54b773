"""Settings of all tests."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
import pytest_timeout
from hypothesis import settings
from machine import slowness

# Speed is never asserted by a clock, hypothesis' own deadline included. CI draws the same examples every time, so that
# a red run is the change's doing; runs elsewhere look for new ones.
settings.register_profile("local", deadline=None, database=None, print_blob=True)
settings.register_profile("ci", parent=settings.get_profile("local"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# What a shell starts in the background ignores these, and so would every process that a test starts and signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> bool | None:
    """Stretch the time limit of a live test as its own deadlines are stretched."""
    if item.get_closest_marker("integration") is None:
        return None
    return pytest_timeout.pytest_timeout_set_timer(item, settings._replace(timeout=settings.timeout * slowness()))
