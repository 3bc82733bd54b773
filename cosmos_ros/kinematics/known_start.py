"""Inverse kinematics of poses whose first ones belong to a motion that is known already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

import numpy as np

from cosmos_ros.kinematics.ik import InverseKinematics
from cosmos_ros.kinematics.records import POSITION_TOLERANCE, ROTATION_TOLERANCE, IkSolution
from cosmos_ros.se3 import pose_error
from cosmos_ros.types import NANOSECONDS, FloatArray, Int64Array

_SAME, _BOUNDS = ("joint_names", "targets"), ("lower", "upper")


def solve_after(
    solver: InverseKinematics,
    poses: Mapping[str, FloatArray],
    start: Mapping[str, float],
    times_ns: Int64Array,
    start_velocity: FloatArray,
    known: FloatArray,
) -> IkSolution:
    """Follow the poses, the first k of them by the configurations that are known to reach them.

    A redundant arm would else come to the same poses in another posture than the one in which it is being moved there.
    Configurations that miss a pose, or are outside the limits, are not used.

    Args:
        solver: The robot's.
        poses: Target link → ``[T, 4, 4]``.
        start: Joint → position before the first pose.
        times_ns: ``[T]`` after the start.
        start_velocity: ``[J]``, NaN where unknown.
        known: ``[k, J]`` in the solver's order, k at least 1 and below T.

    Raises:
        InputError, KinematicsError: As the solver.
    """
    count = len(known)
    head = _reached(solver, {link: matrices[:count] for link, matrices in poses.items()}, start, known)
    if head is None or count >= len(times_ns):
        return solver.solve(poses, start, times_ns, start_velocity)
    before = known[-2] if count > 1 else np.array([start[name] for name in solver.joint_names])
    step_ns = int(times_ns[count - 1]) - (int(times_ns[count - 2]) if count > 1 else 0)
    tail = solver.solve(
        {link: matrices[count:] for link, matrices in poses.items()},
        {**start, **dict(zip(solver.joint_names, known[-1].tolist(), strict=True))},
        times_ns[count:] - times_ns[count - 1],
        (known[-1] - before) * (NANOSECONDS / step_ns),
    )
    names = [field.name for field in fields(IkSolution) if field.name not in _SAME]
    joined = {name: np.concatenate((getattr(head, name), getattr(tail, name))) for name in names}
    return IkSolution(joint_names=tail.joint_names, targets=tail.targets, **joined)


def _reached(
    solver: InverseKinematics, poses: Mapping[str, FloatArray], start: Mapping[str, float], known: FloatArray
) -> IkSolution | None:
    """Return configurations as a solution; None where one does not reach its pose within the limits."""
    lower, upper = (np.array([getattr(solver.limits[n], side) for n in solver.joint_names]) for side in _BOUNDS)
    if (known < lower).any() or (known > upper).any():
        return None
    model, count = solver.model, len(known)
    whole = np.zeros((count, len(model.joint_names)))
    for column, name in enumerate(model.joint_names):
        value = known[:, solver.joint_names.index(name)] if name in solver.joint_names else start.get(name)
        whole[:, column] = solver.nominal.get(name, 0.0) if value is None else value
    found = model.fk_batch_links(whole, solver.targets)
    distance, angle = np.stack([pose_error(found[link], poses[link]) for link in solver.targets], axis=-1)
    if (distance > POSITION_TOLERANCE).any() or (angle > ROTATION_TOLERANCE).any():
        return None
    return IkSolution(
        joint_names=solver.joint_names,
        positions=known,
        position_residuals=distance.max(axis=1),
        rotation_residuals=angle.max(axis=1),
        converged=np.ones(count, dtype=bool),
        targets=solver.targets,
        target_position_residuals=distance,
        target_rotation_residuals=angle,
        iterations=np.zeros(count, dtype=np.int64),
    )
