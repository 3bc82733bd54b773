"""From the openings that a model asks for to a motion that a gripper can make, without going back and forth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cosmos_ros.trajectory.knots import monotone_velocities
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory

# A monotone cubic goes at most 1.5 times its secant (rest to rest).
_CUBIC_PEAK = 1.5
# Longest time for a moving gripper to stop, s.
_BRAKING = 0.1


def plan_gripper(
    times: FloatArray, wanted: FloatArray, start: float, start_velocity: float, fastest: float
) -> tuple[FloatArray, FloatArray]:
    """Return positions and velocities ``[N]`` that take a gripper's joint from where it is commanded to what is wanted.

    Each knot goes as far towards its wanted position as the speed allows; between knots it never overshoots. Where
    the wanted positions come to the commanded one by themselves (a model that closes on from an opening that it saw a
    while ago), the gripper waits for them: it does not open first to close again. A gripper that moves brakes within a
    tenth of a second before it waits or turns round, but not past everything that is wanted.

    Args:
        times: ``[N]`` seconds, strictly increasing; the motion begins at the first.
        wanted: ``[N]`` positions, rad or m; the first is not used.
        start, start_velocity: Commanded at the first time; a velocity not measured is NaN.
        fastest: Largest speed, rad/s or m/s; ``inf`` where none is known.
    """
    goals = np.array(wanted, dtype=np.float64)
    velocity = float(np.clip(np.nan_to_num(start_velocity, nan=0.0), -fastest, fastest))
    after = times - times[0]
    rest, duration = _stop(float(after[1]), start, velocity, goals[1:])
    goals[1 : 1 + _waits(goals[1:], rest)] = rest
    positions = np.empty_like(goals)
    positions[0] = start
    reach = fastest / _CUBIC_PEAK * np.diff(times)
    farther = max if velocity > 0.0 else min
    for k, (goal, step) in enumerate(zip(goals[1:], reach, strict=True), start=1):
        positions[k] = min(max(goal, positions[k - 1] - step), positions[k - 1] + step)
        if k == 1 or after[k] < duration:
            left = 1.0 - after[k] / duration if after[k] < duration else 0.0
            positions[k] = farther(positions[k], start + (rest - start) * (1.0 - left**3))
    velocities: FloatArray = monotone_velocities(times, positions[:, None])[:, 0]
    # Up to three times the secant a cubic stays monotone (Fritsch and Carlson 1980), and no faster than its ends.
    steepest = 3.0 * (positions[1] - positions[0]) / (times[1] - times[0])
    velocities[0] = np.clip(velocity, min(0.0, steepest), max(0.0, steepest))
    return positions, velocities


def _stop(step: float, start: float, velocity: float, wanted: FloatArray) -> tuple[float, float]:
    """Return where a moving gripper comes to rest, and after how long: by a cubic whose acceleration ends at zero.

    Args:
        step: Time to the first knot after the start, s; it stops no sooner without need.
        start, velocity: Where it is, and how fast.
        wanted: ``[N - 1]`` after the start. It stops before it is past all of them.
    """
    if velocity == 0.0:
        return start, 0.0
    rest = start + velocity * max(_BRAKING, step) / 3.0
    rest = float(np.clip(rest, min(start, float(wanted.min())), max(start, float(wanted.max()))))
    return rest, 3.0 * (rest - start) / velocity


def _waits(rows: FloatArray, start: float) -> int:
    """Return for how many rows to stay at ``start``, because the rows come nearest to it only after them."""
    away = (rows - start) * np.sign(rows[0] - start)
    arrived = np.flatnonzero(away <= 0.0)
    nearest = int(arrived[0]) if arrived.size else int(np.argmin(away))
    # Rows that first go away from it are followed there.
    return nearest if (away[: nearest + 1] <= away[0]).all() else 0


def with_grippers_planned(trajectory: JointTrajectory, fastest: Mapping[str, float]) -> JointTrajectory:
    """Return a trajectory whose gripper columns, as the model wants them, are replaced by what the grippers can do.

    Args:
        trajectory: At least two points; the first is where the robot is, and with which velocity.
        fastest: Gripper joint → largest speed, rad/s or m/s; joints that the trajectory lacks do not matter.
    """
    assert trajectory.velocities is not None
    positions, velocities = trajectory.positions.copy(), trajectory.velocities.copy()
    times = trajectory.times_ns / NANOSECONDS
    for k, name in enumerate(trajectory.joint_names):
        if name in fastest:
            start = float(positions[0, k]), float(velocities[0, k])
            positions[:, k], velocities[:, k] = plan_gripper(times, positions[:, k], *start, fastest[name])
    return replace(trajectory, positions=positions, velocities=velocities)
