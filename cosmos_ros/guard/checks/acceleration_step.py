"""Steps of joint acceleration at the points of a motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.checks.base import Case, Cure, GuardedRobot, Limit
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import NANOSECONDS, FloatArray

# Steps are differences of second derivatives of short segments.
_ROUNDING = 1e-3


@dataclass(frozen=True)
class AccelerationStepSettings(DeclaredSettings):
    """How often the controller samples the motion."""

    controller_period: float = setting(
        0.001,
        "Time between two commands of the controller: where a jerk bound is known, acceleration steps by no more than "
        "jerk times this",
        unit="s", minimum=1e-4, maximum=0.1, read_only=True,
    )  # fmt: skip


class AccelerationStep(Limit):
    """At points a joint's acceleration steps by no more than its jerk bound allows in one controller period.

    A controller that samples a motion turns a step of acceleration at a point, at the start (against the motion that is
    being executed) or at the end into a jerk of step / period; libfranka, for one, stops the arm on more.
    Joints without a jerk bound are not held against it.
    """

    name = "acceleration_step"
    order = 75
    cure = Cure.SLOWING
    settings_type = AccelerationStepSettings

    @classmethod
    def for_robot(cls, robot: GuardedRobot, settings: AccelerationStepSettings) -> Sequence[AccelerationStep]:
        """See ``Check.for_robot``."""
        bounded = any(np.isfinite(joint.jerk) for joint in robot.limits.joints.values())
        return (cls(settings),) if bounded else ()

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        if case.motion.degree < 3 or len(case.motion.times) < 2:
            return []
        motion, period = case.motion, self.settings.controller_period
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
                    value=float(step[knot, joint]),
                    bound=float(np.copysign(bound[joint], step[knot, joint])),
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
