"""The time between two points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.checking_settings import CheckingSettings
from cosmos_ros.guard.checks.base import Precondition
from cosmos_ros.guard.checks.intake import timing
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import NANOSECONDS, JointTrajectory


@dataclass(frozen=True)
class TimeStepSettings(DeclaredSettings):
    """How far apart points may be."""

    maximum_step: float = setting(
        2.0, "Longest time between points", unit="s", minimum=1e-3, maximum=600.0, read_only=True
    )


class TimeStep(Precondition):
    """Points are neither too close nor too far apart in time."""

    name = "time_step"
    order = 0
    settings_type = TimeStepSettings

    def refuse(self, trajectory: JointTrajectory, context: GuardContext, checking: CheckingSettings) -> list[Violation]:
        """See class."""
        steps = np.diff(trajectory.times_ns)
        least, most = checking.minimum_step, self.settings.maximum_step
        close, far = steps < round(least * NANOSECONDS), steps > round(most * NANOSECONDS)
        first = int(trajectory.times_ns[0])
        if 0 < first < round(least * NANOSECONDS):
            # The controller would have to get there in no time.
            return [timing(trajectory, 0, "first point too close", value=first / NANOSECONDS, bound=least)]
        if close.any():
            bad, bound, message = close, least, "points too close in time"
        elif far.any():
            bad, bound, message = far, most, "points too far apart in time"
        else:
            return []
        step = int(np.argmax(bad)) + 1
        return [timing(trajectory, step, message, value=float(steps[step - 1]) / NANOSECONDS, bound=bound)]
