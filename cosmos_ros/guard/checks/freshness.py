"""How old the joint state and the trajectory are. Both checks end the judgement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.checking_settings import CheckingSettings
from cosmos_ros.guard.checks.base import Precondition
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import NANOSECONDS, JointTrajectory

# Stamps of one machine may lie this far in the future without the clock having jumped.
_FUTURE = 0.05


@dataclass(frozen=True)
class StateSettings(DeclaredSettings):
    """How old a joint state may be."""

    max_state_age: float = setting(
        0.2, "Oldest joint state that a judgement may rest on", unit="s", minimum=0.01, maximum=10.0, read_only=True
    )


class StaleState(Precondition):
    """The joint state is there, recent, and not from the future."""

    name = "stale_state"
    order = 2
    settings_type = StateSettings

    def refuse(self, trajectory: JointTrajectory, context: GuardContext, checking: CheckingSettings) -> list[Violation]:
        """See class."""
        measured, age, oldest = context.measured, context.state_age, self.settings.max_state_age
        if measured is None or age is None:
            return [Violation(self.name, time=0.0, message="no joint state yet")]
        if age > oldest + checking.slack:
            return [Violation(self.name, time=0.0, value=age, bound=oldest, message="joint state too old")]
        if age < -_FUTURE:
            return [Violation(self.name, time=0.0, value=age, bound=-_FUTURE, message="joint state from the future")]
        return []


@dataclass(frozen=True)
class StampSettings(DeclaredSettings):
    """When a trajectory may begin."""

    max_stamp_age: float = setting(
        0.5, "How far a trajectory's start may lie in the past", unit="s", minimum=0.0, maximum=60.0, read_only=True
    )
    max_stamp_lead: float = setting(
        1.0, "How far a trajectory's start may lie in the future", unit="s", minimum=0.0, maximum=60.0, read_only=True
    )


class Stamp(Precondition):
    """The trajectory begins now: not all of it has passed, and it starts neither long ago nor far in the future."""

    name = "stamp"
    order = 4
    settings_type = StampSettings

    def refuse(self, trajectory: JointTrajectory, context: GuardContext, checking: CheckingSettings) -> list[Violation]:
        """See class."""
        if trajectory.stamp_ns == 0:
            return []
        name, oldest, latest = self.name, self.settings.max_stamp_age, self.settings.max_stamp_lead
        lead = (trajectory.stamp_ns + int(trajectory.times_ns[0]) - context.now_ns) / NANOSECONDS
        left = (trajectory.stamp_ns + int(trajectory.times_ns[-1]) - context.now_ns) / NANOSECONDS
        if left <= 0.0 and (lead < 0.0 or len(trajectory.times_ns) > 1):
            return [Violation(name, value=left, bound=0.0, message="all of it lies in the past")]
        if lead < -oldest:
            return [Violation(name, value=-lead, bound=oldest, message="starts too far in the past")]
        if lead > latest:
            return [Violation(name, value=lead, bound=latest, message="starts too far in the future")]
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
    if measured.velocities is not None:  # NaN is what a driver says where its hardware measures none
        finite &= ~np.isinf(measured.velocities)
    if finite.all():
        return []
    return [
        Violation("nonfinite", joint=joint, time=0.0, message="in the joint state")
        for joint in trajectory.joint_names
        if not finite[measured.names.index(joint)]
    ]
