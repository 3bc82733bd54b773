"""A circuit that opens after repeated failures, so that a dead server is asked only now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

from cosmos_ros.errors import ModelError

FAILURES = 3  # in a row that open the circuit
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0


class CircuitBreaker:
    """Counts failures in a row; open, it refuses at once until a pause is over, then lets one trial through.

    The pause doubles with each failed trial. Used by one thread; :meth:`state` may be read from any.

    Attributes:
        failures: Failures since the last success.
        reason: The last failure, or empty after a success.

    Args:
        where: For the error message, e.g. ``world_model nim``.
        clock: Monotonic seconds; for tests.
    """

    def __init__(self, where: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._where = where
        self._clock = clock
        self.failures = 0
        self._pause = FIRST_PAUSE_S
        self._open_until: float | None = None
        self.reason = ""

    @property
    def state(self) -> str:
        """``closed``, ``open`` or ``half-open`` (the pause is over; the next request is a trial)."""
        until = self._open_until
        if until is None:
            return "closed"
        return "open" if self._clock() < until else "half-open"

    def check(self) -> None:
        """Refuse while open.

        Raises:
            ModelError: Says why it is open and when the next trial is.
        """
        if self.state == "open":
            assert self._open_until is not None
            wait = self._open_until - self._clock()
            raise ModelError(
                f"not asked after {self.failures} failures in a row, the last: {self.reason}; "
                f"next trial in {wait:.0f} s",
                where=self._where,
            )

    def succeeded(self) -> None:
        """Close it."""
        self.failures = 0
        self._pause = FIRST_PAUSE_S
        self._open_until = None
        self.reason = ""

    def failed(self, reason: str) -> None:
        """Count a failure; open when there were too many, or when a trial failed."""
        trial = self._open_until is not None
        self.failures += 1
        self.reason = reason
        if trial:
            self._pause = min(self._pause * 2, LONGEST_PAUSE_S)
        if trial or self.failures >= FAILURES:
            self._open_until = self._clock() + self._pause
