"""Smoothing of joint positions as far as the tool may leave its poses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cosmos_ros.trajectory.knots import spline_velocities
from cosmos_ros.trajectory.piecewise import hermite_coefficients
from cosmos_ros.types import FloatArray

_FIRST_WEIGHT = 1e-3
_GROWTH = 3.0
_SMALLEST_GROWTH = 1.2
_ROUNDS = 24


def smooth(
    times: FloatArray,
    positions: FloatArray,
    start_velocity: FloatArray,
    accelerations: FloatArray,
    accept: Callable[[FloatArray], bool],
) -> FloatArray:
    """Return joint positions whose spline keeps the acceleration limits, or comes as close as ``accept`` lets it.

    Each joint that exceeds its limit minimises ``Σ (q - q̂)² + w h⁴ Σ q̈²`` (Whittaker 1923, q̈ by differences through
    the fixed start state), with the weight w raised step by step for as long as the limit is exceeded and the result is
    accepted. Joints that keep their limits are left alone.

    Args:
        times: ``[N]`` seconds, N ≥ 3; knot 0 is the start.
        positions: ``[N, J]``.
        start_velocity: ``[J]``, NaN where unknown.
        accelerations: ``[J]`` limits; ``inf`` where none is known.
        accept: Judges candidate positions ``[N, J]``, e.g. by the residuals of the tool.
    """
    weights, growth = np.zeros(positions.shape[1]), _GROWTH
    best = positions
    for _ in range(_ROUNDS):
        peaks = peak_accelerations(times, best, spline_velocities(times, best, start_velocity))
        over = peaks > accelerations
        if not over.any():
            break
        heavier = np.where(over, np.maximum(weights * growth, _FIRST_WEIGHT), weights)
        trial = best.copy()
        for joint in np.flatnonzero(over):
            trial[1:, joint] = _whittaker(times, positions[:, joint], float(start_velocity[joint]), heavier[joint])
        if accept(trial):
            best, weights = trial, heavier
        elif growth < _SMALLEST_GROWTH:
            break
        else:
            growth = growth**0.5
    return best


def peak_accelerations(times: FloatArray, positions: FloatArray, velocities: FloatArray) -> FloatArray:
    """Return the largest ``|q̈|`` of each joint's cubics, ``[J]``: it lies at a knot."""
    steps = np.diff(times)
    coefficients = hermite_coefficients(steps, positions, velocities, None)
    first = 2.0 * coefficients[..., 2]
    last = first + 6.0 * coefficients[..., 3] * steps[:, None]
    peaks: FloatArray = np.maximum(np.abs(first), np.abs(last)).max(axis=0)
    return peaks


def _whittaker(times: FloatArray, positions: FloatArray, start_velocity: float, weight: float) -> FloatArray:
    """Return ``[N - 1]`` smoothed positions after the fixed first one."""
    steps = np.diff(times)
    count = len(steps)
    second = np.zeros((count, count + 1))
    for row in range(1, count):
        before, after = steps[row - 1], steps[row]
        second[row, row - 1 : row + 2] = np.array([1.0 / before, -1.0 / before - 1.0 / after, 1.0 / after]) * (
            2.0 / (before + after)
        )
    constant = np.zeros(count)
    if np.isfinite(start_velocity):
        second[0, :2] = np.array([-1.0, 1.0]) * (2.0 / steps[0] ** 2)
        constant[0] = -2.0 * start_velocity / steps[0]
    scale = weight * float(np.median(steps)) ** 4
    free, fixed = second[:, 1:], second[:, 0] * positions[0] + constant
    matrix = np.eye(count) + scale * (free.T @ free)
    result: FloatArray = np.linalg.solve(matrix, positions[1:] - scale * (free.T @ fixed))
    return result
