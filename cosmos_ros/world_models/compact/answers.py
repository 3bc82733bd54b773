"""From the network's numbers to rows that can be executed: openings of one mode, rotations that are rotations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from cosmos_ros.se3 import matrix_from_rotation_6d, rotation_6d_from_matrix
from cosmos_ros.types import Float32Array, FloatArray
from cosmos_ros.world_models.compact.robot_inputs import RobotInputs

# Largest error that clamping may leave in a rotation's columns; a decoder refuses rows from 0.05 on.
_CLAMPED = 0.005
_HALVINGS = 12


def decided(rows: Float32Array, classes: Float32Array, robot: RobotInputs) -> Float32Array:
    """Return rows whose grippers' openings are moved into their likeliest classes.

    Args:
        rows: ``[T, D]`` normalised.
        classes: ``[T, G, C]`` probabilities of equal parts of the normalised range, -1 to 1.
        robot: Whose.
    """
    result = rows.copy()
    count = classes.shape[-1]
    likeliest = classes.argmax(axis=-1)
    for index, column in enumerate(robot.gripper_columns):
        low = 2.0 * likeliest[:, index] / count - 1.0
        result[:, column] = np.clip(rows[:, column], low, low + 2.0 / count)
    return result


def rigid(rows: Float32Array, robot: RobotInputs, pose_columns: Sequence[int], *, clamp: bool) -> Float32Array:
    """Return rows whose rotation columns are those of a rotation, the nearest one.

    Where rows are clamped to [-1, 1], a turn too fast for that range is made slower about the same axis: clamped column
    by column it would be no rotation any more.

    Args:
        rows: ``[T, D]`` normalised, before any clamp.
        robot: Whose.
        pose_columns: First column of each pose block.
        clamp: Clamp all columns to [-1, 1].

    Raises:
        DecodeError: Columns that have no direction.
    """
    result = rows.astype(np.float64)
    for start in pose_columns:
        columns = slice(start + 3, start + 9)
        scale, offset = np.array(robot.scale[columns]), np.array(robot.offset[columns])
        turns = Rotation.from_matrix(matrix_from_rotation_6d(result[:, columns] * scale + offset)).as_rotvec()
        share = _fitting_share(turns, scale, offset) if clamp else np.ones(len(rows))
        result[:, columns] = (_columns(turns * share[:, None]) - offset) / scale
    return (np.clip(result, -1.0, 1.0) if clamp else result).astype(np.float32)


def _fitting_share(turns: FloatArray, scale: FloatArray, offset: FloatArray) -> FloatArray:
    """Return ``[T]`` the largest share of each turn that clamping leaves nearly as it is."""
    low, high = np.zeros(len(turns)), np.ones(len(turns))
    share = high
    for _ in range(_HALVINGS):
        fits = _clamped_error(turns * share[:, None], scale, offset) <= _CLAMPED
        if share is high and fits.all():
            return share
        low, high = np.where(fits, share, low), np.where(fits, high, share)
        share = 0.5 * (low + high)
    return low


def _columns(turns: FloatArray) -> FloatArray:
    """Return the rotation columns ``[T, 6]`` of rotation vectors ``[T, 3]`` in rad."""
    return rotation_6d_from_matrix(Rotation.from_rotvec(turns).as_matrix())


def _clamped_error(turns: FloatArray, scale: FloatArray, offset: FloatArray) -> FloatArray:
    """Return ``[T]`` by how much clamping changes a column of rotation vectors ``[T, 3]`` at most."""
    normalised = (_columns(turns) - offset) / scale
    error: FloatArray = np.abs((np.clip(normalised, -1.0, 1.0) - normalised) * scale).max(axis=1)
    return error
