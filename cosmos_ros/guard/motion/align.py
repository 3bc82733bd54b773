"""Bring a trajectory to the moment of sending, so that what is checked is what the controller runs.

A JointTrajectoryController bridges from its state to the first point when that lies in the future, and cuts in
where it lies in the past. Both are made explicit here: the result starts at now, on the motion being executed.
"""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.checks.start import commanded_at
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.motion.joint_motion import Knot
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory

# Knots of a lead-in, and the shortest segment that is worth having.
LEAD_IN_STEP_NS = 5_000_000
SHORTEST_NS = 1_000_000


def align(trajectory: JointTrajectory, context: GuardContext, start: Knot | None) -> tuple[JointTrajectory, str]:
    """Return the trajectory as it runs from now on, and what was done (empty when nothing).

    Args:
        trajectory: Passed all terminal checks.
        context: The moment.
        start: State of the commanded motion (or the measured one) at now; None leaves a later start alone.
    """
    now = context.now_ns
    stamp = trajectory.stamp_ns or now
    begin = stamp + int(trajectory.times_ns[0])
    if begin == now:
        shifted = trajectory.times_ns - trajectory.times_ns[0]
        return _with(
            trajectory, now, shifted, trajectory.positions, trajectory.velocities, trajectory.accelerations
        ), ""
    if begin < now:
        return _cut(trajectory, stamp, now)
    if start is None:
        return trajectory, ""
    return _lead_in(trajectory, context, stamp, begin, start)


def _with(
    like: JointTrajectory,
    stamp: int,
    times: np.ndarray,
    positions: FloatArray,
    velocities: FloatArray | None,
    accelerations: FloatArray | None,
) -> JointTrajectory:
    return JointTrajectory(like.joint_names, stamp, times.astype(np.int64), positions, velocities, accelerations)


def _cut(trajectory: JointTrajectory, stamp: int, now: int) -> tuple[JointTrajectory, str]:
    """Drop what has passed; a piece of a cubic or quintic between knots is exactly one again."""
    absolute = stamp + trajectory.times_ns
    if len(absolute) == 1 or now >= absolute[-1]:
        keep = trajectory.positions[-1:]
        still = np.zeros_like(keep)
        return _with(
            trajectory, now, np.zeros(1), keep,
            None if trajectory.velocities is None else still, None if trajectory.accelerations is None else still,
        ), "all but the last point has passed"  # fmt: skip
    spline = piecewise(trajectory)
    at = (now - stamp) / NANOSECONDS
    later = np.flatnonzero(absolute >= now + SHORTEST_NS)
    if not later.size:
        later = np.array([len(absolute) - 1])
    rows = [spline(at), spline.derivative()(at), spline.derivative(2)(at)]
    fields = [trajectory.positions, trajectory.velocities, trajectory.accelerations]
    joined = [
        None if field is None else np.concatenate((row[None], field[later]))
        for row, field in zip(rows, fields, strict=True)
    ]
    positions = joined[0]
    assert positions is not None
    times = np.concatenate(([0], absolute[later] - now))
    note = f"starts {(now - int(absolute[0])) / 1e6:.0f} ms ago, cut to now"
    return _with(trajectory, now, times, positions, joined[1], joined[2]), note


def _lead_in(
    trajectory: JointTrajectory, context: GuardContext, stamp: int, begin: int, start: Knot
) -> tuple[JointTrajectory, str]:
    """Prepend the executed motion from now to the first point; at rest, wait or move there."""
    now, names = context.now_ns, trajectory.joint_names
    times = stamp + trajectory.times_ns
    if begin - now < SHORTEST_NS and len(times) > 1:
        # Too close for a segment of its own: begin with the first point itself.
        return _with(
            trajectory, begin, times - begin, trajectory.positions, trajectory.velocities, trajectory.accelerations
        ), ""
    executed = commanded_at(context, names, now)
    if executed is None:
        positions = start.positions[None]
        velocities, accelerations = start.velocities[None], np.zeros_like(positions)
        if trajectory.times_ns[0] == 0:
            # It wants to start later from where it says the arm is: until then the command stays at its first point.
            positions = trajectory.positions[:1]
            velocities = np.zeros_like(positions) if trajectory.velocities is None else trajectory.velocities[:1] * 0.0
        moments = np.array([now], dtype=np.int64)
        what = "waits" if trajectory.times_ns[0] == 0 else "moves to the first point"
    else:
        assert context.executing is not None
        count = max(1, round((begin - now) / LEAD_IN_STEP_NS))
        moments = now + np.arange(count, dtype=np.int64) * ((begin - now) // count)
        spline = piecewise(context.executing)
        known = [k for k, name in enumerate(names) if name in context.executing.joint_names]
        order = [context.executing.joint_names.index(names[k]) for k in known]
        at = (moments - context.executing.stamp_ns) / NANOSECONDS
        first = float(context.executing.times_ns[0]) / NANOSECONDS
        moving = (at >= first)[:, None]
        positions = np.tile(executed[0], (count, 1))  # what the executed motion lacks stays where it is
        velocities, accelerations = np.zeros_like(positions), np.zeros_like(positions)
        positions[:, known] = spline(at)[:, order]
        velocities[:, known] = np.where(moving, spline.derivative()(at)[:, order], 0.0)
        accelerations[:, known] = np.where(moving, spline.derivative(2)(at)[:, order], 0.0)
        what = "continues the executed motion"
    joined = np.concatenate((moments, times))
    return _with(
        trajectory,
        now,
        joined - now,
        np.concatenate((positions, trajectory.positions)),
        None if trajectory.velocities is None else np.concatenate((velocities, trajectory.velocities)),
        None if trajectory.accelerations is None else np.concatenate((accelerations, trajectory.accelerations)),
    ), f"{what} for {(begin - now) / 1e6:.0f} ms first"
