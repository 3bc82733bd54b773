"""Inverse kinematics of pose sequences for one or several links."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from cosmos_ros.errors import InputError, KinematicsError
from cosmos_ros.kinematics.follower import Follower
from cosmos_ros.kinematics.records import POSITION_TOLERANCE, ROTATION_TOLERANCE, IkOptions, IkSolution
from cosmos_ros.kinematics.robot_model import RobotModel
from cosmos_ros.kinematics.search import follow_with_search
from cosmos_ros.limits import JointLimit
from cosmos_ros.se3 import check_poses
from cosmos_ros.types import NANOSECONDS, FloatArray

# Largest change of one joint from one pose to the next where no times are given, rad or m.
_MAX_TURN = 1.0
# Where times are given, its bound in units of velocity limit · time. Above 1 because a chunk that is somewhat too fast
# is better slowed down by the guard than bent here; a jump through a singularity asks for ten times the limit and more.
_VELOCITY_SCALE = 2.0

Start = Mapping[str, float] | npt.ArrayLike


class InverseKinematics:
    """Follows one pose sequence a target link with the joints of one robot.

    Damped least squares with position limits and what the joints can do in the time as an active set, warm-started
    from step to step; a redundant arm is drawn a little towards its start and its nominal posture in the null space.
    Targets that share joints (two hands and a head on one waist) are solved together, others apart. A pose that
    cannot be reached gives the nearest configuration found and a residual, never an error. Joint values never wrap:
    the answer is continuous with the measured start, whatever its turn. Thread-safe.

    Args:
        model: The robot.
        targets: Links that follow poses.
        joints: Joints to move; each must move at least one target. The rest stay as in ``start``.
        nominal: Joint → posture to pull to, and the value of joints that are neither moved nor measured; may be
            partial or None.
        limits: Joint → limits; the URDF's where absent.
        options: Settings.

    Raises:
        KinematicsError: No or repeated names, an unknown link or joint, a joint that moves no target, or one with no
            room between its limits.
    """

    def __init__(
        self,
        model: RobotModel,
        targets: Sequence[str],
        joints: Sequence[str],
        nominal: Mapping[str, float] | None = None,
        limits: Mapping[str, JointLimit] | None = None,
        options: IkOptions | None = None,
    ) -> None:
        self.model = model
        self.targets = tuple(targets)
        self.joint_names = tuple(joints)
        self.nominal = dict(nominal or {})
        self.limits = {**model.limits, **(limits or {})}
        self.options = options or IkOptions()
        for kind, names in (("targets", self.targets), ("joints", self.joint_names)):
            if not names or len(set(names)) != len(names):
                raise KinematicsError(f"{kind} ({', '.join(names)}) are empty or repeat", where="inverse kinematics")
        supports = {link: set(model.supporting_joints(link)) for link in self.targets}
        useful = set().union(*supports.values())
        for name in self.joint_names:
            if name not in useful:
                raise KinematicsError(
                    f"joint '{name}' {'moves none of the targets' if name in model.joint_names else 'is unknown'}",
                    where=model.tree.source,
                    hint=f"Joints that move them: {', '.join(sorted(useful))}.",
                )
            limit = self.limits[name]
            if limit.lower > limit.upper:
                raise KinematicsError(
                    f"limits {limit.lower:g} to {limit.upper:g} leave joint '{name}' no room",
                    where="inverse kinematics",
                )
        for link in self.targets:
            if not supports[link] & set(self.joint_names):
                raise KinematicsError(f"target '{link}' is moved by none of the joints", where="inverse kinematics")
        self._unmoved = tuple(sorted(useful - set(self.joint_names)))
        moved = set(self.joint_names)
        self._followers = [
            Follower(
                model,
                group,
                tuple(name for name in self.joint_names if any(name in supports[link] for link in group)),
                self.nominal,
                self.limits,
                self.options,
            )
            for group in _groups({link: supports[link] & moved for link in self.targets})
        ]

    def solve(
        self,
        poses: Mapping[str, npt.ArrayLike],
        start: Start,
        times_ns: npt.ArrayLike | None = None,
        start_velocity: npt.ArrayLike | None = None,
    ) -> IkSolution:
        """Follow the poses from the start configuration.

        Args:
            poses: Target link → ``[T, 4, 4]`` in the model's root frame.
            start: Measured configuration before the first pose, unwrapped as the robot reports it: a mapping, or
                ``[J]`` in the order of :attr:`joint_names`.
            times_ns: ``int64 [T]`` time of each pose after the start; turns the velocity bound on.
            start_velocity: ``[J]`` measured joint velocities, NaN where unknown; used with times only, to let the
                self-motion of a redundant arm run out instead of stopping it at once.

        Raises:
            InputError: A pose that is malformed or not finite, a missing target, times that do not increase.
            KinematicsError: A joint without a value, or a value that is not finite.
        """
        wanted = self._poses(poses)
        count = len(next(iter(wanted.values())))
        values = self._start(start)
        steps = _durations(times_ns, count)
        first_step = self._first_step(start_velocity, steps)
        positions = np.empty((count, len(self.joint_names)))
        residuals = np.empty((count, len(self.targets), 2))
        solves = np.zeros(count, dtype=np.int64)
        for follower in self._followers:
            turns = self._turns(follower, steps, count)
            whole = np.array([values.get(name, 0.0) for name in follower.model.joint_names])
            first = np.array([values[name] for name in follower.joint_names])
            stacked = np.stack([wanted[link] for link in follower.targets], axis=1)
            columns = [self.joint_names.index(name) for name in follower.joint_names]
            path = follow_with_search(follower, whole, first, stacked, turns, first_step[columns])
            positions[:, columns] = path.positions
            residuals[:, [self.targets.index(link) for link in follower.targets]] = path.residuals
            solves += path.solves
        return self._solution(positions, residuals, solves)

    def _solution(self, positions: FloatArray, residuals: FloatArray, solves: npt.NDArray[np.int64]) -> IkSolution:
        distance, angle = residuals[..., 0], residuals[..., 1]
        return IkSolution(
            joint_names=self.joint_names,
            positions=positions,
            position_residuals=distance.max(axis=1),
            rotation_residuals=angle.max(axis=1),
            converged=np.all((distance <= POSITION_TOLERANCE) & (angle <= ROTATION_TOLERANCE), axis=1).reshape(
                len(positions)
            ),
            targets=self.targets,
            target_position_residuals=distance,
            target_rotation_residuals=angle,
            iterations=solves,
        )

    def _poses(self, poses: Mapping[str, npt.ArrayLike]) -> dict[str, FloatArray]:
        checked: dict[str, FloatArray] = {}
        for link in self.targets:
            if link not in poses:
                raise InputError("no poses for this target", where=link, hint=f"Given: {', '.join(poses) or 'none'}.")
            checked[link] = check_poses(poses[link], where=f"poses of {link}")
            if checked[link].ndim != 3 or checked[link].shape != checked[self.targets[0]].shape:
                raise InputError(f"shape {checked[link].shape}, expected [T, 4, 4], T alike for all", where=link)
        return checked

    def _start(self, start: Start) -> dict[str, float]:
        """Return the value of every joint that matters."""
        known: dict[str, float] = {name: self.nominal[name] for name in self._unmoved if name in self.nominal}
        if isinstance(start, Mapping):
            known.update({name: float(start[name]) for name in (*self.joint_names, *self._unmoved) if name in start})
        else:
            array = np.asarray(start, dtype=np.float64)
            if array.shape != (len(self.joint_names),):
                raise KinematicsError(
                    f"shape {array.shape}, expected [{len(self.joint_names)}]",
                    where="start state",
                    hint=f"The order is {', '.join(self.joint_names)}.",
                )
            known.update(zip(self.joint_names, array.tolist(), strict=True))
        for name in (*self.joint_names, *self._unmoved):
            if name not in known:
                raise KinematicsError(f"joint '{name}' has no value", where="start state")
            if not math.isfinite(known[name]):
                raise KinematicsError(f"joint '{name}' is {known[name]}", where="start state")
        return known

    def _first_step(self, velocity: npt.ArrayLike | None, steps: FloatArray | None) -> FloatArray:
        """Return what the joints would go until the first pose at their start velocity: ``[J]``."""
        size = len(self.joint_names)
        if velocity is None or steps is None or len(steps) == 0:
            return np.zeros(size)
        values = np.asarray(velocity, dtype=np.float64)
        if values.shape != (size,):
            raise InputError(f"shape {values.shape}, expected [{size}]", where="start velocity")
        travel: FloatArray = np.where(np.isfinite(values), values, 0.0) * steps[0]
        return travel

    def _turns(self, follower: Follower, steps: FloatArray | None, count: int) -> FloatArray:
        """Return how far each joint of the follower may go from pose to pose: ``[T, J]``."""
        if steps is None:
            return np.full((count, len(follower.joint_names)), _MAX_TURN)
        turns: FloatArray = _VELOCITY_SCALE * follower.velocity * steps[:, None]
        return turns


def _durations(times_ns: npt.ArrayLike | None, count: int) -> FloatArray | None:
    if times_ns is None:
        return None
    times = np.asarray(times_ns, dtype=np.int64)
    if times.shape != (count,):
        raise InputError(f"{times.shape} times for {count} poses", where="times_ns")
    steps = np.diff(times, prepend=0)
    if (steps <= 0).any():
        raise InputError(f"row {int(np.argmax(steps <= 0))} does not come after the one before", where="times_ns")
    return steps / NANOSECONDS


def _groups(moved: Mapping[str, set[str]]) -> list[tuple[str, ...]]:
    """Return the targets in groups that share no moved joint."""
    groups: list[tuple[tuple[str, ...], set[str]]] = []
    for link, joints in moved.items():
        touching = [group for group in groups if group[1] & joints]
        groups = [group for group in groups if not group[1] & joints]
        links = tuple(name for group in touching for name in group[0])
        groups.append(((*links, link), joints.union(*(group[1] for group in touching))))
    return [links for links, _ in groups]
