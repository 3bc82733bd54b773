"""Structure, names, lengths, finiteness and timing: what must hold before a motion can be computed at all.

These are terminal and run in this order. All work on plain sequences, so that a ragged message can be judged too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.verdict import Violation
from cosmos_ros.limits import RobotLimits
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory

_MAX_TIME = 2**62 / NANOSECONDS


@dataclass(frozen=True)
class RawPoint:
    """One trajectory point as it came; empty sequences where a field was not given."""

    time: float | int
    positions: Sequence[float]
    velocities: Sequence[float] = ()
    accelerations: Sequence[float] = ()
    effort: Sequence[float] = ()


@dataclass(frozen=True)
class RawTrajectory:
    """A trajectory before anything is known about it; times in seconds (float) or nanoseconds (int)."""

    joint_names: tuple[str, ...]
    stamp_ns: int
    points: tuple[RawPoint, ...]


def assemble(raw: RawTrajectory, limits: RobotLimits) -> JointTrajectory | list[Violation]:
    """Return the record of a raw trajectory, or what makes one impossible.

    That is structure, names, lengths, commanded efforts and non-finite times, in this order. Efforts are held against
    their bounds and not passed on: the guard sends motion only.
    """
    structure = _structure(raw)
    if structure is not None:
        return [structure]
    wrong = names(raw.joint_names, limits)
    if wrong:
        return wrong
    length = _lengths(raw)
    if length is not None:
        return [length]
    forced = _efforts(raw, limits)
    if forced:
        return forced
    times = []
    for step, point in enumerate(raw.points):
        if isinstance(point.time, int):
            times.append(point.time)
        elif not math.isfinite(point.time):
            return [Violation("nonfinite", step=step, message="time_from_start")]
        elif abs(point.time) > _MAX_TIME:
            return [Violation("timing", step=step, value=point.time, bound=_MAX_TIME, message="no clock counts so far")]
        else:
            times.append(round(point.time * NANOSECONDS))

    def table(rows: Iterable[Sequence[float]]) -> FloatArray:
        return np.array([list(row) for row in rows], dtype=np.float64).reshape(len(raw.points), len(raw.joint_names))

    first = raw.points[0]
    return JointTrajectory(
        joint_names=raw.joint_names,
        stamp_ns=raw.stamp_ns,
        times_ns=np.array(times, dtype=np.int64),
        positions=table(p.positions for p in raw.points),
        velocities=table(p.velocities for p in raw.points) if len(first.velocities) else None,
        accelerations=table(p.accelerations for p in raw.points) if len(first.accelerations) else None,
    )


def _seconds(point: RawPoint) -> float | None:
    time = point.time / NANOSECONDS if isinstance(point.time, int) else point.time
    return time if math.isfinite(time) else None


def _structure(raw: RawTrajectory) -> Violation | None:
    if not raw.points:
        return Violation("structure", message="no points")
    if not raw.joint_names:
        return Violation("structure", message="no joint names")
    first = raw.points[0]
    for step, point in enumerate(raw.points):
        for field in ("velocities", "accelerations"):
            if bool(len(getattr(point, field))) != bool(len(getattr(first, field))):
                return Violation(
                    "structure", step=step, time=_seconds(point), message=f"{field} are given at some points only"
                )
    if len(first.accelerations) and not len(first.velocities):
        return Violation("structure", message="accelerations without velocities")
    return None


def _lengths(raw: RawTrajectory) -> Violation | None:
    width = len(raw.joint_names)
    for step, point in enumerate(raw.points):
        for field in ("positions", "velocities", "accelerations", "effort"):
            length = len(getattr(point, field))
            if length != width and (length or field == "positions"):
                return Violation(
                    "lengths",
                    step=step,
                    time=_seconds(point),
                    value=float(length),
                    bound=float(width),
                    message=f"{field} has {length} values for {width} joints",
                )
    return None


def _efforts(raw: RawTrajectory, limits: RobotLimits) -> list[Violation]:
    """Return the first commanded effort of each joint (N, Nm) that is not finite or above what the joint may."""
    found: dict[str, Violation] = {}
    for step, point in enumerate(raw.points):
        for joint, value in zip(raw.joint_names, point.effort, strict=False):
            bound = limits.joints[joint].effort
            if joint in found or (math.isfinite(value) and abs(value) <= bound):
                continue
            limit = "effort" if math.isfinite(value) else "nonfinite"
            message = "commanded" if limit == "effort" else f"effort is {value}"
            found[joint] = Violation(
                limit, joint=joint, step=step, time=_seconds(point), value=float(value), bound=bound, message=message
            )
    return list(found.values())


def names(joint_names: Sequence[str], limits: RobotLimits, groups: Sequence[Sequence[str]] = ()) -> list[Violation]:
    """Return duplicate, unknown and missing joint names, in this order; groups come whole or not at all."""
    found = []
    seen: set[str] = set()
    for name in joint_names:
        if name in seen:
            found.append(Violation("joint_names", joint=name, message="named twice"))
        seen.add(name)
    found += [
        Violation("joint_names", joint=name, message="not a joint of this robot")
        for name in joint_names
        if name not in limits.joints
    ]
    found += [
        Violation("joint_names", joint=name, message="missing") for name in limits.required_joints if name not in seen
    ]
    for group in groups:
        if seen.intersection(group):
            missing = [name for name in group if name not in seen and name not in limits.required_joints]
            found += [Violation("joint_names", joint=name, message="missing for its controller") for name in missing]
    return found


def structure(trajectory: JointTrajectory, max_points: int) -> list[Violation]:
    """Return what is wrong with a record as a whole."""
    count, width = len(trajectory.times_ns), len(trajectory.joint_names)
    if not count or not width:
        return [Violation("structure", message="no points" if not count else "no joint names")]
    if count > max_points:
        return [Violation("structure", value=float(count), bound=float(max_points), message="too many points")]
    if trajectory.accelerations is not None and trajectory.velocities is None:
        return [Violation("structure", message="accelerations without velocities")]
    return []


def lengths(trajectory: JointTrajectory) -> list[Violation]:
    """Return the arrays whose shape does not fit the names and times."""
    count, width = len(trajectory.times_ns), len(trajectory.joint_names)
    for field in ("positions", "velocities", "accelerations"):
        values = getattr(trajectory, field)
        if values is not None and values.shape != (count, width):
            return [Violation("lengths", message=f"{field} has shape {values.shape}, expected {(count, width)}")]
    return []


def finite(trajectory: JointTrajectory) -> list[Violation]:
    """Return the places of numbers that are not finite, the earliest of each joint."""
    fields = ("positions", "velocities", "accelerations")
    found = []
    seen: set[int] = set()
    for field in fields:
        values = getattr(trajectory, field)
        if values is None or np.isfinite(values).all():
            continue
        for step, joint in np.argwhere(~np.isfinite(values)):
            if int(joint) in seen:
                continue
            seen.add(int(joint))
            found.append(
                Violation(
                    "nonfinite",
                    joint=trajectory.joint_names[joint],
                    step=int(step),
                    time=float(trajectory.times_ns[step]) / NANOSECONDS,
                    message=f"{field} is {values[step, joint]}",
                )
            )
    return found


def increasing(trajectory: JointTrajectory) -> list[Violation]:
    """Return the first time that is negative or does not increase."""
    times = trajectory.times_ns
    if times[0] < 0:
        return [timing(trajectory, 0, "negative time_from_start")]
    stuck = np.flatnonzero(times[1:] <= times[:-1])
    return [timing(trajectory, int(stuck[0]) + 1, "times do not increase")] if stuck.size else []


def timing(
    trajectory: JointTrajectory, step: int, message: str, value: float | None = None, bound: float | None = None
) -> Violation:
    """Return a violation of the times at a step."""
    time = float(trajectory.times_ns[step]) / NANOSECONDS
    return Violation("timing", step=step, time=time, value=value, bound=bound, message=message)
