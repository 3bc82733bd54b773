"""A stop that was sent is sent again until the joint states show that the robot came to rest."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.motion.start_state import STILL
from cosmos_ros.types import NANOSECONDS, JointState

REPEAT_NS = NANOSECONDS // 10
# A robot that shows itself at rest for so long, after the stop was to have ended, has taken it.
_CONFIRMED_NS = NANOSECONDS // 5
# Nobody listens any more after so long without a joint state at rest.
_LONGEST_NS = 10 * NANOSECONDS
# So much farther from the stop than when it began, rad or m, the robot is not on it; the next begins where it is.
_ASTRAY = 0.02


class StopWatch:
    """Whether a stop was taken.

    Args:
        blockable: Joints that may stand still or yield on their own account (grippers).
    """

    def __init__(self, blockable: frozenset[str]) -> None:
        self._blockable = blockable
        self._since: int | None = None
        self._sent = 0
        self._off = 0.0
        self._still_since: int | None = None
        self._before: JointState | None = None

    @property
    def active(self) -> bool:
        """Whether a stop is being watched."""
        return self._since is not None

    def begin(self, now_ns: int, off: float) -> None:
        """Note that a stop was sent, for the first time or again.

        Args:
            now_ns: Now.
            off: Distance of the robot from the path that it was commanded along (its sag, for one), rad or m.
        """
        if self._since is None:
            self._since, self._still_since, self._before = now_ns, None, None
            self._off = off
        self._sent = now_ns

    def astray(self, off: float) -> bool:
        """Whether the robot is not on the stop that it was sent."""
        return not off <= self._off + _ASTRAY

    def end(self) -> None:
        """Stop watching."""
        self._since = None

    def due(self, now_ns: int) -> bool:
        """Whether the stop is to be sent again."""
        return self._since is not None and now_ns - self._sent >= REPEAT_NS

    def update(self, measured: JointState, moving: bool) -> None:
        """Take a joint state; ends the watch when it shows that the robot rests.

        Args:
            measured: Joint state.
            moving: Whether the stop is still to move the robot at the joint state's stamp.
        """
        if self._since is None:
            return
        if measured.stamp_ns - self._since > _LONGEST_NS:
            self.end()
            return
        before = self._before
        if before is None or before.names != measured.names:
            self._before, self._still_since = measured, None
            return
        seconds = (measured.stamp_ns - before.stamp_ns) / NANOSECONDS
        if seconds < 0.02:  # differences of closer states are noise
            return
        arm = [k for k, name in enumerate(measured.names) if name not in self._blockable]
        speed = np.abs(measured.positions[arm] - before.positions[arm]).max(initial=0.0) / seconds
        self._before = measured
        if speed > STILL:
            self._still_since = None
        elif self._still_since is None:
            self._still_since = before.stamp_ns
        if moving or self._still_since is None:
            return
        if measured.stamp_ns - max(self._still_since, self._since) >= _CONFIRMED_NS:
            self.end()
