"""Ways to rest that need no path: an even deceleration, a hold, a stop from lines."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cosmos_ros.guard.motion.limit_table import LimitTable
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory

# How long a hold lasts at least; the guard lengthens it, s.
_HOLD = 0.01


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
    table: LimitTable, positions: FloatArray, speed: FloatArray, stamp_ns: int, *, scale: float, shortest: float
) -> JointTrajectory:
    """Return the stop of an arm that is moved by something else: all joints decelerate together, inside their bounds.

    It is as gentle as ``scale`` of the acceleration bounds asks for, or harder, up to the bounds themselves, where the
    way to a position bound is shorter than that. A joint that cannot stop before its bound even so is commanded to
    where it can; one that is faster than it may be makes the whole begin slower.

    Args:
        table: Limits in the order of the columns.
        positions, speed: ``float64 [J]`` as measured.
        stamp_ns: Now.
        scale: Part of the acceleration bounds to use.
        shortest: Least duration, s.
    """
    with np.errstate(all="ignore"):
        speed = speed * np.min(
            np.where(np.abs(speed) > table.velocity, table.velocity / np.abs(speed), 1.0), initial=1.0
        )
        room = np.maximum(np.where(speed > 0.0, table.upper - positions, positions - table.lower), 0.0)
        within = np.min(np.where(speed != 0.0, 2.0 * room / np.abs(speed), np.inf), initial=np.inf)
        least = float(np.max(np.abs(speed) / table.acceleration, initial=0.0))
    seconds = max(min(stopping_time(speed, table.acceleration * scale), within), least, shortest)
    stop_ns = int(np.ceil(seconds * NANOSECONDS))
    seconds = stop_ns / NANOSECONDS
    speed = np.sign(speed) * np.minimum(np.abs(speed), 2.0 * room / seconds)
    goal = positions + 0.5 * seconds * speed
    return JointTrajectory(
        table.names,
        stamp_ns,
        np.array([0, stop_ns], dtype=np.int64),
        np.stack((positions, goal)),
        np.stack((speed, np.zeros_like(speed))),
    )


def stops_of_lines(
    executing: JointTrajectory, table: LimitTable, now_ns: int, *, scale: float, keep: float, shortest: float
) -> Iterator[JointTrajectory]:
    """Yield stops from a position-only trajectory, whose speed does not fall by itself: straight ahead, evenly.

    Args:
        executing: What is run; two points or more, and now between them.
        table: Limits in its column order.
        now_ns: Now.
        scale: Part of the acceleration bounds to use first; all of them next.
        keep: How long the line goes on before the stop, where it goes on for that long, s.
        shortest: Least time between points, s.
    """
    times = (executing.stamp_ns + executing.times_ns - now_ns) / NANOSECONDS
    segment = int(np.searchsorted(times, 0.0, side="right")) - 1
    step = times[segment + 1] - times[segment]
    speed = (executing.positions[segment + 1] - executing.positions[segment]) / step
    here = executing.positions[segment] - times[segment] * speed
    for lead in (keep, 0.0):
        if lead and not shortest <= lead < times[segment + 1]:
            continue
        for part in (scale, 1.0):
            seconds = max(stopping_time(speed, table.acceleration * part), shortest)
            moments = [0.0, lead, lead + seconds] if lead else [0.0, seconds]
            there = here + lead * speed
            ways = [here, there, there + 0.5 * seconds * speed] if lead else [here, here + 0.5 * seconds * speed]
            speeds = [speed] * (len(moments) - 1) + [np.zeros_like(speed)]
            yield JointTrajectory(
                executing.joint_names,
                now_ns,
                np.ceil(np.array(moments) * NANOSECONDS).astype(np.int64),
                np.stack(ways),
                np.stack(speeds),
            )


def end_of_lines(executing: JointTrajectory, now_ns: int, *, keep: float, shortest: float) -> JointTrajectory:
    """Return a position-only trajectory up to ``keep`` seconds from now, and a hold there.

    Lines may end at speed; what they must not do is make a controller that hears of the end a little later go back.
    """
    spline = piecewise(executing)
    begin = (now_ns - executing.stamp_ns) / NANOSECONDS
    keep = max(keep, shortest)
    knots = executing.times_ns / NANOSECONDS - begin
    between = knots[(knots > shortest) & (knots < keep - shortest)]
    moments = np.concatenate(([0.0], between, [keep]))
    positions = spline(begin + moments)
    return JointTrajectory(
        executing.joint_names,
        now_ns,
        np.round(np.append(moments, keep + max(shortest, _HOLD)) * NANOSECONDS).astype(np.int64),
        np.concatenate((positions, positions[-1:])),
    )
