"""Latency compensation: drop what has passed, and join a new trajectory to the motion being executed.

A prediction is about the time of its observation; by the time it is there, its first steps are over and the robot
is somewhere on the previous trajectory. The new one must start exactly there, with that velocity, or the arm jerks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.trajectory.knots import monotone_velocities
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, JointTrajectory

# A knot closer than this to the join is left out: dividing by so short a segment only amplifies rounding.
MINIMUM_SEGMENT_NS = 5_000_000


@dataclass(frozen=True)
class MotionState:
    """Where the joints are commanded to be at one time: ``float64 [J]`` each.

    Accelerations are zero where none are known, as of a measurement.
    """

    joint_names: tuple[str, ...]
    positions: FloatArray
    velocities: FloatArray
    accelerations: FloatArray

    @classmethod
    def of(cls, names: Sequence[str], positions: FloatArray, velocities: FloatArray | None = None) -> MotionState:
        """Return a state without acceleration, and at rest where no velocities are given."""
        still = np.zeros_like(positions)
        return cls(tuple(names), positions, still if velocities is None else velocities, still)

    def only(self, indices: Sequence[int]) -> MotionState:
        """Return the joints at these indices, in this order."""
        order = list(indices)
        names = tuple(self.joint_names[k] for k in order)
        return MotionState(names, self.positions[order], self.velocities[order], self.accelerations[order])


@dataclass(frozen=True)
class Splice:
    """A joined trajectory and what joining it took.

    Attributes:
        trajectory: Starts (time_from_start 0) at the join, on the motion being executed.
        dropped_steps: Leading points whose time had passed.
        join_error: Largest joint distance between the executed motion and the new trajectory at the join.
    """

    trajectory: JointTrajectory
    dropped_steps: int
    join_error: float


def motion_at(trajectory: JointTrajectory, time_ns: int) -> MotionState:
    """Return the commanded motion at an absolute time; before the start and after the end it is at rest.

    Args:
        trajectory: At least one point; ``stamp_ns`` absolute.
        time_ns: Absolute time on the same clock.
    """
    begin = trajectory.stamp_ns + int(trajectory.times_ns[0])
    end = trajectory.stamp_ns + int(trajectory.times_ns[-1])
    if len(trajectory.times_ns) == 1 or time_ns >= end or time_ns < begin:
        index = 0 if time_ns < begin else -1
        return MotionState.of(trajectory.joint_names, np.array(trajectory.positions[index], dtype=np.float64))
    spline = piecewise(trajectory)
    seconds = (time_ns - trajectory.stamp_ns) / NANOSECONDS
    rates = spline.derivative()(seconds), spline.derivative(2)(seconds)
    return MotionState(trajectory.joint_names, spline(seconds), *rates)


def measured_motion(state: JointState) -> MotionState:
    """Return a joint state as a motion; missing velocities count as zero."""
    if state.velocities is None:
        return MotionState.of(state.names, state.positions)
    # Drivers say NaN for what their hardware does not measure.
    return MotionState.of(state.names, state.positions, np.nan_to_num(state.velocities, nan=0.0))


def merge(base: MotionState, *overrides: MotionState) -> MotionState:
    """Return ``base`` with the joints of later motions replacing its own."""
    values = {
        name: (motion.positions[i], motion.velocities[i], motion.accelerations[i])
        for motion in (base, *overrides)
        for i, name in enumerate(motion.joint_names)
    }
    table = np.array(list(values.values()), dtype=np.float64).reshape(-1, 3)
    return MotionState(tuple(values), table[:, 0], table[:, 1], table[:, 2])


def blend_seconds(error: FloatArray, error_rate: FloatArray, accelerations: FloatArray) -> float:
    """Return how long a difference must take to decay so that its decay needs no more than these accelerations.

    The decay is the cubic Hermite from (error, error_rate) to (0, 0) over B; its acceleration is largest at the start,
    ``|6 error / B² + 4 error_rate / B|``. Solved for B with both terms' magnitudes added.

    Args:
        error, error_rate: ``float64 [J]`` difference in position and velocity.
        accelerations: ``float64 [J]``; infinite ones ask for nothing.
    """
    limited = np.isfinite(accelerations) & (accelerations > 0.0)
    if not limited.any():
        return 0.0
    a, e, r = accelerations[limited], np.abs(error[limited]), np.abs(error_rate[limited])
    return float(np.max((2.0 * r + np.sqrt(4.0 * r**2 + 6.0 * a * e)) / a))


def splice(
    new: JointTrajectory,
    current: MotionState,
    join_ns: int,
    blend_ns: int,
    accelerations: FloatArray | None = None,
    monotone: Collection[str] = (),
) -> Splice | None:
    """Join ``new`` to ``current`` at ``join_ns``; return None when all of it has passed.

    The difference between the executed motion and the new trajectory at the join, in position and velocity, is
    carried as a cubic that decays to zero at the first knot at least ``blend_ns`` later (or the last knot). The sum
    of two cubics on common knots is a cubic, so positions and velocities at the knots describe it exactly.

    Args:
        new: Cubic trajectory (with velocities), ``stamp_ns`` absolute, first point at or before ``join_ns`` or after.
        current: Must contain every joint of ``new``.
        join_ns: Absolute time of the first point of the result.
        blend_ns: Shortest time the difference may take to decay.
        accelerations: ``float64 [J]`` in the order of ``new``: the decay takes longer where it would need more.
        monotone: Joints that go in steps between bounds (grippers): between knots they must not overshoot, so they
            fade from the executed position to the new one, which no sum of cubics could promise.

    Raises:
        InputError: A joint of ``new`` is not in ``current``, or ``new`` has no velocities.
    """
    if new.velocities is None or len(new.times_ns) < 2:
        raise InputError("a trajectory to splice needs two points and velocities", where="splice")
    missing = [name for name in new.joint_names if name not in current.joint_names]
    if missing:
        raise InputError(f"joints {missing} are not in the current motion", where="splice")
    order = [current.joint_names.index(name) for name in new.joint_names]
    absolute = new.stamp_ns + new.times_ns
    kept = np.flatnonzero(absolute >= join_ns + MINIMUM_SEGMENT_NS)
    if not kept.size:
        return None
    spline = piecewise(new)
    rate = spline.derivative()
    seconds = np.concatenate(([join_ns], absolute[kept])).astype(np.int64) - new.stamp_ns
    at = seconds.astype(np.float64) / NANOSECONDS
    positions, velocities = spline(at), rate(at)
    if join_ns < absolute[0]:
        velocities[0] = 0.0  # before its first point the new trajectory stands still there
    target, velocities_now = positions, current.velocities[order]
    steps = np.array([name in monotone for name in new.joint_names])
    error = current.positions[order] - positions[0]
    error_rate = velocities_now - velocities[0]
    elapsed = at - at[0]
    shortest = blend_ns / NANOSECONDS
    if accelerations is not None:
        shortest = max(shortest, blend_seconds(error[~steps], error_rate[~steps], accelerations[~steps]))
    beyond = np.flatnonzero(elapsed >= max(shortest, elapsed[1]))
    blend = elapsed[beyond[0] if beyond.size else -1]
    u = np.clip(elapsed / blend, 0.0, 1.0)[:, None]
    # Cubic Hermite basis for a value and slope at u=0 that are both zero at u=1.
    h0, h1 = 1.0 - 3.0 * u**2 + 2.0 * u**3, (u - 2.0 * u**2 + u**3) * blend
    dh0, dh1 = (-6.0 * u + 6.0 * u**2) / blend, 1.0 - 4.0 * u + 3.0 * u**2
    positions = positions + h0 * error + h1 * error_rate
    velocities = velocities + np.where(u < 1.0, dh0 * error + dh1 * error_rate, 0.0)
    for column, name in enumerate(new.joint_names):
        if name in monotone:
            fading = 1.0 - h0[:, 0]
            start = current.positions[order[column]]
            positions[:, column] = start + fading * (target[:, column] - start)
            velocities[:, column] = _monotone(elapsed, positions[:, column], float(velocities_now[column]))
    # Exactly the executed motion at the join, free of the rounding of subtracting and adding.
    positions[0] = current.positions[order]
    velocities[0, ~steps] = velocities_now[~steps]
    trajectory = JointTrajectory(
        joint_names=new.joint_names,
        stamp_ns=join_ns,
        times_ns=seconds - seconds[0],
        positions=positions,
        velocities=velocities,
    )
    first_step = int(np.searchsorted(absolute, join_ns, side="right"))
    return Splice(trajectory, dropped_steps=max(0, first_step - 1), join_error=float(np.max(np.abs(error))))


def _monotone(times: FloatArray, positions: FloatArray, velocity: float) -> FloatArray:
    """Return slopes ``[N]`` of a monotone cubic that starts as nearly as it may with ``velocity``."""
    velocities: FloatArray = monotone_velocities(times, positions[:, None])[:, 0]
    # Up to three times the secant a cubic stays monotone (Fritsch and Carlson 1980); half of that leaves room.
    steepest = 1.5 * (positions[1] - positions[0]) / (times[1] - times[0])
    velocities[0] = np.clip(velocity, min(0.0, steepest), max(0.0, steepest))
    return velocities
