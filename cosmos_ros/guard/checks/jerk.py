"""Joint jerk on the interpolated motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.checks.base import Case, Cure, Limit
from cosmos_ros.guard.checks.polynomial import outside
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.limits import RobotLimits, scaled
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import NANOSECONDS, FloatArray

# Steps are differences of second derivatives of short segments.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class JerkSettings(DeclaredSettings):
    """How much of the jerk bounds may be used."""

    jerk_scale: float = setting(
        1.0, "Part of the robot's jerk bounds that may be used.", minimum=0.01, maximum=1.0, read_only=True
    )


class Jerk(Limit):
    """Every joint stays below its jerk bound inside segments, and its acceleration steps no more at points.

    A controller that samples with the period ``controller_period`` turns a step of acceleration at a point (also at the
    start, against the motion that is being executed, and at the end) into one of jerk × period; libfranka, for one,
    stops the arm on more.
    """

    name = "jerk"
    order = 70
    cure = Cure.SLOWING
    settings_type = JerkSettings

    @classmethod
    def tighten(cls, limits: RobotLimits, settings: JerkSettings) -> RobotLimits:
        """See ``Check.tighten``."""
        return scaled(limits, jerk=settings.jerk_scale)

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion = case.motion
        if motion.degree < 3:
            return []
        bound = motion.table.jerk
        found = outside(motion, 3, -bound, bound, limit=self.name, slack=case.checking.slack)
        if not np.isfinite(bound).any() or len(motion.times) < 2:
            return found
        known = {violation.joint for violation in found}
        return found + [v for v in self._steps(case) if v.joint not in known]

    def _steps(self, case: Case) -> list[Violation]:
        """Return the first step of acceleration at a point that is too large, one a joint."""
        motion, period = case.motion, case.checking.controller_period
        bound = motion.table.jerk * period
        unit = motion.unit(2)
        before = np.concatenate((_commanded(case)[None], unit.sum(axis=-1)))
        after = np.concatenate((unit[..., 0], np.zeros((1, unit.shape[1]))))
        step = after - before
        broken = ~(np.abs(step) <= bound * (1.0 + _ROUNDING) + case.checking.slack)
        found = []
        for joint in np.flatnonzero(broken.any(axis=0)):
            knot = int(np.argmax(broken[:, joint]))
            found.append(
                Violation(
                    self.name,
                    joint=motion.names[joint],
                    step=max(knot - motion.offset, 0),
                    time=float(motion.times[knot]),
                    value=float(step[knot, joint] / period),
                    bound=float(np.copysign(motion.table.jerk[joint], step[knot, joint])),
                    message="step of acceleration in one controller period",
                    last_safe_point=motion.last_safe_point(knot, includes_start=False),
                )
            )
        return found


def _commanded(case: Case) -> FloatArray:
    """Return the acceleration that is commanded where the motion begins, ``[J]``; zero of what was sent nothing."""
    motion, executed = case.motion, case.context.executed
    result = np.zeros(len(motion.names))
    if not case.context.moving:
        return result
    stamp = motion.trajectory.stamp_ns or case.context.now_ns
    state = executed.at(stamp + round(float(motion.times[0]) * NANOSECONDS))
    assert state is not None
    for k, name in enumerate(motion.names):
        if name in state.joint_names:
            result[k] = state.accelerations[state.joint_names.index(name)]
    return result
