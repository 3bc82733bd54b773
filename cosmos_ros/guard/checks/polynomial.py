"""Bounds on a time derivative of the joint polynomials: first crossing and worst value, found analytically."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cosmos_ros.guard.motion import Motion
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.trajectory.extrema import extrema, first_above
from cosmos_ros.types import FloatArray


def outside(
    motion: Motion,
    order: int,
    lower: FloatArray,
    upper: FloatArray,
    *,
    limit: str,
    slack: float,
    margin: FloatArray | None = None,
    judged: npt.NDArray[np.bool_] | None = None,
) -> list[Violation]:
    """Return where the order-th derivative leaves [lower, upper], one violation a joint.

    Args:
        motion: The motion.
        order: 0 position, 1 velocity, 2 acceleration, 3 jerk.
        lower, upper: ``float64 [J]``.
        limit: Name for the violations.
        slack: Absolute tolerance.
        margin: ``float64 [J]`` what was taken off the robot's bound, for the report.
        judged: ``bool [S, J]`` which segments count; None for all.
    """
    enclosure = motion.hull(order)
    # A NaN or an overflow compares False, hence the negated form.
    suspect = ~((enclosure.lower >= lower - slack) & (enclosure.upper <= upper + slack))
    if judged is not None:
        suspect &= judged
    if not suspect.any():
        return []
    segments, joints = np.nonzero(suspect)
    unit = motion.unit(order)[segments, joints]
    exact = extrema(unit)
    above = ~(exact.upper <= upper[joints] + slack)
    below = ~(exact.lower >= lower[joints] - slack)
    found: list[Violation] = []
    for joint in np.unique(joints[above | below]):
        rows = np.flatnonzero((joints == joint) & (above | below))
        row = rows[0]  # np.nonzero runs through segments in order
        high = first_above(unit[row : row + 1], upper[joint : joint + 1] + slack)[0]
        low = first_above(-unit[row : row + 1], slack - lower[joint : joint + 1])[0]
        if np.isnan(high) and np.isnan(low):
            # The extremum is beyond the bound by less than the root finder resolves: the segment's start is as good.
            is_high, u = bool(above[row]), 0.0
        else:
            is_high = bool(np.isnan(low) or high <= low)  # NaN where that side is never left
            u = float(high if is_high else low)
        same = (joints == joint) & (above if is_high else below)
        worst = exact.upper[same].max() if is_high else exact.lower[same].min()
        bound = upper[joint] if is_high else lower[joint]
        segment = int(segments[row])
        found.append(
            Violation(
                limit=limit,
                joint=motion.names[joint],
                step=motion.step_of(segment) if u > 0.0 or order else max(motion.step_of(segment) - 1, 0),
                time=motion.time_at(segment, u),
                value=float(worst),
                bound=float(bound),
                margin=0.0 if margin is None else float(margin[joint]),
                last_safe_point=motion.last_safe_point(segment, includes_start=order == 0 and u == 0.0),
            )
        )
    return found
