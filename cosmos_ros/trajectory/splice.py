"""Latency compensation: drop what has passed, and join a new trajectory to the motion being executed.

A prediction is about the time of its observation; by the time it is there, its first steps are over and the robot
is somewhere on the previous trajectory. The new one must start exactly there, with that velocity, or the arm jerks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.trajectory.grippers import plan_gripper
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.trajectory.smooth import Decay, decay
from cosmos_ros.types import NANOSECONDS, FloatArray, Int64Array, JointState, JointTrajectory

# A knot closer than this to the join is left out: dividing by so short a segment only amplifies rounding.
MINIMUM_SEGMENT_NS = 5_000_000
# With this many knots a blend needs little more acceleration than the smoothest possible one.
_FEWEST_KNOTS = 7
# Differences (rad, m, and their rates) that are rounding.
_NOTHING = 1e-9
# How far beyond its end a trajectory may be made longer, lest the blend be too quick, and in which steps.
_LONGEST_WAIT_NS = 2_000_000_000
_WAIT_STEP_NS = 100_000_000


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


def splice(
    new: JointTrajectory,
    current: MotionState,
    join_ns: int,
    blend_ns: int,
    accelerations: FloatArray | None = None,
    jerks: FloatArray | None = None,
    grippers: Mapping[str, float] | None = None,
) -> Splice | None:
    """Join ``new`` to ``current`` at ``join_ns``; return None when all of it has passed.

    The difference between the executed motion and the new trajectory at the join, in position, velocity and
    acceleration, dies away with little jerk until the first knot at least ``blend_ns`` later at which that needs no
    more than the accelerations and jerks given. The sum of two cubics on common knots is a cubic, so positions and
    velocities at the knots describe it exactly, and a join adds no step of acceleration to those of ``new``. Where
    there are too few knots for that, it gets more; where it ends too soon, it stands at its end until then.

    Args:
        new: Cubic trajectory (with velocities), ``stamp_ns`` absolute, first point at or before ``join_ns`` or after.
        current: Must contain every joint of ``new``.
        join_ns: Absolute time of the first point of the result.
        blend_ns: Shortest time the difference may take to die away.
        accelerations, jerks: ``float64 [J]`` in the order of ``new``: it takes longer where it would need more.
        grippers: Joint → largest speed of those that are planned anew, from where they are commanded to what ``new``
            wants of them after its first point (see ``plan_gripper``).

    Raises:
        InputError: A joint of ``new`` is not in ``current``, or ``new`` has no velocities.
    """
    if new.velocities is None or len(new.times_ns) < 2:
        raise InputError("a trajectory to splice needs two points and velocities", where="splice")
    missing = [name for name in new.joint_names if name not in current.joint_names]
    if missing:
        raise InputError(f"joints {missing} are not in the current motion", where="splice")
    fastest = grippers or {}
    now = current.only([current.joint_names.index(name) for name in new.joint_names])
    absolute = new.stamp_ns + new.times_ns
    kept = absolute[absolute >= join_ns + MINIMUM_SEGMENT_NS]
    if not kept.size:
        return None
    base = _Base(new, join_ns)
    error = MotionState(
        now.joint_names, *(mine - its for mine, its in zip(base.state_of(now), base.at_join, strict=True))
    )
    arm = [k for k, name in enumerate(new.joint_names) if name not in fastest]
    unbounded = np.full(len(new.joint_names), np.inf)
    bounds = [unbounded if given is None else given for given in (accelerations, jerks)]
    knots, fading = _blend(kept - join_ns, blend_ns, error.only(arm), bounds[0][arm], bounds[1][arm])
    positions, velocities = base.sample(knots)
    # Exactly the executed motion at the join, free of the rounding of subtracting and adding.
    positions[0], velocities[0] = now.positions, now.velocities
    positions[1 : len(fading.positions), arm] += fading.positions[1:]
    velocities[1 : len(fading.positions), arm] += fading.velocities[1:]
    for k, name in enumerate(new.joint_names):
        if name in fastest:
            wanted = base.wanted(knots, k, float(now.positions[k]))
            start = float(now.positions[k]), float(now.velocities[k])
            positions[:, k], velocities[:, k] = plan_gripper(knots / NANOSECONDS, wanted, *start, fastest[name])
    trajectory = JointTrajectory(new.joint_names, join_ns, knots, positions, velocities)
    first_step = int(np.searchsorted(absolute, join_ns, side="right"))
    worst = float(np.max(np.abs(error.positions[arm]), initial=0.0))
    return Splice(trajectory, dropped_steps=max(0, first_step - 1), join_error=worst)


class _Base:
    """The new trajectory on the clock of the join; it stands still before its first point and after its last."""

    def __init__(self, new: JointTrajectory, join_ns: int) -> None:
        self._new, self._offset = new, join_ns - new.stamp_ns
        self._polynomials = [piecewise(new).derivative(order) for order in range(3)]
        self.at_join = [values[0] for values in self._sample([0], orders=3)]

    @staticmethod
    def state_of(motion: MotionState) -> tuple[FloatArray, FloatArray, FloatArray]:
        return motion.positions, motion.velocities, motion.accelerations

    def sample(self, elapsed_ns: Int64Array) -> list[FloatArray]:
        """Return positions and velocities ``[K, J]``."""
        return self._sample(elapsed_ns, orders=2)

    def _sample(self, elapsed_ns: Int64Array | list[int], orders: int) -> list[FloatArray]:
        times = self._offset + np.asarray(elapsed_ns, dtype=np.int64)
        seconds = times / NANOSECONDS
        values = [polynomial(seconds) for polynomial in self._polynomials[:orders]]
        still = (times < self._new.times_ns[0]) | (times > self._new.times_ns[-1])
        for rates in values[1:]:
            rates[still] = 0.0
        return values

    def wanted(self, elapsed_ns: Int64Array, joint: int, start: float) -> FloatArray:
        """Return what is wanted of a gripper ``[K]``: the next point's position; the first point says nothing."""
        times = self._offset + elapsed_ns
        following = np.minimum(np.searchsorted(self._new.times_ns, times), len(self._new.times_ns) - 1)
        return np.where(following == 0, start, self._new.positions[following, joint])


def _blend(
    kept_ns: Int64Array, blend_ns: int, error: MotionState, accelerations: FloatArray, jerks: FloatArray
) -> tuple[Int64Array, Decay]:
    """Return all knots of the joined trajectory, and the decay of the difference on the first of them."""
    if (
        max(np.abs(part).max(initial=0.0) for part in (error.positions, error.velocities, error.accelerations))
        < _NOTHING
    ):
        none = np.zeros((1, len(error.positions)))
        return np.concatenate(([0], kept_ns)), Decay(none, none, none, none[:0])
    later = np.arange(1, 1 + _LONGEST_WAIT_NS // _WAIT_STEP_NS) * _WAIT_STEP_NS + kept_ns[-1]
    # A difference that there is from the start cannot be made smaller at once.
    allowed = np.maximum(accelerations, np.abs(error.accelerations)) * (1.0 + 1e-9)
    for last in (*kept_ns[kept_ns >= min(blend_ns, kept_ns[-1])], *later):
        inside = np.concatenate(([0], kept_ns[kept_ns < last], [last]))
        while len(inside) < _FEWEST_KNOTS:
            inside = _split(inside)
        fading = decay(inside / NANOSECONDS, error.positions, error.velocities, error.accelerations)
        if (np.abs(fading.accelerations) <= allowed).all() and (np.abs(fading.jerks) <= jerks).all():
            break
    return np.concatenate((inside, kept_ns[kept_ns > last])), fading


def _split(knots: Int64Array) -> Int64Array:
    """Return the knots with another one in the middle of the longest step."""
    k = int(np.argmax(np.diff(knots)))
    return np.insert(knots, k + 1, (knots[k] + knots[k + 1]) // 2)
