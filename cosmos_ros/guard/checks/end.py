"""How a trajectory ends."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.checks.base import Case
from cosmos_ros.guard.verdict import Violation


class EndVelocity:
    """The declared velocity of the last point is zero, as JointTrajectoryController demands."""

    name = "end_velocity"

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, tolerance = case.motion, case.config.end_velocity_tolerance
        if motion.velocities is None:
            return []
        speed = motion.velocities[-1]
        if (np.abs(speed) <= tolerance + case.config.slack).all():
            return []
        last = len(motion.trajectory.times_ns) - 1
        return [
            Violation(
                limit=self.name,
                joint=motion.names[joint],
                step=last,
                time=float(motion.times[-1]),
                value=float(speed[joint]),
                bound=float(np.copysign(tolerance, speed[joint])),
                last_safe_point=last - 1,
            )
            for joint in np.flatnonzero(~(np.abs(speed) <= tolerance + case.config.slack))
        ]


class Duration:
    """The trajectory is no longer than the horizon."""

    name = "duration"

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, longest = case.motion, case.config.max_duration
        end = float(motion.times[-1])
        if end <= longest + case.config.slack:
            return []
        safe = int(np.searchsorted(motion.times[motion.offset :], longest, side="right")) - 1
        return [Violation(limit=self.name, step=safe + 1, time=end, value=end, bound=longest, last_safe_point=safe)]
