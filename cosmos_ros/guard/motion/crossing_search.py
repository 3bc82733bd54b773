"""Find the first time at which a quantity of the configuration breaks its bound, without missing any in between.

Intervals are certified by the value at their midpoint and a Lipschitz rate; what is not certified is halved. Nothing
is decided by a sample's silence: an interval is let through only when the bound cannot be broken in it, down to a
resolution far below what matters (a tenth of a millimetre).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cosmos_ros.guard.budget import check_budget
from cosmos_ros.guard.motion.sampler import Points, Samples
from cosmos_ros.types import FloatArray

# Intervals looked at in one motion before giving up; what is then left undecided counts as a violation.
MAX_INTERVALS = 20_000
_SECTIONS = 12
# Points that are evaluated at once.
_PART = 256
_TIME_RESOLUTION = 1e-8


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
    rate: Callable[[Points], FloatArray],
    *,
    resolution: float,
    slack: float,
    recovery: bool = False,
) -> Crossing | None:
    """Return the first crossing, or None when the whole motion is certified.

    Args:
        samples: Kinematics along the motion.
        clearance: Distance to violation at points, ``[M, K]``, negative when violated.
        rate: Lipschitz bound of each clearance over the interval each point stands for, ``[M, K]``, per second.
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
    samples: Samples,
    clearance: Callable[[Points], FloatArray],
    rate: Callable[[Points], FloatArray],
    resolution: float,
    slack: float,
) -> Crossing | None:
    points = samples.grid
    seen = 0
    # The earliest violated point known, and the interval it stands for.
    known: Points | None = None
    while True:
        check_budget()
        seen += len(points)
        value, change = _evaluated(points, clearance, rate)
        allowance = change * points.half_seconds[:, None]
        if (value - allowance >= -slack).all():  # mostly
            break
        broken = _broken(value, slack)
        certified = (value - allowance >= -slack) | (allowance <= resolution)
        undecided = np.logical_not(certified.all(axis=1) | broken)
        if broken.any():
            known = points.only(int(np.argmax(broken)))
        if known is not None:
            # Only what lies before the earliest violation can hold an earlier one.
            undecided &= (points.segment < known.segment[0]) | (
                (points.segment == known.segment[0]) & (points.u < known.u[0])
            )
        if not undecided.any():
            break
        if seen > MAX_INTERVALS:
            known = points.only(int(np.argmax(undecided)))
            break
        points = samples.second_grid if points is samples.grid and known is None else points.parts(undecided, 4)
    return None if known is None else _refine(samples, clearance, known, slack)


def _evaluated(
    points: Points, clearance: Callable[[Points], FloatArray], rate: Callable[[Points], FloatArray]
) -> tuple[FloatArray, FloatArray]:
    """Return clearances and rates; of many points in parts, so that the judgement can end between them."""
    if len(points) <= _PART:
        return clearance(points), rate(points)
    values, rates = [], []
    for first in range(0, len(points), _PART):
        check_budget()
        part = points.rows(slice(first, first + _PART))
        values.append(clearance(part))
        rates.append(rate(part))
    return np.concatenate(values), np.concatenate(rates)


def _refine(samples: Samples, clearance: Callable[[Points], FloatArray], bad: Points, slack: float) -> Crossing:
    """Narrow down the crossing between the start of an interval and its violated midpoint."""
    segment, high = int(bad.segment[0]), float(bad.u[0])
    low = max(high - float(bad.half[0]), 0.0)
    duration = float(samples.motion.durations[segment])
    u = np.linspace(low, high, _SECTIONS + 1)
    column = 0
    while True:
        check_budget()
        value = clearance(Points(samples, np.full(len(u), segment), u, np.zeros(len(u))))
        broken = _broken(value, slack)
        broken[-1] = True
        k = int(np.argmax(broken))
        column = int(np.argmin(value[k]))
        if k == 0 or (u[k] - u[k - 1]) * duration < _TIME_RESOLUTION or u[k] == u[k - 1]:
            return Crossing(segment, float(u[k]), column)
        u = np.linspace(u[k - 1], u[k], _SECTIONS + 1)


def _broken(value: FloatArray, slack: float) -> npt.NDArray[np.bool_]:
    """Return which points break a bound; negated, so that NaN does."""
    result: npt.NDArray[np.bool_] = np.logical_not((value >= -slack).all(axis=1))
    return result
