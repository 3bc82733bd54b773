"""Clocks of timers."""

from __future__ import annotations

from rclpy.clock import Clock, ClockType


def steady_clock() -> Clock:
    """Return a clock that goes on when simulation time stands still."""
    return Clock(clock_type=ClockType.STEADY_TIME)
