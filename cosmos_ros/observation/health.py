"""Rates, ages and counters of input streams, as plain data for diagnostics."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from cosmos_ros.types import NANOSECONDS


@dataclass(frozen=True)
class StreamHealth:
    """State of one input stream at one time.

    Attributes:
        name: Stream, e.g. ``camera wrist`` or ``joint_states``.
        received: Messages handed in.
        invalid: Of these, refused because they were malformed.
        late: Accepted, with a stamp below one seen before.
        duplicates: Dropped because their stamp had been seen.
        rate_hz: Arrivals per second over the last arrivals; 0 while unknown.
        newest_stamp_ns: Highest stamp, or None before the first message.
        age_ns: Now minus the newest stamp, or None before the first message.
        last_error: Why the last malformed message was refused; empty for never.
    """

    name: str
    received: int
    invalid: int
    late: int
    duplicates: int
    rate_hz: float
    newest_stamp_ns: int | None
    age_ns: int | None
    last_error: str


class StreamCounter:
    """Counts one stream's arrivals; written by the receiving thread only."""

    def __init__(self, name: str, *, required: bool, max_age_ns: int | None) -> None:
        self.name = name
        self.required = required
        self.max_age_ns = max_age_ns
        self.received = 0
        self.invalid = 0
        self.late = 0
        self.duplicates = 0
        self.last_error = ""
        self.newest_stamp_ns: int | None = None
        # After the last good message a malformed one makes the stream suspect until the next good one.
        self.failing = False
        self._arrivals: deque[int] = deque(maxlen=64)

    def arrived(self, received_ns: int) -> None:
        """Count one arrival at a node-clock time."""
        self.received += 1
        self._arrivals.append(received_ns)

    def refused(self, error: str) -> None:
        """Count one malformed message."""
        self.invalid += 1
        self.last_error = error
        self.failing = True

    def accepted(self, stamp_ns: int) -> None:
        """Note one good message."""
        self.failing = False
        if self.newest_stamp_ns is None or stamp_ns > self.newest_stamp_ns:
            self.newest_stamp_ns = stamp_ns

    def forget(self) -> None:
        """Forget stamps and rates, after the clock was reset; the counts stay."""
        self.newest_stamp_ns = None
        self._arrivals.clear()

    def health(self, now_ns: int) -> StreamHealth:
        """Return the state at a node-clock time."""
        arrivals = list(self._arrivals)
        span = arrivals[-1] - arrivals[0] if len(arrivals) > 1 else 0
        # A stream that stopped must not go on showing its last rate.
        if arrivals and span > 0:
            span = max(span, now_ns - arrivals[0])
        newest = self.newest_stamp_ns
        return StreamHealth(
            name=self.name,
            received=self.received,
            invalid=self.invalid,
            late=self.late,
            duplicates=self.duplicates,
            rate_hz=(len(arrivals) - 1) * NANOSECONDS / span if span > 0 else 0.0,
            newest_stamp_ns=newest,
            age_ns=None if newest is None else now_ns - newest,
            last_error=self.last_error,
        )
