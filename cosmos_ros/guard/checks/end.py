"""How a trajectory ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.checks.base import Case, Cure, Limit
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.settings import DeclaredSettings, setting


@dataclass(frozen=True)
class EndVelocitySettings(DeclaredSettings):
    """What counts as an end at rest."""

    end_velocity_tolerance: float = setting(
        1e-3, "Largest speed at the last point", unit="rad/s or m/s", minimum=0.0, maximum=1.0, read_only=True
    )


class EndVelocity(Limit):
    """The declared velocity of the last point is zero, as JointTrajectoryController demands."""

    name = "end_velocity"
    order = 90
    cure = Cure.RESTING
    settings_type = EndVelocitySettings

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, tolerance = case.motion, self.settings.end_velocity_tolerance
        if motion.velocities is None:
            return []
        speed = motion.velocities[-1]
        if (np.abs(speed) <= tolerance + case.checking.slack).all():
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
            for joint in np.flatnonzero(~(np.abs(speed) <= tolerance + case.checking.slack))
        ]


@dataclass(frozen=True)
class DurationSettings(DeclaredSettings):
    """How long a trajectory may be."""

    max_duration: float = setting(10.0, "Longest trajectory", unit="s", minimum=0.1, maximum=600.0, read_only=True)


class Duration(Limit):
    """The trajectory is no longer than the horizon."""

    name = "duration"
    order = 30
    cure = Cure.SHORTENING
    settings_type = DurationSettings

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, longest = case.motion, self.settings.max_duration
        end = float(motion.times[-1])
        if end <= longest + case.checking.slack:
            return []
        safe = int(np.searchsorted(motion.times[motion.offset :], longest, side="right")) - 1
        return [Violation(limit=self.name, step=safe + 1, time=end, value=end, bound=longest, last_safe_point=safe)]
