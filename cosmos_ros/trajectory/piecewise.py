"""A joint trajectory as the piecewise polynomial that a JointTrajectoryController executes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory

Interpolation = Literal["linear", "cubic", "quintic"]


def interpolation_of(trajectory: JointTrajectory) -> Interpolation:
    """Return how the controller would interpolate, by which fields are present (ros2_controllers' rule)."""
    if trajectory.velocities is None:
        return "linear"
    return "cubic" if trajectory.accelerations is None else "quintic"


@dataclass(frozen=True)
class PiecewisePolynomial:
    """Polynomial segments between knots, one column a joint.

    Attributes:
        times: ``float64 [N]`` knot times in seconds, strictly increasing.
        coefficients: ``float64 [N-1, J, 6]``, ascending powers of the time since the segment's start.
    """

    times: FloatArray
    coefficients: FloatArray

    @cached_property
    def durations(self) -> FloatArray:
        """``float64 [N-1]`` segment lengths in seconds."""
        return np.diff(self.times)

    def derivative(self, order: int = 1) -> PiecewisePolynomial:
        """Return the order-th derivative; coefficients keep their width, padded with zeros."""
        coefficients = self.coefficients
        for _ in range(order):
            shifted = np.zeros_like(coefficients)
            shifted[..., :-1] = coefficients[..., 1:] * np.arange(1, coefficients.shape[-1])
            coefficients = shifted
        return PiecewisePolynomial(self.times, coefficients)

    def __call__(self, time: float | FloatArray) -> FloatArray:
        """Evaluate at seconds ``time``: ``[J]`` for a scalar, ``[M, J]`` for ``[M]``; clamped to the ends."""
        t = np.clip(np.atleast_1d(np.asarray(time, dtype=np.float64)), self.times[0], self.times[-1])
        segment = np.clip(np.searchsorted(self.times, t, side="right") - 1, 0, len(self.times) - 2)
        powers = (t - self.times[segment])[:, None] ** np.arange(self.coefficients.shape[-1])
        value: FloatArray = np.einsum("mjp,mp->mj", self.coefficients[segment], powers)
        return value[0] if np.ndim(time) == 0 else value


def hermite_coefficients(
    durations: FloatArray,
    positions: FloatArray,
    velocities: FloatArray | None,
    accelerations: FloatArray | None,
) -> FloatArray:
    """Return segment coefficients ``float64 [N-1, J, 6]`` through knots, as ros2_controllers computes them.

    Args:
        durations: ``[N-1]`` seconds, > 0.
        positions, velocities, accelerations: ``[N, J]``; velocities None gives lines, accelerations None cubics.
    """
    h = durations[:, None]
    p0, p1 = positions[:-1], positions[1:]
    c = np.zeros((*p0.shape, 6))
    c[..., 0] = p0
    if velocities is None:
        c[..., 1] = (p1 - p0) / h
        return c
    v0, v1 = velocities[:-1], velocities[1:]
    d = (p1 - p0) / h
    c[..., 1] = v0
    if accelerations is None:
        c[..., 2] = (3.0 * d - 2.0 * v0 - v1) / h
        c[..., 3] = (v0 + v1 - 2.0 * d) / h**2
        return c
    a0, a1 = accelerations[:-1], accelerations[1:]
    c[..., 2] = a0 / 2.0
    c[..., 3] = (20.0 * (d - v0) - 8.0 * (v1 - v0) - (3.0 * a0 - a1) * h) / (2.0 * h**2)
    c[..., 4] = (-30.0 * (d - v0) + 14.0 * (v1 - v0) + (3.0 * a0 - 2.0 * a1) * h) / (2.0 * h**3)
    c[..., 5] = (12.0 * (d - v0) - 6.0 * (v1 - v0) - (a0 - a1) * h) / (2.0 * h**4)
    return c


def unit_hermite(
    durations: FloatArray,
    positions: FloatArray,
    velocities: FloatArray | None,
    accelerations: FloatArray | None,
) -> FloatArray:
    """Return the same segments as ``hermite_coefficients`` in unit time u = t/h: ``float64 [N-1, J, degree + 1]``.

    Nothing is divided by a duration, so that short segments lose nothing.
    """
    h = durations[:, None]
    p0 = positions[:-1]
    d = positions[1:] - p0
    if velocities is None:
        return np.stack((p0, d), axis=-1)
    v0, v1 = velocities[:-1] * h, velocities[1:] * h
    if accelerations is None:
        return np.stack((p0, v0, 3.0 * d - 2.0 * v0 - v1, v0 + v1 - 2.0 * d), axis=-1)
    a0, a1 = accelerations[:-1] * h**2, accelerations[1:] * h**2
    return np.stack(
        (
            p0,
            v0,
            0.5 * a0,
            10.0 * d - 6.0 * v0 - 4.0 * v1 - 1.5 * a0 + 0.5 * a1,
            -15.0 * d + 8.0 * v0 + 7.0 * v1 + 1.5 * a0 - a1,
            6.0 * d - 3.0 * v0 - 3.0 * v1 - 0.5 * a0 + 0.5 * a1,
        ),
        axis=-1,
    )


def piecewise(trajectory: JointTrajectory) -> PiecewisePolynomial:
    """Return the polynomial that runs through a structurally valid trajectory of at least two points.

    Times are seconds of time_from_start. Nothing is validated here; see the guard.
    """
    times = trajectory.times_ns.astype(np.float64) / NANOSECONDS
    coefficients = hermite_coefficients(
        np.diff(times), trajectory.positions, trajectory.velocities, trajectory.accelerations
    )
    return PiecewisePolynomial(times, coefficients)
