"""How a trajectory joins what the robot is doing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.checks.base import Case, Limit
from cosmos_ros.guard.context import GuardContext, in_order
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.trajectory.splice import motion_at
from cosmos_ros.types import NANOSECONDS, FloatArray


@dataclass(frozen=True)
class StartSettings(DeclaredSettings):
    """How exactly a trajectory joins what the robot is doing."""

    start_position_tolerance: float = setting(
        0.02, "Largest jump of position at the start", unit="rad or m", minimum=0.0, maximum=1.0, read_only=True
    )
    start_velocity_tolerance: float = setting(
        0.1, "Largest jump of velocity at the start", unit="rad/s or m/s", minimum=0.0, maximum=10.0, read_only=True
    )
    tracking_tolerance: float = setting(
        0.15, "Largest distance of the robot from the motion being executed", unit="rad or m", minimum=0.0, maximum=3.0,
        read_only=True,
    )  # fmt: skip


def jump(
    case: Case,
    settings: StartSettings,
    positions: FloatArray,
    velocities: FloatArray | None,
    *,
    what: str,
    implied: bool = False,
) -> list[Violation]:
    """Return the jumps from a state to the first point, one a joint.

    Args:
        case: What is judged.
        settings: The tolerances.
        positions, velocities: ``[J]`` of the state in the motion's order.
        what: The state's name for the report.
        implied: Lines count with the speed of their first segment.
    """
    motion, slack = case.motion, case.checking.slack
    position, velocity = settings.start_position_tolerance, settings.start_velocity_tolerance
    first = motion.trajectory
    found = []
    step = np.abs(_difference(first.positions[0] - positions, motion.table.continuous))
    speed = np.zeros_like(step)
    if first.velocities is not None and velocities is not None:
        speed = np.abs(first.velocities[0] - velocities)
    elif first.velocities is None and velocities is not None and implied and len(first.times_ns) > 1:
        step_ns = float(first.times_ns[1] - first.times_ns[0])
        speed = np.abs((first.positions[1] - first.positions[0]) * (NANOSECONDS / step_ns) - velocities)
    if (step <= position + slack).all() and (speed <= velocity + slack).all():
        return []
    for joint in range(len(step)):
        for value, bound, kind in ((step[joint], position, "position"), (speed[joint], velocity, "velocity")):
            if not value <= bound + slack:
                found.append(
                    Violation(
                        limit="start_discontinuity",
                        joint=motion.names[joint],
                        step=0,
                        time=float(motion.times[motion.offset]),
                        value=float(value),
                        bound=bound,
                        message=f"{kind} jumps from {what}",
                    )
                )
                break
    return found


def _difference(difference: FloatArray, continuous: np.ndarray) -> FloatArray:
    """Return joint differences, continuous joints by the short way."""
    if not continuous.any():
        return difference
    wrapped = np.mod(difference + np.pi, 2.0 * np.pi) - np.pi
    result: FloatArray = np.where(continuous, wrapped, difference)
    return result


class StartDiscontinuity(Limit):
    """No jump at the start: from the motion being executed, else from the measured state, in position and velocity.

    While a trajectory is being executed the new one must lie on it, and the measured state must follow it within the
    tracking tolerance. Otherwise the first point must lie on the measured state.
    """

    name = "start_discontinuity"
    order = 20
    settings_type = StartSettings

    def __call__(self, case: Case) -> list[Violation]:
        """See class."""
        motion, context, settings = case.motion, case.context, self.settings
        measured = context.measured
        if measured is None:
            return []
        positions, velocities = in_order(measured, motion.names)
        commanded = commanded_at(context, motion.names, start_ns(case))
        if commanded is None:
            if motion.offset:  # it moves there from the measured state, within the other limits
                return []
            return jump(case, settings, positions, velocities, what="the measured state")
        found = []
        if not motion.offset:
            found = jump(case, settings, commanded[0], commanded[1], what="the motion being executed", implied=True)
        expected = commanded_at(context, motion.names, measured.stamp_ns)
        if expected is not None:
            error = np.abs(_difference(positions - expected[0], motion.table.continuous))
            found += [
                Violation(
                    limit=self.name,
                    joint=motion.names[joint],
                    step=0,
                    time=float(motion.times[motion.offset]),
                    value=float(error[joint]),
                    bound=settings.tracking_tolerance,
                    message="the robot does not follow what it was sent",
                )
                for joint in np.flatnonzero(~(error <= settings.tracking_tolerance + case.checking.slack))
            ]
        return found


def start_ns(case: Case) -> int:
    """Return the absolute time of the first point; now for an unstamped trajectory."""
    trajectory = case.motion.trajectory
    return (trajectory.stamp_ns or case.context.now_ns) + int(trajectory.times_ns[0])


def commanded_at(context: GuardContext, names: tuple[str, ...], time_ns: int) -> tuple[FloatArray, FloatArray] | None:
    """Return commanded positions and velocities while a trajectory with any of these joints is executed, else None.

    Joints that it lacks (a gripper with a controller of its own) are where they were measured, at rest.
    """
    executing, end = context.executing, context.moving_until_ns()
    if executing is None or end is None or time_ns >= end:
        return None
    at = motion_at(executing, time_ns)
    if set(names) <= set(at.joint_names):
        order = [at.joint_names.index(name) for name in names]
        return at.positions[order], at.velocities[order]
    known = [k for k, name in enumerate(names) if name in at.joint_names]
    if not known or context.measured is None:
        return None
    positions = in_order(context.measured, names)[0].copy()
    velocities = np.zeros_like(positions)
    order = [at.joint_names.index(names[k]) for k in known]
    positions[known], velocities[known] = at.positions[order], at.velocities[order]
    return positions, velocities
