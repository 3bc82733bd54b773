"""Stops and decays whose acceleration has no steps, as knots that cubics run through exactly.

A jerk that is constant between knots makes the position a cubic there, so that positions and velocities at the knots,
which are what a trajectory message holds, describe the motion without error and its acceleration is continuous.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cosmos_ros.types import NANOSECONDS, FloatArray

# Stands in for an unknown acceleration bound (MoveIt's default for arms), rad/s² or m/s².
UNKNOWN_ACCELERATION = 5.0
_ENOUGH = 1.0 + 1e-9
_ATTEMPTS = 10


def smooth_stop(
    positions: FloatArray,
    velocities: FloatArray,
    accelerations: FloatArray,
    acceleration_bounds: FloatArray,
    jerk_bounds: FloatArray,
    lower: FloatArray | None = None,
    upper: FloatArray | None = None,
    *,
    shortest: float = 0.02,
    at_least: float = 0.0,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Bring all joints from a state of motion to rest together, as fast as their bounds allow.

    Where a jerk bound is finite the deceleration is built up and taken back linearly: the acceleration starts at the
    given one, is continuous, and ends at zero. Without any finite jerk bound it is constant and the given
    accelerations do not matter.

    Args:
        positions, velocities, accelerations: ``[J]`` state at time 0.
        acceleration_bounds: ``[J]`` > 0; where not finite, 5 rad/s² (m/s²) is taken.
        jerk_bounds: ``[J]`` > 0, ``inf`` where there is none.
        lower, upper: ``[J]`` position bounds. A joint that would pass one within the common time stops sooner, as
            fast as its own bounds allow; when that is not enough, it passes.
        shortest: Least time between knots, s.
        at_least: Least duration, s.

    Returns:
        ``times [K]`` in seconds, whole nanoseconds, from 0; ``positions [K, J]`` and ``velocities [K, J]``. The first
        knot is the given state, the last is at rest; K is 1 for a state at rest unless ``at_least`` asks for more.
    """
    bounds = np.where(np.isfinite(acceleration_bounds), acceleration_bounds, UNKNOWN_ACCELERATION)
    state = (np.asarray(positions, float), np.asarray(velocities, float), np.asarray(accelerations, float))
    low = np.full(len(bounds), -np.inf) if lower is None else lower
    high = np.full(len(bounds), np.inf) if upper is None else upper
    finite = np.isfinite(jerk_bounds)
    ramps = bool((finite & ((state[1] != 0.0) | (state[2] != 0.0))).any())
    if not ramps and not state[1].any() and at_least <= 0.0:
        return np.zeros(1), state[0][None].copy(), np.zeros((1, len(bounds)))
    step = _whole(shortest)
    # With ramps this long any acceleration within the bounds can be built up and taken back.
    enough = ((bounds + np.abs(state[2]))[finite] / jerk_bounds[finite]).max(initial=0.0)
    rise = fall = step if ramps else 0.0
    for attempt in range(_ATTEMPTS):
        stop = _Stop(*state, rise, fall)
        ends = stop.ends(bounds, low, high, step, at_least)
        plateau = stop.plateau(ends)[finite]
        built = float((np.abs(plateau - state[2][finite]) / jerk_bounds[finite]).max(initial=0.0))
        taken = float((np.abs(plateau) / jerk_bounds[finite]).max(initial=0.0))
        if not ramps or (built <= rise * _ENOUGH and taken <= fall * _ENOUGH):
            break
        last = attempt >= _ATTEMPTS - 2
        rise, fall = (_whole(max(now, enough if last else 1.02 * need)) for now, need in ((rise, built), (fall, taken)))
    breaks = [np.array([0.0, rise]), ends - fall, ends]
    if ends.max() < at_least:
        breaks.append(np.array([max(_whole(at_least), float(ends.max()) + step)]))
    times = np.unique(np.round(np.concatenate(breaks) * NANOSECONDS)) / NANOSECONDS
    result, rates = stop.sample(times, ends)
    rates[times[:, None] >= ends - 1e-9] = 0.0
    result[0], rates[0] = state[0], state[1]
    return times, result, rates


@dataclass(frozen=True, eq=False)
class _Stop:
    """Acceleration that goes linearly to a plateau, stays, and goes linearly to zero; times in s, arrays ``[J]``."""

    positions: FloatArray
    velocities: FloatArray
    accelerations: FloatArray
    rise: float
    fall: float

    def plateau(self, ends: FloatArray) -> FloatArray:
        """Return the acceleration with which the velocity is zero at the end."""
        left: FloatArray = np.maximum(ends - 0.5 * (self.rise + self.fall), 1e-9)
        result: FloatArray = -self._carried() / left
        return result

    def ends(
        self, bounds: FloatArray, lower: FloatArray, upper: FloatArray, step: float, at_least: float
    ) -> FloatArray:
        """Return when each joint stops: together, but for those that would pass their position bound."""
        ramps = self.rise + self.fall
        least = self.least(bounds)
        end = max(float(least.max()), at_least, step)
        if ramps and 1e-10 < end - ramps < step:
            end = ramps + step  # no plateau shorter than the least time between knots
        end = _whole(end)
        ends = np.full(len(bounds), end)
        rest = self.sample(np.array([end]), ends)[0][0]
        early = ((rest < lower) | (rest > upper)) & (self.positions >= lower) & (self.positions <= upper)
        if not early.any():
            return ends
        # All knots on one grid after the rise, lest two of them come too close.
        grid = max(self.fall, step)
        counts = np.maximum(np.ceil((least - self.rise) / grid / _ENOUGH), 1.0)
        together = max(float(np.ceil((end - self.rise) / grid / _ENOUGH)), 1.0)
        result: FloatArray = self.rise + grid * np.where(early, counts, together)
        return result

    def least(self, bounds: FloatArray) -> FloatArray:
        """Return the shortest duration of each joint whose plateau keeps its acceleration bound."""
        result: FloatArray = np.maximum(
            0.5 * (self.rise + self.fall) + np.abs(self._carried()) / bounds, self.rise + self.fall
        )
        return result

    def _carried(self) -> FloatArray:
        # Without a rise the given acceleration ends at once.
        return self.velocities + 0.5 * self.rise * self.accelerations

    def sample(self, times: FloatArray, ends: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return positions and velocities ``[K, J]``; each joint stops at its own end."""
        plateau = self.plateau(ends)
        first = self.accelerations if self.rise > 0.0 else plateau
        levels = (first, plateau, plateau, np.zeros_like(plateau))
        q, v = self.positions, self.velocities
        edges = (np.zeros_like(ends), np.full_like(ends, self.rise), ends - self.fall, ends)
        for k in range(3):
            length = np.maximum(edges[k + 1] - edges[k], 0.0)
            s = np.minimum(np.maximum(times[:, None] - edges[k], 0.0), length)
            jerk = (levels[k + 1] - levels[k]) / np.maximum(length, 1e-12)
            # v is what this part began with: everything before it is over where s > 0.
            q = q + s * v + 0.5 * s**2 * levels[k] + s**3 * jerk / 6.0
            v = v + s * levels[k] + 0.5 * s**2 * jerk
        return np.asarray(q), np.asarray(v)


@dataclass(frozen=True, eq=False)
class Decay:
    """A difference that dies away: ``[K, J]`` values at K knots, zero at the last."""

    positions: FloatArray
    velocities: FloatArray
    accelerations: FloatArray
    jerks: FloatArray


def decay(times: FloatArray, positions: FloatArray, velocities: FloatArray, accelerations: FloatArray) -> Decay:
    """Let a difference die away with the least jerk that cubics between these knots allow.

    Of all motions from (position, velocity, acceleration) to zeros whose jerk is constant between knots, that with
    the least mean square jerk: the projection of the minimum-jerk quintic (Flash and Hogan 1985) onto the knots.

    Args:
        times: ``[K]`` seconds, strictly increasing, K ≥ 4: the difference is gone at the last.
        positions, velocities, accelerations: ``[J]`` at the first.

    Returns:
        Values at the knots, and the jerk ``[K-1, J]`` of each segment.
    """
    steps = np.diff(times)[:, None]
    left = (times[-1] - times)[:, None]
    span = float(left[0, 0])
    # What a unit of jerk in each segment adds to position, velocity and acceleration at the end.
    effect = np.hstack([(left[:-1] ** n - left[1:] ** n) / n for n in (3, 2, 1)]) * [0.5, 1.0, 1.0]
    coasted = np.array(
        [
            positions + span * velocities + 0.5 * span**2 * accelerations,
            velocities + span * accelerations,
            accelerations,
        ]
    )
    scale = span ** np.array([3.0, 2.0, 1.0])  # keeps the equations well conditioned for any duration
    scaled = effect / scale
    gram = scaled.T @ (scaled / steps)
    jerks: FloatArray = (scaled / steps) @ np.linalg.solve(gram, -coasted / scale[:, None])
    # Summed from the end, where everything is zero.
    a, v, q = (np.zeros((len(times), len(positions))) for _ in range(3))
    for k in range(len(steps) - 1, -1, -1):
        h = float(steps[k, 0])
        a[k] = a[k + 1] - h * jerks[k]
        v[k] = v[k + 1] - h * a[k + 1] + 0.5 * h**2 * jerks[k]
        q[k] = q[k + 1] - h * v[k + 1] + 0.5 * h**2 * a[k + 1] - h**3 * jerks[k] / 6.0
    return Decay(q, v, a, jerks)


def _whole(seconds: float) -> float:
    """Return whole nanoseconds, not fewer, in seconds."""
    return float(np.ceil(seconds * NANOSECONDS - 1e-3)) / NANOSECONDS
