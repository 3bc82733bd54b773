"""What the controllers execute, as far as their commands show: where the next motion starts, and who follows.

The predictor joins its chunks to this motion and the guard starts everything that it sends on it, with the same
functions. A controller that has run a trajectory to its end holds the last point, whatever is measured (an arm may sag
below it), so the last command stays until it is replaced or forgotten.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from cosmos_ros.trajectory.piecewise import PiecewisePolynomial, piecewise
from cosmos_ros.trajectory.splice import MotionState, measured_motion, merge
from cosmos_ros.types import NANOSECONDS, FloatArray, Int64Array, JointState, JointTrajectory

# How far a robot may lag behind its command, s: older commands are forgotten once they are replaced.
MAX_LAG = 0.4
_KEPT_NS = 2 * NANOSECONDS
# Spacing of the commanded path on which a measurement is looked for, s.
_PATH_STEP = 0.01
# Spacing of the points through which cubics follow a quintic.
_FINE_NS = 5_000_000


@dataclass(frozen=True, eq=False)
class Command:
    """One trajectory that a controller was sent, with its polynomials.

    Attributes:
        trajectory: At least one point; ``stamp_ns`` absolute.
    """

    trajectory: JointTrajectory

    @property
    def begin_ns(self) -> int:
        """Absolute time of the first point."""
        return self.trajectory.stamp_ns + int(self.trajectory.times_ns[0])

    @property
    def end_ns(self) -> int:
        """Absolute time of the last point."""
        return self.trajectory.stamp_ns + int(self.trajectory.times_ns[-1])

    @cached_property
    def rest_ns(self) -> int:
        """Absolute time from which on it stands still."""
        return self.trajectory.stamp_ns + rest_from(self.trajectory)

    @cached_property
    def _polynomials(self) -> tuple[PiecewisePolynomial, PiecewisePolynomial, PiecewisePolynomial]:
        position = piecewise(self.trajectory)
        return position, position.derivative(), position.derivative(2)

    def at(self, times_ns: Int64Array | list[int]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return positions, velocities and accelerations ``[M, J]`` at absolute times.

        Before the first point and from the last one on it stands still there.
        """
        times = np.asarray(times_ns, dtype=np.int64)
        trajectory = self.trajectory
        running = (times >= self.begin_ns) & (times < self.end_ns)
        ends = np.where(times < self.begin_ns, 0, len(trajectory.times_ns) - 1)
        positions = np.array(trajectory.positions[ends], dtype=np.float64)
        velocities, accelerations = np.zeros_like(positions), np.zeros_like(positions)
        if running.any():
            seconds = (times[running] - trajectory.stamp_ns) / NANOSECONDS
            for values, polynomial in zip((positions, velocities, accelerations), self._polynomials, strict=True):
                values[running] = polynomial(seconds)
        return positions, velocities, accelerations


@dataclass(frozen=True)
class Tracking:
    """How a measurement lies on the commanded path of the last ``MAX_LAG`` seconds.

    Attributes:
        lag: Seconds since the robot was commanded to be where it is measured.
        errors: Joint → distance from the path there, rad or m; without joints that may be blocked.
    """

    lag: float
    errors: dict[str, float] = field(default_factory=dict)

    def worst(self) -> tuple[str, float]:
        """Return the joint that is farthest from the path, and its distance; ``("", 0.0)`` when none is commanded."""
        return max(self.errors.items(), key=lambda item: item[1], default=("", 0.0))


@dataclass(frozen=True, eq=False)
class ExecutedMotion:
    """The newest command of every joint, and the ones before them as far as a lagging robot may still be on them.

    Immutable: ``after`` gives the motion after another command.

    Attributes:
        commands: In the order in which they were sent.
    """

    commands: tuple[Command, ...] = ()

    @classmethod
    def of(cls, *trajectories: JointTrajectory) -> ExecutedMotion:
        """Return the motion after trajectories sent in this order."""
        motion = cls()
        for trajectory in trajectories:
            motion = motion.after(trajectory)
        return motion

    def __bool__(self) -> bool:
        return bool(self.commands)

    def after(self, trajectory: JointTrajectory) -> ExecutedMotion:
        """Return the motion after one more trajectory, which replaces what its joints were sent before.

        Args:
            trajectory: ``stamp_ns`` absolute; one without points changes nothing.
        """
        if not len(trajectory.times_ns):
            return self
        new = Command(trajectory)
        kept: list[Command] = []
        newer: set[str] = set(trajectory.joint_names)
        for command in reversed(self.commands):
            replaced = set(command.trajectory.joint_names) <= newer
            if not replaced or command.end_ns > new.begin_ns - _KEPT_NS:
                kept.append(command)
            newer |= set(command.trajectory.joint_names)
        # A flood of commands must not let the history grow.
        return ExecutedMotion((*reversed(kept[:32]), new))

    def shifted(self, by_ns: int) -> ExecutedMotion:
        """Return the same motion as seen from a clock that was moved by so much."""
        moved = (replace(c.trajectory, stamp_ns=c.trajectory.stamp_ns + by_ns) for c in self.commands)
        return ExecutedMotion(tuple(Command(trajectory) for trajectory in moved))

    @cached_property
    def current(self) -> tuple[Command, ...]:
        """The commands that are the newest of one of their joints at least, newest first."""
        found: list[Command] = []
        seen: set[str] = set()
        for command in reversed(self.commands):
            if not set(command.trajectory.joint_names) <= seen:
                found.append(command)
                seen |= set(command.trajectory.joint_names)
        return tuple(found)

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """All joints that were commanded."""
        return tuple(dict.fromkeys(name for command in self.commands for name in command.trajectory.joint_names))

    @cached_property
    def _first(self) -> dict[str, Command]:
        """Joint → its oldest command."""
        return {name: command for command in reversed(self.commands) for name in command.trajectory.joint_names}

    @property
    def rest_ns(self) -> int | None:
        """Absolute time at which everything stands still for good; None when nothing was sent."""
        return max((command.rest_ns for command in self.current), default=None)

    def moving(self, time_ns: int) -> bool:
        """Whether a command still moves, or will move, a joint at or after a time."""
        rest = self.rest_ns
        return rest is not None and time_ns < rest

    def knots(self, begin_ns: int, end_ns: int) -> list[int]:
        """Return the absolute times of the newest commands' points strictly between two times, sorted."""
        times: set[int] = set()
        for command in self.current:
            absolute = command.trajectory.stamp_ns + command.trajectory.times_ns
            times.update(int(t) for t in absolute[(absolute > begin_ns) & (absolute < end_ns)])
        return sorted(times)

    def cubic_knots(self, begin_ns: int, end_ns: int, least_ns: int) -> list[int]:
        """Return absolute times from ``begin_ns`` on, before ``end_ns``, through which cubics follow the motion.

        They are ``knots``, and while a quintic runs as many between them as it takes. None is closer than ``least_ns``
        to the next, or to the end.
        """
        times = set(self.knots(begin_ns, end_ns))
        if self.moving(begin_ns) and any(c.trajectory.accelerations is not None for c in self.current):
            times.update(range(begin_ns + _FINE_NS, end_ns, _FINE_NS))
        found = [begin_ns]
        for time in sorted(times):
            if time >= found[-1] + least_ns and time <= end_ns - least_ns:
                found.append(time)
        return found

    def sample(self, times_ns: list[int]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return commanded positions, velocities and accelerations ``[M, J]`` of ``joint_names`` at absolute times.

        At each time a joint follows the newest command that had begun by then; before its first one it stands still
        at that one's first point.
        """
        names = self.joint_names
        times = np.asarray(times_ns, dtype=np.int64)
        shape = (len(times), len(names))
        result = (np.zeros(shape), np.zeros(shape), np.zeros(shape))
        vacant = np.ones(shape, dtype=bool)
        for command in reversed(self.commands):
            columns = [names.index(name) for name in command.trajectory.joint_names]
            first = np.array([self._first[name] is command for name in command.trajectory.joint_names])
            taken = vacant[:, columns] & ((times >= command.begin_ns)[:, None] | first)
            if not taken.any():
                continue
            rows, local = np.nonzero(taken)
            into = (rows, np.asarray(columns)[local])
            for values, of in zip(result, command.at(times), strict=True):
                values[into] = of[rows, local]
            vacant[into] = False
            if not vacant.any():
                break
        return result

    def at(self, time_ns: int) -> MotionState | None:
        """Return the commanded state of ``joint_names`` at an absolute time; None when nothing was sent."""
        if not self.commands:
            return None
        positions, velocities, accelerations = self.sample([time_ns])
        return MotionState(self.joint_names, positions[0], velocities[0], accelerations[0])

    def tracking(
        self, measured: JointState, *, continuous: Collection[str] = (), blockable: Collection[str] = ()
    ) -> Tracking:
        """Return how far behind, and how far off, the commanded path a robot is measured.

        The place on the path is the latest one that is as near as any, within a tenth of a milliradian: a robot at
        rest does not lag.

        Args:
            measured: Joints that it lacks are not compared.
            continuous: Joints that wrap; their differences are modulo 2π.
            blockable: Joints that an object may stop (grippers), which says nothing about the controller.
        """
        order = [k for k, name in enumerate(self.joint_names) if name in measured.names and name not in blockable]
        if not order:
            return Tracking(0.0)
        names = [self.joint_names[k] for k in order]
        steps = round(MAX_LAG / _PATH_STEP)
        step_ns = round(_PATH_STEP * NANOSECONDS)
        moments = [measured.stamp_ns - k * step_ns for k in range(steps + 1)]  # newest first
        path = self.sample(moments)[0][:, order]
        seen = np.array([measured.position_of(name) for name in names])
        wraps = np.array([name in continuous for name in names])
        difference = wrapped(seen - path, wraps)
        # Nearest place on each straight piece of the path, then the latest of the best.
        piece = path[1:] - path[:-1]
        length = np.einsum("mj,mj->m", piece, piece)
        with np.errstate(all="ignore"):
            share = np.where(length > 0.0, np.einsum("mj,mj->m", difference[:-1], piece) / length, 0.0)
        share = np.clip(share, 0.0, 1.0)
        off = difference[:-1] - share[:, None] * piece
        distance = np.linalg.norm(off, axis=1)
        best = int(np.argmax(distance <= distance.min() + 1e-4))
        errors = dict(zip(names, np.abs(off[best]).tolist(), strict=True))
        return Tracking(float((best + share[best]) * _PATH_STEP), errors)

    def start_of_next(
        self,
        time_ns: int,
        measured: JointState,
        tolerance: float,
        *,
        continuous: Collection[str] = (),
        blockable: Collection[str] = (),
    ) -> tuple[MotionState, bool]:
        """Return where the next motion starts, and whether what was sent is followed.

        That is the commanded state at ``time_ns`` while the robot is measured within ``tolerance`` of the commanded
        path; joints that were never commanded, and all when the path is not followed, are where they were measured,
        moved on at their measured velocity. Joints that may be blocked are believed to have their command.

        Args:
            time_ns: Absolute time, at or a little after the measurement.
            measured: Newest joint state; must hold every joint.
            tolerance: rad or m.
            continuous: See ``tracking``.
            blockable: See ``tracking``.
        """
        base = measured_motion(measured)
        seconds = (time_ns - measured.stamp_ns) / NANOSECONDS
        coasting = MotionState.of(base.joint_names, base.positions + seconds * base.velocities, base.velocities)
        commanded = self.at(time_ns)
        if commanded is None:
            return coasting, True
        followed = self.tracking(measured, continuous=continuous, blockable=blockable).worst()[1] <= tolerance
        believed = [
            k
            for k, name in enumerate(commanded.joint_names)
            if name in measured.names and (followed or name in blockable)
        ]
        return merge(coasting, commanded.only(believed)), followed


def rest_from(trajectory: JointTrajectory) -> int:
    """Return the time_from_start from which on a trajectory stands still, nanoseconds."""
    away = np.any(trajectory.positions != trajectory.positions[-1], axis=1)
    if trajectory.velocities is not None:
        away |= np.any(trajectory.velocities != 0.0, axis=1)
    moving = np.flatnonzero(away)
    last = min(int(moving[-1]) + 1, len(away) - 1) if moving.size else 0
    return int(trajectory.times_ns[last])


def wrapped(difference: FloatArray, continuous: np.ndarray | bool) -> FloatArray:
    """Return joint differences ``[..., J]``, those of continuous joints by the short way, in [-π, π)."""
    if not np.any(continuous):
        return difference
    short = np.mod(difference + np.pi, 2.0 * np.pi) - np.pi
    result: FloatArray = np.where(continuous, short, difference)
    return result
