"""Find the first time at which a quantity of the configuration breaks its bound, without missing any in between.

Intervals are certified by the value at their midpoint and a Lipschitz rate; what is not certified is halved. Nothing
is decided by a sample's silence: an interval is let through only when the bound cannot be broken in it, down to a
resolution far below what matters (a tenth of a millimetre).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cosmos_ros.guard.kinematics import Points, Samples
from cosmos_ros.types import FloatArray

# Intervals looked at in one motion before giving up; what is then left undecided counts as a violation.
MAX_INTERVALS = 20_000


@dataclass(frozen=True)
class Crossing:
    """Where a bound is first broken.

    Attributes:
        segment, u: Place on the motion.
        column: Which of the constraints.
    """

    segment: int
    u: float
    column: int


def scan(
    samples: Samples,
    clearance: Callable[[Points], FloatArray],
    rate: FloatArray,
    *,
    resolution: float,
    slack: float,
    recovery: bool = False,
) -> Crossing | None:
    """Return the first crossing, or None when the whole motion is certified.

    Args:
        samples: Kinematics along the motion.
        clearance: Distance to violation at points, ``[M, K]``, negative when violated.
        rate: ``[S, K]`` Lipschitz bound of each clearance in each segment, per second.
        resolution: A dip below zero of this depth may stay unseen.
        slack: Clearances down to ``-slack`` are not violations.
        recovery: A clearance that is negative at the start may stay so, but never get worse than it was.
    """
    crossing = _scan(samples, clearance, rate, resolution, slack)
    if crossing is None or not recovery:
        return crossing
    start = clearance(Points(samples, np.zeros(1, np.intp), np.zeros(1), np.zeros(1)))[0]
    if (start >= -slack).all():
        return crossing
    relief = np.minimum(start, 0.0)
    return _scan(samples, lambda points: clearance(points) - relief, rate, resolution, slack)


def _scan(
    samples: Samples, clearance: Callable[[Points], FloatArray], rate: FloatArray, resolution: float, slack: float
) -> Crossing | None:
    points = samples.grid
    seen = 0
    # The earliest point known to be violated, as (segment, u).
    known: tuple[int, float] | None = None
    undecided: list[Points] = [points]
    first_bad: Points | None = None
    while undecided:
        points = undecided.pop()
        seen += len(points)
        value = clearance(points)
        allowance = rate[points.segment] * points.half_seconds[:, None]
        # Negated, so that NaN counts as a violation.
        broken = ~(value >= -slack).all(axis=1)
        certain = ((value - allowance >= -slack) | (allowance <= resolution)).all(axis=1) & ~broken
        if broken.any():
            k = int(np.argmax(broken))
            place = (int(points.segment[k]), float(points.u[k]))
            if known is None or place < known:
                known = place
                first_bad = Points(samples, points.segment[k : k + 1], points.u[k : k + 1], points.half[k : k + 1])
        rest = ~certain
        if known is not None:
            # Only what begins before the earliest violation can hold an earlier one.
            start = points.u - points.half
            rest &= (points.segment < known[0]) | ((points.segment == known[0]) & (start < known[1]))
            rest &= ~((points.segment == known[0]) & (points.u == known[1]) & (points.half < 1e-7))
            rest &= ~(broken & (points.half_seconds < 1e-6))
        if not rest.any():
            continue
        if seen > MAX_INTERVALS:
            k = int(np.argmax(rest))
            return Crossing(int(points.segment[k]), float(points.u[k]), int(np.argmin(value[k])))
        half = 0.5 * points.half[rest]
        left = points.u[rest] - half
        u = np.stack((left, left + 2.0 * half), axis=1).ravel()
        undecided.append(Points(samples, np.repeat(points.segment[rest], 2), u, np.repeat(half, 2)))
    if first_bad is None:
        return None
    return _refine(samples, clearance, first_bad, slack)


def _refine(
    samples: Samples, clearance: Callable[[Points], FloatArray], bad: Points, slack: float
) -> Crossing:
    """Bisect from the start of the last interval to the violated midpoint."""
    segment, high = int(bad.segment[0]), float(bad.u[0])
    low = max(high - float(bad.half[0]), 0.0)

    def value(u: float) -> FloatArray:
        at = Points(samples, np.array([segment]), np.array([u]), np.zeros(1))
        return clearance(at)[0]

    at_low = value(low)
    if not (at_low >= -slack).all():
        return Crossing(segment, low, int(np.argmin(at_low)))
    for _ in range(40):
        middle = 0.5 * (low + high)
        if (value(middle) >= -slack).all():
            low = middle
        else:
            high = middle
        if (high - low) * samples.motion.durations[segment] < 1e-9:
            break
    return Crossing(segment, high, int(np.argmin(value(high))))
