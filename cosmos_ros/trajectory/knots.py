"""Velocities at the knots of a sampled motion, for the cubics that a trajectory controller runs through them.

Arms get the twice continuously differentiable spline: of all curves through the knots it has the least mean square
acceleration, and over real teleoperated motion the lowest peaks too (lower than central differences, much lower than
monotone slopes, whose acceleration jumps at every knot). Only where such a curve would pass a position limit between
two knots that keep it are the slopes of these knots replaced by monotone ones. Grippers, which go in steps, get
monotone slopes throughout: no overshoot past closed or open.
"""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from cosmos_ros.trajectory.extrema import extrema, unit_coefficients
from cosmos_ros.trajectory.piecewise import hermite_coefficients
from cosmos_ros.types import FloatArray

_SLACK = 1e-9


def spline_velocities(times: FloatArray, positions: FloatArray, start_velocity: FloatArray) -> FloatArray:
    """Return ``[N, J]`` slopes of the C² cubic spline, with no acceleration at the end.

    Args:
        times: ``[N]`` seconds, N ≥ 2, strictly increasing.
        positions: ``[N, J]``.
        start_velocity: ``[J]``; NaN where none is known, which means no acceleration at the start instead.
    """
    velocities = np.empty_like(positions)
    known = np.isfinite(start_velocity)
    if known.any():
        rest = np.zeros(int(known.sum()))
        spline = CubicSpline(times, positions[:, known], bc_type=((1, start_velocity[known]), (2, rest)))
        velocities[:, known] = spline(times, 1)
    if not known.all():
        velocities[:, ~known] = CubicSpline(times, positions[:, ~known], bc_type="natural")(times, 1)
    return velocities


def monotone_velocities(times: FloatArray, positions: FloatArray) -> FloatArray:
    """Return ``[N, J]`` slopes of a monotone cubic (Fritsch and Butland 1984), zero at both ends.

    Interior slopes are the weighted harmonic mean of the two neighbouring secants, zero where these change sign.
    """
    velocities = np.zeros_like(positions)
    if len(times) < 3:
        return velocities
    steps = np.diff(times)[:, None]
    secants = np.diff(positions, axis=0) / steps
    before, after = secants[:-1], secants[1:]
    w_before, w_after = 2.0 * steps[1:] + steps[:-1], steps[1:] + 2.0 * steps[:-1]
    same = before * after > 0.0
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean = (w_before + w_after) / (w_before / before + w_after / after)
    velocities[1:-1] = np.where(same, mean, 0.0)
    return velocities


def within_limits(
    times: FloatArray, positions: FloatArray, velocities: FloatArray, lower: FloatArray, upper: FloatArray
) -> FloatArray:
    """Return the velocities, made monotone at knots whose cubic would pass a limit between two knots that keep it.

    The start velocity stays: it was measured. The end velocity becomes one that can still be braked before the
    limit in the time of the last segment.

    Args:
        times: ``[N]`` seconds.
        positions, velocities: ``[N, J]``.
        lower, upper: ``[J]`` position limits; ±inf where there is none.
    """
    velocities = velocities.copy()
    steps = np.diff(times)
    room = np.stack([np.maximum(positions[-1] - lower, 0.0), np.maximum(upper - positions[-1], 0.0)])
    velocities[-1] = np.clip(velocities[-1], -2.0 * room[0] / steps[-1], 2.0 * room[1] / steps[-1])
    monotone = monotone_velocities(times, positions)
    inside = (positions >= lower - _SLACK) & (positions <= upper + _SLACK)
    replaced = np.zeros(positions.shape, dtype=bool)
    replaced[0] = True
    for _ in range(len(times)):
        unit = unit_coefficients(hermite_coefficients(steps, positions, velocities, None), steps, 3)
        span = extrema(unit.reshape(-1, 4))
        low, high = span.lower.reshape(unit.shape[:2]), span.upper.reshape(unit.shape[:2])
        passes = ((low < lower - _SLACK) | (high > upper + _SLACK)) & inside[:-1] & inside[1:]
        wanted = np.zeros_like(replaced)
        wanted[:-1] |= passes
        wanted[1:] |= passes
        wanted &= ~replaced
        if not wanted.any():
            break
        velocities[wanted] = monotone[wanted]
        replaced |= wanted
    return velocities


def braking_time(
    positions: FloatArray, velocities: FloatArray, decelerations: FloatArray, lower: FloatArray, upper: FloatArray
) -> float:
    """Return the time in which all joints come to rest together at constant decelerations, seconds.

    Args:
        positions, velocities: ``[J]`` at the last knot.
        decelerations: ``[J]`` what each joint may do, > 0.
        lower, upper: ``[J]`` position limits, which shorten the time where the way to them is shorter.
    """
    speed = np.abs(velocities)
    moving = speed > 0.0
    if not moving.any():
        return 0.0
    wanted = float((speed[moving] / decelerations[moving]).max())
    room = np.where(velocities > 0.0, upper - positions, positions - lower)
    longest = float((2.0 * np.maximum(room[moving], 0.0) / speed[moving]).min())
    return min(wanted, longest)
