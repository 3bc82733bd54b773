"""How old the joint state and the trajectory are. Both checks end the judgement."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.guard_settings import GuardConfig
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.types import NANOSECONDS, JointTrajectory

# Stamps of one machine may lie this far in the future without the clock having jumped.
_FUTURE = 0.05


def state(context: GuardContext, config: GuardConfig) -> list[Violation]:
    """Return why the joint state cannot be relied on: absent, old, or from the future."""
    name = "stale_state"
    measured, age = context.measured, context.state_age
    if measured is None or age is None:
        return [Violation(name, time=0.0, message="no joint state yet")]
    if age > config.max_state_age + config.slack:
        return [Violation(name, time=0.0, value=age, bound=config.max_state_age, message="joint state too old")]
    if age < -_FUTURE:
        return [Violation(name, time=0.0, value=age, bound=-_FUTURE, message="joint state from the future")]
    return []


def present(trajectory: JointTrajectory, context: GuardContext) -> list[Violation]:
    """Return joints of the trajectory that the joint state lacks, or whose value is not finite."""
    measured = context.measured
    if measured is None:
        return []
    if trajectory.joint_names != measured.names:
        known = set(measured.names)
        missing = [joint for joint in trajectory.joint_names if joint not in known]
        if missing:
            message = "not in the joint state"
            return [Violation("stale_state", joint=joint, time=0.0, message=message) for joint in missing]
    finite = np.isfinite(measured.positions)
    if measured.velocities is not None:
        finite &= np.isfinite(measured.velocities)
    if finite.all():
        return []
    return [
        Violation("nonfinite", joint=joint, time=0.0, message="in the joint state")
        for joint in trajectory.joint_names
        if not finite[measured.names.index(joint)]
    ]


def stamp(trajectory: JointTrajectory, context: GuardContext, config: GuardConfig) -> list[Violation]:
    """Return why the trajectory's start is not now: passed, too old, too far ahead."""
    if trajectory.stamp_ns == 0:
        return []
    name = "stamp"
    lead = (trajectory.stamp_ns + int(trajectory.times_ns[0]) - context.now_ns) / NANOSECONDS
    left = (trajectory.stamp_ns + int(trajectory.times_ns[-1]) - context.now_ns) / NANOSECONDS
    if left <= 0.0 and (lead < 0.0 or len(trajectory.times_ns) > 1):
        return [Violation(name, value=left, bound=0.0, message="all of it lies in the past")]
    if lead < -config.max_stamp_age:
        return [Violation(name, value=-lead, bound=config.max_stamp_age, message="starts too far in the past")]
    if lead > config.max_stamp_lead:
        return [Violation(name, value=lead, bound=config.max_stamp_lead, message="starts too far in the future")]
    return []
