"""Recorded motion to physical action rows and back, wholly on arrays: no files, no robot model, no normaliser."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from cosmos_ros.embodiment.action_layout import Layout
from cosmos_ros.errors import DecodeError, InputError
from cosmos_ros.se3 import (
    conjugate,
    deltas_from_poses,
    integrate_deltas,
    inverse,
    matrix_from_pose9d,
    pose9d_from_matrix,
    rotation_6d_residual,
)
from cosmos_ros.types import FloatArray

# No robot's metres or radians come near this; it keeps the products of a million steps finite.
LARGEST = 1e9


@dataclass(frozen=True)
class RobotMotion:
    """Motion over N instants, in the robot's own numbers.

    Attributes:
        poses: Link name → ``float64 [N, 4, 4]`` in the base frame.
        openings: Gripper name → ``float64 [N]``, 0 closed, 1 open.
        joints: Joint name → ``float64 [N]`` rad or m.
    """

    poses: Mapping[str, FloatArray] = field(default_factory=dict)
    openings: Mapping[str, FloatArray] = field(default_factory=dict)
    joints: Mapping[str, FloatArray] = field(default_factory=dict)


def encode_motion(layout: Layout, motion: RobotMotion) -> FloatArray:
    """Return the physical action rows ``float64 [T, D]`` of motion over T + 1 instants.

    Pose block: ``inv(A_k) @ A_(k+1)`` with ``A = link @ tool_frame``, that is ``inv(C) D_link C``.

    Raises:
        InputError: Something the layout needs is missing, or lengths differ; names it.
    """
    lengths: dict[str, int] = {}
    for block in layout.poses:
        lengths[block.link] = len(_take(motion.poses, block.link, "tool pose of link"))
    for grip in layout.grips:
        lengths[grip.gripper] = len(_take(motion.openings, grip.gripper, "opening of gripper"))
    for group in layout.joints:
        for joint in group.joints:
            lengths[joint] = len(_take(motion.joints, joint, "position of joint"))
    if len(set(lengths.values())) != 1:
        raise InputError(f"recorded lengths differ: {lengths}", where="encode")
    count = next(iter(lengths.values()))
    if count < 2:
        raise InputError(f"{count} recorded states give no action; at least 2 are needed", where="encode")
    rows = np.empty((count - 1, layout.width))
    for block in layout.poses:
        deltas = conjugate(deltas_from_poses(motion.poses[block.link]), inverse(block.tool_frame))
        rows[:, block.start : block.start + 9] = pose9d_from_matrix(deltas)
    for grip in layout.grips:
        values = grip.to_model(np.asarray(motion.openings[grip.gripper], dtype=np.float64))
        rows[:, grip.column] = values[grip.offset : grip.offset + count - 1]
    for group in layout.joints:
        for index, joint in enumerate(group.joints):
            rows[:, group.start + index] = motion.joints[joint][1:]
    _refuse_non_finite(rows, layout, InputError, "encode")
    return rows


def decode_motion(layout: Layout, rows: FloatArray, start: Mapping[str, FloatArray]) -> RobotMotion:
    """Return the motion of physical action rows ``[T, D]``, one instant for each row.

    Args:
        layout: Column meanings.
        rows: Physical numbers.
        start: Link name → ``float64 [4, 4]`` pose in the base frame before the first row.

    Raises:
        DecodeError: Wrong width, non-finite numbers, rotation columns that are zero or parallel; names the place.
        InputError: A start pose is missing.
    """
    check_rows(layout, rows)
    poses: dict[str, FloatArray] = {}
    for block in layout.poses:
        try:
            deltas = matrix_from_pose9d(rows[:, block.start : block.start + 9])
        except DecodeError as error:
            raise DecodeError(error.message, where=f"actions, pose of {block.link}") from None
        first = _take(start, block.link, "start pose of link")
        poses[block.link] = integrate_deltas(first, conjugate(deltas, block.tool_frame))
    openings = {grip.gripper: grip.to_opening(rows[:, grip.column]) for grip in layout.grips}
    joints = {
        joint: rows[:, group.start + index].copy()
        for group in layout.joints
        for index, joint in enumerate(group.joints)
    }
    return RobotMotion(poses=poses, openings=openings, joints=joints)


def residuals(layout: Layout, rows: FloatArray) -> FloatArray:
    """Return the largest rotation-6d orthonormality residual of each row, ``float64 [T]``; zeros without poses."""
    worst = np.zeros(len(rows))
    for block in layout.poses:
        worst = np.maximum(worst, rotation_6d_residual(rows[:, block.start + 3 : block.start + 9]))
    return worst


def check_rows(layout: Layout, rows: FloatArray) -> None:
    """Refuse rows of the wrong shape, non-finite or absurd numbers; raises DecodeError naming step and column."""
    if rows.ndim != 2 or rows.shape[1] != layout.width or len(rows) == 0:
        raise DecodeError(
            f"expected [T, {layout.width}] numbers, got shape {list(rows.shape)}",
            where="actions",
            hint=f"The columns are {', '.join(layout.names)}: check that the chunk is of this embodiment's domain.",
        )
    _refuse_non_finite(rows, layout, DecodeError, "actions")


def _refuse_non_finite(
    rows: FloatArray, layout: Layout, error: type[InputError] | type[DecodeError], where: str
) -> None:
    bad = np.argwhere(~np.isfinite(rows))
    if bad.size:
        step, column = (int(v) for v in bad[0])
        raise error(
            f"step {step}, column {column} ({layout.names[column]}) is {rows[step, column]}; "
            f"{len(bad)} non-finite numbers in all",
            where=where,
        )
    if np.abs(rows).max(initial=0.0) > LARGEST:
        step, column = (int(v) for v in np.argwhere(np.abs(rows) > LARGEST)[0])
        raise error(
            f"step {step}, column {column} ({layout.names[column]}) is {rows[step, column]:g}, which no motion is",
            where=where,
        )


def _take(source: Mapping[str, FloatArray], name: str, what: str) -> FloatArray:
    if name not in source:
        raise InputError(f"{what} {name} is missing; given are {sorted(source) or 'none'}", where="states")
    return source[name]
