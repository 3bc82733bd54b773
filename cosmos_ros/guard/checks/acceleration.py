"""Joint acceleration on the interpolated motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.checks.base import Case, Cure, Limit
from cosmos_ros.guard.checks.polynomial import outside
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.limits import RobotLimits, scaled
from cosmos_ros.settings import DeclaredSettings, setting


@dataclass(frozen=True)
class AccelerationSettings(DeclaredSettings):
    """How much of the acceleration bounds may be used."""

    acceleration_scale: float = setting(
        1.0, "Part of the robot's acceleration bounds that may be used.", minimum=0.01, maximum=1.0, read_only=True
    )


class Acceleration(Limit):
    """Every joint stays below its acceleration bound.

    Lines have no acceleration between knots; there the change of velocity at an interior knot is spread over the
    neighbouring half segments: ``2 (v⁺ - v⁻) / (t₊ - t₋)``. With ``linear_ends`` the first and last velocity are
    held against standstill in the same way, over their own half segment.
    """

    name = "acceleration"
    order = 60
    cure = Cure.SLOWING
    settings_type = AccelerationSettings

    @classmethod
    def tighten(cls, limits: RobotLimits, settings: AccelerationSettings) -> RobotLimits:
        """See ``Check.tighten``."""
        return scaled(limits, acceleration=settings.acceleration_scale)

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, slack = case.motion, case.checking.slack
        bound = motion.table.acceleration
        if motion.degree > 1:
            return outside(motion, 2, -bound, bound, limit=self.name, slack=slack)
        if len(motion.times) < 2:
            return []
        with np.errstate(all="ignore"):
            velocity = np.diff(motion.positions, axis=0) / motion.durations[:, None]
            value = 2.0 * np.diff(velocity, axis=0) / (motion.times[2:] - motion.times[:-2])[:, None]
            first = 1
            if case.checking.linear_ends:
                first = 0
                begin = 2.0 * velocity[:1] / motion.durations[0]
                end = -2.0 * velocity[-1:] / motion.durations[-1]
                value = np.concatenate((begin, value, end))
        broken = ~(np.abs(value) <= bound + slack)
        found = []
        for joint in np.flatnonzero(broken.any(axis=0)):
            row = int(np.argmax(broken[:, joint]))
            knot = row + first
            side = np.sign(value[row, joint]) or 1.0
            worst = value[:, joint][np.argmax(side * value[:, joint])]
            found.append(
                Violation(
                    limit=self.name,
                    joint=motion.names[joint],
                    step=max(knot - motion.offset, 0),
                    time=float(motion.times[knot]),
                    value=float(worst),
                    bound=float(np.copysign(bound[joint], side)),
                    last_safe_point=motion.last_safe_point(knot, includes_start=False),
                )
            )
        return found
