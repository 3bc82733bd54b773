"""Which changes of a node's statuses are logged, when, and as what. No ROS here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

# How long a stream that has never come is waited for without a warning, s.
GRACE_S = 10.0
# Least time between two lines of one concern; doubled while it goes on changing, up to the last.
_INTERVALS_S = (1.0, 2.0, 4.0, 8.0, 16.0)
_QUIET_S = 30.0


@dataclass
class _Concern:
    name: str
    level: int = 0
    text: str = ""
    expected: bool = False
    stream: bool = False
    waiting_since: float | None = None
    pending: int = 0
    logged_at: float = float("-inf")
    logged_as: int = 0
    changed_at: float = float("-inf")
    interval: int = 0


class StatusLog:
    """Takes every status a node has; writes a line when one changes, though never many lines of one concern.

    Args:
        write: Called with level (0: information, 1: warning, 2 and more: error) and line.
        clock: Seconds that only go on.
    """

    def __init__(self, write: Callable[[int, str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._write, self._clock = write, clock
        self._started = clock()
        self._concerns: dict[str, _Concern] = {}

    def changed(
        self,
        name: str,
        level: int,
        message: str,
        *,
        expected: bool = False,
        waiting: bool = False,
        stream: bool = False,
        at_once: bool = False,
    ) -> None:
        """Take a concern's new level and message.

        Args:
            name: The concern.
            level: 0: good, 1: warning, 2 and more: error.
            message: One line.
            expected: It was asked for or belongs to every start: information, whatever its level.
            waiting: What it is about has never come: information at first, a warning or error after ``GRACE_S``.
            stream: It is about what keeps coming: information for the first ``GRACE_S`` of the node, in which others
                still start.
            at_once: Write it, however short the time since the last line.
        """
        now = self._clock()
        one = self._concerns.setdefault(name, _Concern(name))
        if not (waiting and level):
            one.waiting_since = None
        elif one.waiting_since is None:
            one.waiting_since = now
        one.level, one.text, one.expected, one.stream = level, message, expected, stream
        if now - one.changed_at > _QUIET_S:
            one.interval = 0
        one.changed_at = now
        one.pending += 1
        if at_once or now - one.logged_at >= _INTERVALS_S[one.interval]:
            self._log(one, now)

    def tick(self) -> None:
        """Write what was held back, and what has been bad for too long; call about once a second."""
        now = self._clock()
        for one in self._concerns.values():
            held_back = one.pending and now - one.logged_at >= _INTERVALS_S[one.interval]
            overdue = not one.pending and self._severity(one, now) > one.logged_as
            if held_back or overdue:
                self._log(one, now)

    def _severity(self, one: _Concern, now: float) -> int:
        waiting = one.waiting_since is not None and now - one.waiting_since < GRACE_S
        starting = one.stream and now - self._started < GRACE_S
        return 0 if one.expected or waiting or starting else one.level

    def _log(self, one: _Concern, now: float) -> None:
        severity = self._severity(one, now)
        if one.pending > 1:
            one.interval = min(one.interval + 1, len(_INTERVALS_S) - 1)
        often = f" ({one.pending} changes since the last line)" if one.pending > 1 else ""
        waited_for = "waiting for " if one.waiting_since is not None else ""
        one.pending, one.logged_at, one.logged_as = 0, now, severity
        self._write(severity, f"{waited_for}{one.name}: {one.text}{often}")
