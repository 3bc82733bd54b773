"""ROS time and duration to integer nanoseconds and back, exactly."""

from __future__ import annotations

from typing import Any

from cosmos_ros.errors import InputError
from cosmos_ros.types import NANOSECONDS

_INT32_MAX = 2**31 - 1
_INT32_MIN = -(2**31)


def ns_from_stamp(stamp: Any, *, where: str) -> int:
    """Return a ``builtin_interfaces/Time`` as nanoseconds.

    Args:
        stamp: Any object with integer ``sec`` and ``nanosec``.
        where: Topic or field, for the error.

    Raises:
        InputError: ``sec`` is negative, or ``nanosec`` is outside [0, 1e9).
    """
    sec, nanosec = _fields(stamp, where)
    if sec < 0:
        raise InputError(
            f"stamp is before time zero (sec = {sec})", where=where, hint="Correct the clock of the publisher."
        )
    return sec * NANOSECONDS + nanosec


def ns_from_duration(duration: Any, *, where: str) -> int:
    """Return a ``builtin_interfaces/Duration`` as nanoseconds; negative durations are legal.

    Raises:
        InputError: ``nanosec`` is outside [0, 1e9).
    """
    sec, nanosec = _fields(duration, where)
    return sec * NANOSECONDS + nanosec


def split_ns(ns: int, *, where: str = "time") -> tuple[int, int]:
    """Return ``(sec, nanosec)`` with 0 ≤ nanosec < 1e9, as ROS stores times and durations.

    Raises:
        InputError: The value does not fit ROS's 32-bit seconds.
    """
    sec, nanosec = divmod(int(ns), NANOSECONDS)
    if not _INT32_MIN <= sec <= _INT32_MAX:
        raise InputError(f"{ns} ns does not fit a ROS time", where=where, hint="Seconds are 32-bit integers in ROS.")
    return sec, nanosec


def stamp_message(ns: int) -> Any:
    """Return a ``builtin_interfaces/msg/Time``; needs ROS.

    Raises:
        InputError: Negative, or too large for ROS.
    """
    from builtin_interfaces.msg import Time

    sec, nanosec = split_ns(ns, where="stamp")
    if sec < 0:
        raise InputError(f"a stamp cannot be negative ({ns} ns)", where="stamp")
    return Time(sec=sec, nanosec=nanosec)


def duration_message(ns: int) -> Any:
    """Return a ``builtin_interfaces/msg/Duration``; needs ROS."""
    from builtin_interfaces.msg import Duration

    sec, nanosec = split_ns(ns, where="duration")
    return Duration(sec=sec, nanosec=nanosec)


def _fields(value: Any, where: str) -> tuple[int, int]:
    try:
        sec, nanosec = int(value.sec), int(value.nanosec)
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"not a ROS time: {error}", where=where) from error
    if not 0 <= nanosec < NANOSECONDS:
        raise InputError(
            f"nanosec = {nanosec} is outside [0, 1000000000)", where=where, hint="Correct the publisher's stamp."
        )
    return sec, nanosec
