"""Bounds on a time derivative of the joint polynomials: first crossing and worst value, found analytically."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cosmos_ros.guard.motion.joint_motion import Motion
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
    broken = above | below
    if not broken.any():
        return []
    # The first broken segment of each joint; np.nonzero runs through segments in order.
    columns, rows = np.unique(np.where(broken, joints, -1), return_index=True)
    columns, rows = columns[columns >= 0], rows[columns >= 0]
    high = first_above(unit[rows], upper[columns] + slack)
    low = first_above(-unit[rows], slack - lower[columns])
    is_high = np.isnan(low) | (high <= low)  # NaN where that side is never left
    found = []
    for joint, row, side, u in zip(columns, rows, is_high, np.where(is_high, high, low), strict=True):
        same = (joints == joint) & (above if side else below)
        worst = exact.upper[same].max() if side else exact.lower[same].min()
        segment = int(segments[row])
        at_knot = order == 0 and u == 0.0
        found.append(
            Violation(
                limit=limit,
                joint=motion.names[joint],
                step=max(motion.step_of(segment) - (1 if at_knot else 0), 0),
                time=motion.time_at(segment, float(u)),
                value=float(worst),
                bound=float(upper[joint] if side else lower[joint]),
                margin=0.0 if margin is None else float(margin[joint]),
                last_safe_point=motion.last_safe_point(segment, includes_start=at_knot),
            )
        )
    return found
