"""How a trajectory joins what the robot is doing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.checks.base import Case, GuardedRobot, Limit
from cosmos_ros.guard.motion.start_state import start_state
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.trajectory.executing import wrapped
from cosmos_ros.types import NANOSECONDS


@dataclass(frozen=True)
class StartSettings(DeclaredSettings):
    """How exactly a trajectory joins what the robot is doing."""

    start_position_tolerance: float = setting(
        0.02,
        "Largest distance of a trajectory's start from where the controller is; it is led in from there",
        unit="rad or m",
        minimum=0.0,
        maximum=1.0,
        read_only=True,
    )
    start_velocity_tolerance: float = setting(
        0.1, "Largest difference of its velocity there", unit="rad/s or m/s", minimum=0.0, maximum=10.0, read_only=True
    )
    tracking_tolerance: float = setting(
        0.15, "Largest distance of the robot from the path it was commanded along", unit="rad or m", minimum=0.0,
        maximum=3.0, read_only=True,
    )  # fmt: skip


class StartDiscontinuity(Limit):
    """It begins where the controllers are, in position and velocity, and the robot follows what it was sent.

    The controllers are where they were commanded to be; where they were sent nothing, where the robot is measured. What
    lies within the tolerances of that is led in, see ``motion.join``.
    """

    name = "start_discontinuity"
    order = 20
    settings_type = StartSettings

    def __init__(self, settings: StartSettings, grippers: frozenset[str] = frozenset()) -> None:
        super().__init__(settings)
        self.grippers = grippers

    @classmethod
    def for_robot(cls, robot: GuardedRobot, settings: StartSettings) -> Sequence[StartDiscontinuity]:
        """See ``Check.for_robot``."""
        return (cls(settings, robot.grippers),)

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        return [*self._jump(case), *self._lost(case)]

    def _jump(self, case: Case) -> list[Violation]:
        """Return the jumps from the true state to the first point, one a joint."""
        motion, settings, slack = case.motion, self.settings, case.checking.slack
        context, first = case.context, case.motion.trajectory
        if motion.offset:  # it moves there from the true state, within the other limits
            return []
        start = start_state(context, motion.table, blockable=self.grippers, tolerance=settings.tracking_tolerance)
        if start is None:
            return []
        step = np.abs(wrapped(first.positions[0] - start.positions, motion.table.continuous))
        speed = np.zeros_like(step)
        if first.velocities is not None:
            speed = np.abs(first.velocities[0] - start.velocities)
        elif context.moving and len(first.times_ns) > 1:  # lines have the speed of their first segment
            step_ns = float(first.times_ns[1] - first.times_ns[0])
            speed = np.abs((first.positions[1] - first.positions[0]) * (NANOSECONDS / step_ns) - start.velocities)
        found = []
        for joint in range(len(step)):
            for value, bound, kind in (
                (step[joint], settings.start_position_tolerance, "position"),
                (speed[joint], settings.start_velocity_tolerance, "velocity"),
            ):
                if not value <= bound + slack:
                    what = "what is commanded" if start.commanded[joint] else "the measured state"
                    found.append(self._violation(case, motion.names[joint], value, bound, f"{kind} jumps from {what}"))
                    break
        return found

    def _lost(self, case: Case) -> list[Violation]:
        """Return the joints that are measured too far from the path they were commanded along."""
        context, bound = case.context, self.settings.tracking_tolerance
        if context.measured is None or not context.moving:
            return []
        wraps = [name for name, one in zip(case.motion.names, case.motion.table.continuous, strict=True) if one]
        tracking = context.executed.tracking(context.measured, continuous=wraps, blockable=self.grippers)
        return [
            self._violation(case, joint, error, bound, "the robot does not follow what it was sent")
            for joint, error in tracking.errors.items()
            if not error <= bound + case.checking.slack
        ]

    def _violation(self, case: Case, joint: str, value: float, bound: float, message: str) -> Violation:
        time = float(case.motion.times[case.motion.offset])
        return Violation(self.name, joint=joint, step=0, time=time, value=float(value), bound=bound, message=message)
