"""Damped least squares in a box: how one group of joints follows one sequence of poses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg.lapack import dposv

from cosmos_ros.kinematics.records import POSITION_TOLERANCE, ROTATION_TOLERANCE, IkOptions
from cosmos_ros.kinematics.robot_model import RobotModel
from cosmos_ros.limits import JointLimit
from cosmos_ros.types import FloatArray

# Metres that one radian counts as.
ROTATION_WEIGHT = 0.3
# λ² = _DAMPING · |error|² + _SMALLEST_DAMPING: strong far away, gone at the solution (Sugihara 2011).
_DAMPING = 0.1
_SMALLEST_DAMPING = 1e-10
_SMALLEST_STEP = 1e-10
_SMALLEST_GAIN = 1e-6
# Linear solves for one pose at most, and the largest change of one joint in one of them, rad or m.
_MOST_SOLVES = 40
_LARGEST_STEP = 0.5
# Share of the last step's motion in the null space that the next step keeps.
_CARRY_ON = 0.8


@dataclass(frozen=True)
class FollowedPath:
    """Joint positions ``[T, J]``, residuals ``[T, K, 2]`` in m and rad, and linear solves ``[T]``."""

    positions: FloatArray
    residuals: FloatArray
    solves: npt.NDArray[np.int64]


class Follower:
    """Joints that share targets, with their bounds.

    Each step solves ``min |W (J dq - e)|² + λ² |dq|²`` inside a box. Joints that would leave it are held at its
    face while the others solve again; every linear solve starts with all joints free, so that they leave the face
    as they entered it.

    Args:
        model: The robot; only what moves the targets is kept of it.
        targets: K links.
        joints: J joints, each of which moves a target.
        nominal: Joint → nominal posture; may be partial.
        limits: Joint → limits.
        options: Settings.
    """

    def __init__(
        self,
        model: RobotModel,
        targets: tuple[str, ...],
        joints: tuple[str, ...],
        nominal: Mapping[str, float],
        limits: Mapping[str, JointLimit],
        options: IkOptions,
    ) -> None:
        self.targets = targets
        self.joint_names = joints
        self.options = options
        self.model = model.restricted_to(targets)
        order = self.model.joint_names
        self._columns = np.array([order.index(name) for name in joints])
        self._whole = np.array_equal(self._columns, np.arange(len(order)))
        bounds = [limits.get(name, JointLimit()) for name in joints]
        self.lower = np.array([b.lower for b in bounds])
        self.upper = np.array([b.upper for b in bounds])
        self.velocity = np.array([b.velocity for b in bounds])
        self._nominal = np.array([nominal.get(name, np.nan) for name in joints])
        self._weights = np.array(([1.0] * 3 + [ROTATION_WEIGHT] * 3) * len(targets))
        moved = set(joints)
        # A head on two joints cannot follow six numbers exactly; that is no reason to search for another branch.
        self._reachable = np.array([len(moved & set(self.model.supporting_joints(link))) >= 6 for link in targets])

    def converged(self, residuals: FloatArray) -> bool:
        """True when all targets that can be followed exactly are, within the tolerances: ``[T, K, 2]``."""
        return bool((residuals[:, self._reachable] <= (POSITION_TOLERANCE, ROTATION_TOLERANCE)).all())

    def follow(
        self,
        whole: FloatArray,
        start: FloatArray,
        poses: FloatArray,
        turns: FloatArray,
        guide: FloatArray | None = None,
        first_step: FloatArray | None = None,
    ) -> FollowedPath:
        """Follow the poses one by one, each from the configuration before it.

        Args:
            whole: ``[M]`` configuration of :attr:`model`, for the joints that are not moved.
            start: ``[J]``.
            poses: ``[T, K, 4, 4]``.
            turns: ``[T, J]`` largest change of each joint on the way to each pose.
            guide: ``[T, J]`` configurations to stay near in the null space, in place of start and nominal posture.
            first_step: ``[J]`` what the joints would go until the first pose at their start velocity.
        """
        options = self.options
        count, q = len(poses), start
        before = start if first_step is None else start - first_step
        positions = np.empty((count, len(q)))
        residuals = np.empty((count, len(self.targets), 2))
        solves = np.empty(count, dtype=np.int64)
        has_nominal = ~np.isnan(self._nominal)
        for step in range(count):
            if guide is None:
                pull = options.pull_to_start * (start - q) + _CARRY_ON * (q - before)
                pull += np.where(has_nominal, options.pull_to_nominal * (self._nominal - q), 0.0)
            else:
                pull = guide[step] - q
            lower = np.minimum(np.maximum(q - turns[step], self.lower), self.upper)
            upper = np.minimum(np.maximum(q + turns[step], self.lower), self.upper)
            before = q
            q, residuals[step], solves[step] = self._step(whole, q, poses[step], lower, upper, pull)
            positions[step] = q
        return FollowedPath(positions, residuals, solves)

    def _step(
        self,
        whole: FloatArray,
        q: FloatArray,
        poses: FloatArray,
        lower: FloatArray,
        upper: FloatArray,
        pull: FloatArray,
    ) -> tuple[FloatArray, FloatArray, int]:
        """Return configuration ``[J]``, residuals ``[K, 2]`` and linear solves for one set of poses ``[K, 4, 4]``."""
        options = self.options
        q = np.minimum(np.maximum(q, lower), upper)
        error, jacobian, residual = self._evaluate(whole, q, poses)
        square = float(error @ error)
        factor, solves = 1.0, 0
        while solves < _MOST_SOLVES:
            if residual[:, 0].max() <= options.stop_position and residual[:, 1].max() <= options.stop_rotation:
                break
            damping = factor * _DAMPING * square + _SMALLEST_DAMPING
            dq = _solve_in_box(jacobian, error, damping, lower - q, upper - q, pull if solves == 0 else None)
            solves += 1
            largest = float(np.abs(dq).max())
            if largest < _SMALLEST_STEP:
                break
            if largest > _LARGEST_STEP:
                dq = dq * (_LARGEST_STEP / largest)
            trial = np.minimum(np.maximum(q + dq, lower), upper)
            tried = self._evaluate(whole, trial, poses)
            new_square = float(tried[0] @ tried[0])
            if new_square < square:
                gained, q, square = square - new_square, trial, new_square
                error, jacobian, residual = tried
                factor = max(factor / 3.0, 1.0)
                if gained < _SMALLEST_GAIN * square:
                    break
            elif factor > 1e6:
                break
            else:
                factor *= 10.0
        return q, residual, solves

    def _evaluate(
        self, whole: FloatArray, q: FloatArray, poses: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return weighted error ``[6K]``, weighted Jacobian ``[6K, J]`` and residuals ``[K, 2]``."""
        if self._whole:
            configuration = q
        else:
            configuration = whole.copy()
            configuration[self._columns] = q
        answers = self.model.poses_and_jacobians(configuration, self.targets)
        error = np.empty(6 * len(answers))
        residual = np.empty((len(answers), 2))
        for index, (pose, _) in enumerate(answers):
            error[6 * index : 6 * index + 6], residual[index] = _difference(pose, poses[index])
        jacobian = answers[0][1] if len(answers) == 1 else np.concatenate([j for _, j in answers])
        if not self._whole:
            jacobian = jacobian[:, self._columns]
        return error * self._weights, jacobian * self._weights[:, None], residual


def _solve_in_box(
    jacobian: FloatArray,
    error: FloatArray,
    damping: float,
    lower: FloatArray,
    upper: FloatArray,
    pull: FloatArray | None,
) -> FloatArray:
    """Return the damped least-squares step inside ``[lower, upper]``, by an active set of held joints."""
    dq = _damped(jacobian, error, damping, pull)
    over = np.maximum(dq - upper, lower - dq)
    if over.max() <= 0.0:
        return dq
    free = np.ones(len(dq), dtype=bool)
    result = np.zeros(len(dq))
    while over.max() > 0.0:
        worst = int(np.argmax(over))
        held = int(np.flatnonzero(free)[worst])
        result[held] = upper[held] if dq[worst] > upper[held] else lower[held]
        free[held] = False
        if not free.any():
            return result
        rest = error - jacobian[:, ~free] @ result[~free]
        dq = _damped(jacobian[:, free], rest, damping, None if pull is None else pull[free])
        over = np.maximum(dq - upper[free], lower[free] - dq)
    result[free] = dq
    return result


def _damped(jacobian: FloatArray, error: FloatArray, damping: float, pull: FloatArray | None) -> FloatArray:
    """Return ``z + Jᵀ (J Jᵀ + λ² I)⁻¹ (e - J z)``; z, the pull, so acts in the null space only."""
    target = error if pull is None else error - jacobian @ pull
    rows, columns = jacobian.shape
    if rows <= columns:
        gram = jacobian @ jacobian.T
        gram.flat[:: rows + 1] += damping
        dq = jacobian.T @ dposv(gram, target, lower=1)[1]
    else:
        gram = jacobian.T @ jacobian
        gram.flat[:: columns + 1] += damping
        dq = dposv(gram, jacobian.T @ target, lower=1)[1]
    result: FloatArray = dq if pull is None else pull + dq
    return result


def _difference(pose: FloatArray, wanted: FloatArray) -> tuple[list[float], tuple[float, float]]:
    """Return the twist (linear, angular, in root axes) from ``pose`` to ``wanted``, and its two lengths.

    Plain floats: for one matrix of nine numbers they are faster than arrays.
    """
    x, y, z = (wanted[:3, 3] - pose[:3, 3]).tolist()
    (r00, r01, r02), (r10, r11, r12), (r20, r21, r22) = (wanted[:3, :3] @ pose[:3, :3].T).tolist()
    a, b, c = r21 - r12, r02 - r20, r10 - r01
    sine = math.sqrt(a * a + b * b + c * c)
    cosine = r00 + r11 + r22 - 1.0
    angle = math.atan2(sine, cosine)
    if sine > 1e-7:
        scale = angle / sine
    elif cosine > 0.0:
        scale = 0.5
    else:
        # Half a turn: the axis is the column of (R + I) with the largest diagonal.
        diagonal = (r00, r11, r22)
        column = diagonal.index(max(diagonal))
        a, b, c = ((r00 + 1.0, r10, r20), (r01, r11 + 1.0, r21), (r02, r12, r22 + 1.0))[column]
        scale = angle / math.sqrt(a * a + b * b + c * c)
    return [x, y, z, a * scale, b * scale, c * scale], (math.sqrt(x * x + y * y + z * z), angle)
