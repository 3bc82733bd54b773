"""Ways to rest that need no path: a deceleration straight ahead, a hold; and the path that is left to run."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.motion.limit_table import LimitTable
from cosmos_ros.trajectory.executing import ExecutedMotion
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory

# How long a hold lasts at least; the guard lengthens it, s.
_HOLD = 0.01
# Points of a smooth stop, s, and of a quintic, ns.
_SMOOTH_STEP, _SMOOTH_POINTS = 0.01, 100
# Of a speed that falls as 1 - 3τ² + 2τ³: peak of the deceleration over its mean, and largest jerk over speed / time²,
# with what the cubics between the points add.
_PEAK, _SHARP = 1.55, 6.5


def stopping_time(speed: FloatArray, acceleration: FloatArray) -> float:
    """Return the shortest time in which all joints can decelerate together, evenly, to rest.

    Joints without a known acceleration bound are given 1 rad/s² (m/s²).
    """
    bound = np.where(np.isfinite(acceleration), acceleration, 1.0)
    return float(np.max(np.abs(speed) / bound, initial=0.0))


def hold(names: tuple[str, ...], positions: FloatArray, stamp_ns: int, *, shortest: float) -> JointTrajectory:
    """Return a standstill at ``positions [J]`` from a stamp on."""
    times = np.array([0, np.ceil(max(shortest, _HOLD) * NANOSECONDS)], dtype=np.int64)
    still = np.stack((positions, positions))
    return JointTrajectory(names, stamp_ns, times, still, np.zeros_like(still))


def even_stop(
    table: LimitTable,
    positions: FloatArray,
    speed: FloatArray,
    stamp_ns: int,
    *,
    fastest: FloatArray,
    scale: float,
    shortest: float,
) -> JointTrajectory:
    """Return a stop straight ahead: all joints decelerate together, inside their bounds.

    It is as gentle as ``scale`` of the acceleration bounds asks for, or harder, up to the bounds themselves, where the
    way to a position bound is shorter than that. A joint that cannot stop before its bound even so is commanded to
    where it can; one that is faster than the robot allows makes the whole begin slower.

    Args:
        table: Limits in the order of the columns.
        positions, speed: ``float64 [J]`` where it begins.
        stamp_ns: Now.
        fastest: ``float64 [J]``, the robot's own velocity bounds, without the share of them that trajectories may use.
        scale: Part of the acceleration bounds to use.
        shortest: Least time between points, s.
    """
    with np.errstate(all="ignore"):
        speed = speed * np.min(np.where(np.abs(speed) > fastest, fastest / np.abs(speed), 1.0), initial=1.0)
    times, rows, speeds = stop_ahead(table, positions, speed, scale=scale, shortest=shortest)
    if len(times) == 1:
        return hold(table.names, positions, stamp_ns, shortest=shortest)
    return JointTrajectory(table.names, stamp_ns, np.ceil(times * NANOSECONDS).astype(np.int64), rows, speeds)


def stop_ahead(
    table: LimitTable, positions: FloatArray, speed: FloatArray, *, scale: float, shortest: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return times ``[N]`` from 0, positions and velocities ``[N, J]`` of a stop straight ahead; see ``even_stop``.

    Where a joint's jerk is bounded the speed falls as ``1 - 3τ² + 2τ³`` of the time, so that acceleration begins and
    ends at zero; otherwise evenly. One row when nothing moves.
    """
    with np.errstate(all="ignore"):
        moving = np.abs(speed) > 0.0
        room = np.maximum(np.where(speed > 0.0, table.upper - positions, positions - table.lower), 0.0)
        within = float(np.min(np.where(moving, 2.0 * room / np.abs(speed), np.inf), initial=np.inf))
        least = float(np.max(np.abs(speed) / table.acceleration, initial=0.0))
        jerk = float(np.sqrt(np.max(_SHARP * np.abs(speed) / table.jerk, initial=0.0)))
        # Keeping the bound on position comes before being gentle.
        smooth = bool(np.isfinite(table.jerk[moving]).any()) and max(_PEAK * least, jerk) <= within
    if smooth:
        seconds = max(min(_PEAK * stopping_time(speed, table.acceleration * scale), within), _PEAK * least, jerk)
    else:
        seconds = max(min(stopping_time(speed, table.acceleration * scale), within), least)
    seconds = max(seconds, shortest)
    if not moving.any():
        return np.zeros(1), positions[None], np.zeros((1, len(speed)))
    seconds = np.ceil(seconds * NANOSECONDS) / NANOSECONDS
    speed = np.sign(speed) * np.minimum(np.abs(speed), 2.0 * room / seconds)
    count = 1
    if smooth:
        count = max(round(seconds / max(_SMOOTH_STEP, shortest)), min(6, int(seconds / shortest)), 1)
        count = min(count, _SMOOTH_POINTS)
    tau = np.linspace(0.0, 1.0, count + 1)[:, None]
    if smooth:
        way, pace = tau - tau**3 + 0.5 * tau**4, 1.0 - 3.0 * tau**2 + 2.0 * tau**3
    else:
        way, pace = tau - 0.5 * tau**2, 1.0 - tau
    return tau[:, 0] * seconds, positions + way * seconds * speed, pace * speed


def remaining(executed: ExecutedMotion, now_ns: int, *, shortest: float) -> JointTrajectory:
    """Return what the controllers will do from now on if nothing more is sent, all joints in one cubic trajectory.

    Args:
        executed: It moves, or will.
        now_ns: Now.
        shortest: Least time between points, s.
    """
    rest = executed.rest_ns
    assert rest is not None
    least = max(round(shortest * NANOSECONDS), 1)
    end = max(rest, now_ns + least)
    times = [*executed.cubic_knots(now_ns, end, least), end]
    positions, velocities, _ = executed.sample(times)
    velocities[-1] = 0.0
    return JointTrajectory(
        executed.joint_names, now_ns, np.array(times, dtype=np.int64) - now_ns, positions, velocities
    )
