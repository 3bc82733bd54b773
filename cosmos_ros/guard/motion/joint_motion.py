"""The motion that the controller will run: knots, interpolation, and its derivatives in unit time."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import numpy as np

from cosmos_ros.guard.motion.limit_table import LimitTable
from cosmos_ros.trajectory.extrema import Extrema, control_points, derivative, hull
from cosmos_ros.trajectory.piecewise import (
    Interpolation,
    PiecewisePolynomial,
    hermite_coefficients,
    interpolation_of,
    unit_hermite,
)
from cosmos_ros.types import NANOSECONDS, FloatArray, JointTrajectory

DEGREES: dict[Interpolation, int] = {"linear": 1, "cubic": 3, "quintic": 5}


@lru_cache(maxsize=8)
def _all_control_points(degree: int) -> tuple[FloatArray, tuple[int, ...]]:
    """Return the matrix from unit-time coefficients to the control points of position to jerk, and rows of each."""
    rows, widths = [], []
    coefficients = np.eye(degree + 1)
    for _ in range(min(degree, 3) + 1):
        rows.append(control_points(coefficients).T)
        widths.append(coefficients.shape[1])
        coefficients = coefficients[:, 1:] * np.arange(1, coefficients.shape[1])
    return np.concatenate(rows), tuple(widths)


@dataclass(frozen=True)
class Knot:
    """Where a motion starts from when the trajectory's first point lies later: ``float64 [J]`` each."""

    time: float
    positions: FloatArray
    velocities: FloatArray


@dataclass(frozen=True, eq=False)
class Motion:
    """A structurally sound trajectory with the knot it starts from, as piecewise polynomials.

    Attributes:
        trajectory: What was given.
        table: Limits in its column order.
        times: ``float64 [N]`` knot times, seconds of time_from_start; the first knot may be the start state's.
        positions: ``float64 [N, J]``.
        velocities: ``float64 [N, J]`` or None.
        offset: 1 when the first knot is the start state and not a point of the trajectory, else 0.
    """

    trajectory: JointTrajectory
    table: LimitTable
    times: FloatArray
    positions: FloatArray
    velocities: FloatArray | None
    accelerations: FloatArray | None
    offset: int
    _cache: dict[int, FloatArray] = field(default_factory=dict, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Joint names in column order."""
        return self.trajectory.joint_names

    @cached_property
    def interpolation(self) -> Interpolation:
        """How the controller interpolates."""
        return interpolation_of(self.trajectory)

    @cached_property
    def durations(self) -> FloatArray:
        """``float64 [S]`` segment lengths; a single point is one segment of length 0."""
        return self.times[1:] - self.times[:-1] if len(self.times) > 1 else np.zeros(1)

    @cached_property
    def polynomial(self) -> PiecewisePolynomial:
        """The whole motion; needs two knots."""
        return PiecewisePolynomial(self.times, self.coefficients)

    @cached_property
    def coefficients(self) -> FloatArray:
        """``float64 [S, J, 6]`` ascending powers of seconds since the segment's start; needs two knots."""
        return hermite_coefficients(self.durations, self.positions, self.velocities, self.accelerations)

    @cached_property
    def finite(self) -> bool:
        """Whether the polynomials are: sums and products of finite numbers need not be."""
        return bool((np.abs(self.unit(0)) < 1e300).all())

    @property
    def degree(self) -> int:
        """Degree of the position polynomials."""
        return DEGREES[self.interpolation]

    def unit(self, order: int) -> FloatArray:
        """Return the order-th time derivative in unit time: ``float64 [S, J, degree - order + 1]``, SI values."""
        if order not in self._cache:
            if len(self.times) == 1:
                self._cache[order] = self._declared(order)
            elif order == 0:
                self._cache[0] = unit_hermite(self.durations, self.positions, self.velocities, self.accelerations)
            else:
                lower = self.unit(order - 1)
                self._cache[order] = derivative(lower) / self.durations[:, None, None]
        return self._cache[order]

    def _declared(self, order: int) -> FloatArray:
        """A single point: what it declares, constant."""
        field = (self.positions, self.velocities, self.accelerations, None)[order]
        value = np.zeros((1, self.positions.shape[1], self.degree - order + 1))
        if field is not None:
            value[0, :, 0] = field[0]
        return value

    @cached_property
    def _enclosures(self) -> tuple[Extrema, ...]:
        """Bounds of position and its derivatives up to jerk, from the Bernstein control points of all at once."""
        unit = self.unit(0)
        matrix, widths = _all_control_points(self.degree)
        control = (matrix @ unit.reshape(-1, unit.shape[-1]).T).reshape(-1, *unit.shape[:2])
        result = []
        begin = 0
        scale = np.ones((len(self.durations), 1))
        for order, width in enumerate(widths):
            part = control[begin : begin + width]
            begin += width
            lower, upper = np.minimum.reduce(part), np.maximum.reduce(part)
            if order:
                scale = scale / self.durations[:, None]
                lower, upper = lower * scale, upper * scale
            result.append(Extrema(lower, upper))
        return tuple(result)

    def hull(self, order: int) -> Extrema:
        """Return bounds of the order-th derivative a segment, ``[S, J]``; never too narrow."""
        if len(self.times) == 1:  # one point: its declared derivatives
            return hull(self.unit(order))
        return self._enclosures[order]

    def time_at(self, segment: int, u: float) -> float:
        """Return seconds of time_from_start at unit time u of a segment."""
        return float(self.times[segment] + u * self.durations[segment])

    def step_of(self, segment: int) -> int:
        """Return the index of the trajectory point that a segment leads to."""
        return min(segment + 1, len(self.times) - 1) - self.offset

    def last_safe_point(self, segment: int, *, includes_start: bool) -> int:
        """Return the last point before a violation in a segment, excluding its first knot when that is violated."""
        return max(segment - self.offset - (1 if includes_start else 0), -1)


def make_motion(trajectory: JointTrajectory, table: LimitTable, start: Knot | None) -> Motion:
    """Build the motion; ``start`` becomes the first knot when it lies before the first point.

    Without velocities or accelerations in the start knot's kind of trajectory these count as zero there.
    """
    times = trajectory.times_ns.astype(np.float64) / NANOSECONDS
    positions, velocities = trajectory.positions, trajectory.velocities
    accelerations = trajectory.accelerations
    offset = 0
    if start is not None and len(times) and start.time < times[0]:
        offset = 1
        times = np.concatenate(([start.time], times))
        positions = np.concatenate((start.positions[None], positions))
        if velocities is not None:
            velocities = np.concatenate((start.velocities[None], velocities))
        if accelerations is not None:
            accelerations = np.concatenate((np.zeros_like(start.positions)[None], accelerations))
    return Motion(trajectory, table, times, positions, velocities, accelerations, offset)
