"""Velocity bounds that shrink towards a position bound (FR3), on polynomials, by subdivision with enclosures."""

from __future__ import annotations

import numpy as np

from cosmos_ros.guard.budget import check_budget
from cosmos_ros.guard.motion.joint_motion import Motion
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.limits import PositionDependentVelocity
from cosmos_ros.trajectory.extrema import evaluate
from cosmos_ros.types import FloatArray

# Halving a segment this often leaves pieces far shorter than a nanosecond.


def upper_bound(q: FloatArray, offset: float, gain: float, limit: float, vmax: float) -> FloatArray:
    """Return ``min(vmax, max(0, -offset + sqrt(max(0, gain·(limit - q)))))`` (libfranka ``rate_limiting.h``)."""
    reach = np.sqrt(np.maximum(gain * (limit - q), 0.0)) - offset
    result: FloatArray = np.minimum(vmax, np.maximum(reach, 0.0))
    return result


def position_dependent(
    motion: Motion, column: int, law: PositionDependentVelocity, *, slack: float
) -> Violation | None:
    """Return the first violation of one joint's position-dependent velocity bound, or None."""
    position, velocity = motion.unit(0)[:, column], motion.unit(1)[:, column]
    vmax = float(motion.table.velocity[column])
    sides = (
        (1.0, law.upper_offset, law.upper_gain, law.upper_position),
        (-1.0, law.lower_offset, law.lower_gain, -law.lower_position),
    )
    best: Violation | None = None
    for sign, offset, gain, limit in sides:
        place = _first(sign * position, sign * velocity, offset, gain, limit, vmax, slack)
        if place is None:
            continue
        segment, u = place
        time = motion.time_at(segment, u)
        if best is not None and best.time is not None and best.time <= time:
            continue
        at = np.array([[u]])
        q = evaluate(position[segment : segment + 1], at)[0, 0]
        v = evaluate(velocity[segment : segment + 1], at)[0, 0]
        bound = upper_bound(np.asarray(sign * q), offset, gain, limit, vmax)
        best = Violation(
            limit="velocity",
            joint=motion.names[column],
            step=motion.step_of(segment),
            time=time,
            value=float(v),
            bound=float(sign * bound),
            message=f"bound at {q:.4f}",
            last_safe_point=motion.last_safe_point(segment, includes_start=False),
        )
    return best


def _halves(unit: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the polynomials of both halves of [0, 1], each again in unit time."""
    width = unit.shape[-1]
    left = unit * 0.5 ** np.arange(width)
    right = left.copy()
    for i in range(width - 1):  # Taylor shift by 1 in the half's own unit
        for k in range(width - 2, i - 1, -1):
            right[..., k] = right[..., k] + right[..., k + 1]
    return left, right


def _first(
    position: FloatArray, velocity: FloatArray, offset: float, gain: float, limit: float, vmax: float, slack: float
) -> tuple[int, float] | None:  # fmt: skip
    """Return segment and unit time of the first violation of the upper bound, to 1e-9 of the segment."""
    from cosmos_ros.trajectory.extrema import control_points

    def broken(q: FloatArray, v: FloatArray) -> np.ndarray:
        return ~(v <= upper_bound(q, offset, gain, limit, vmax) + slack)

    # Pieces still undecided, in time order: segment, start and width in its unit time, polynomials.
    segment = np.arange(len(position))
    begin, width = np.zeros(len(position)), np.ones(len(position))
    q, v = position, velocity
    while True:
        check_budget()
        # The bound falls with q: largest velocity against the bound at the largest position is the worst case.
        worst = broken(control_points(q).max(axis=-1), control_points(v).max(axis=-1))
        segment, begin, width, q, v = segment[worst], begin[worst], width[worst], q[worst], v[worst]
        if not len(segment):
            return None
        at_start = broken(q[:, 0], v[:, 0])
        if at_start[0]:
            return int(segment[0]), float(begin[0])
        if at_start.any():  # nothing after a known violation can be the first
            keep = np.argmax(at_start) + 1
            segment, begin, width, q, v = segment[:keep], begin[:keep], width[:keep], q[:keep], v[:keep]
        if width[0] < 1e-9:
            # A piece of no length that still cannot be certified: count it as the violation it borders on.
            return int(segment[0]), float(begin[0])
        (q0, q1), (v0, v1) = _halves(q), _halves(v)
        half = 0.5 * width
        segment = np.repeat(segment, 2)
        begin = np.stack((begin, begin + half), axis=1).ravel()
        width = np.repeat(half, 2)
        q = np.stack((q0, q1), axis=1).reshape(-1, q.shape[-1])
        v = np.stack((v0, v1), axis=1).reshape(-1, v.shape[-1])
