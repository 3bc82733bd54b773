"""Poses as homogeneous matrices ``float64 [..., 4, 4]``: deltas, integration, frames and errors."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from cosmos_ros.errors import DecodeError, InputError
from cosmos_ros.se3.rotation import (
    as_array,
    matrix_from_quaternion_xyzw,
    matrix_from_rotation_6d,
    rotation_6d_from_matrix,
)
from cosmos_ros.types import FloatArray

# Largest deviation of RᵀR from the identity in what counts as a rotation.
_SLACK = 1e-3


def pose_from(xyz: npt.ArrayLike, rotation: npt.ArrayLike | None = None) -> FloatArray:
    """Return poses from positions and rotations.

    Args:
        xyz: ``[..., 3]`` metres.
        rotation: ``[..., 4]`` unit quaternions (x, y, z, w) or ``[..., 3, 3]`` matrices; None is the identity.

    Returns:
        ``float64 [..., 4, 4]``, leading axes broadcast.

    Raises:
        InputError: Wrong shape, or a quaternion that is not of unit norm.
    """
    position = as_array(xyz, (3,), "xyz", InputError)
    if rotation is None:
        matrix = np.eye(3)
    else:
        matrix = np.asarray(rotation, dtype=np.float64)
        if matrix.shape[-2:] != (3, 3):
            matrix = matrix_from_quaternion_xyzw(matrix)
    lead = np.broadcast_shapes(position.shape[:-1], matrix.shape[:-2])
    pose = np.zeros((*lead, 4, 4))
    pose[..., :3, :3] = matrix
    pose[..., :3, 3] = position
    pose[..., 3, 3] = 1.0
    return pose


def check_poses(poses: npt.ArrayLike, where: str) -> FloatArray:
    """Return ``poses`` as ``float64 [..., 4, 4]`` after checking that each is a rigid transform.

    Args:
        poses: Homogeneous matrices.
        where: What to call them in the message.

    Raises:
        InputError: Wrong shape, non-finite, last row not (0, 0, 0, 1), or not a rotation; names the index.
    """
    matrix = as_array(poses, (4, 4), where, InputError)
    rotation = matrix[..., :3, :3]
    with np.errstate(invalid="ignore", over="ignore"):
        product = np.swapaxes(rotation, -1, -2) @ rotation
        checks = {
            "is not finite": np.isfinite(matrix).all(axis=(-2, -1)),
            "has a last row that is not (0, 0, 0, 1)": (matrix[..., 3, :] == (0.0, 0.0, 0.0, 1.0)).all(axis=-1),
            "has a rotation part that is not orthonormal": (np.abs(product - np.eye(3)) <= _SLACK).all(axis=(-2, -1))
            & (np.linalg.det(np.nan_to_num(rotation)) > 0.0),
        }
    for text, good in checks.items():
        if not good.all():
            index = ", ".join(map(str, np.argwhere(~good)[0]))
            raise InputError(f"pose{f' {index}' if index else ''} {text}", where=where)
    return matrix


def inverse(pose: npt.ArrayLike) -> FloatArray:
    """Return the inverse of rigid transforms ``[..., 4, 4]``, by transposing the rotation."""
    matrix = as_array(pose, (4, 4), "pose", InputError)
    result = np.zeros_like(matrix)
    transposed = np.swapaxes(matrix[..., :3, :3], -1, -2)
    result[..., :3, :3] = transposed
    result[..., :3, 3] = -(transposed @ matrix[..., :3, 3:])[..., 0]
    result[..., 3, 3] = 1.0
    return result


def deltas_from_poses(poses: npt.ArrayLike) -> FloatArray:
    """Return framewise deltas ``D_k = T_k⁻¹ · T_{k+1}``: ``[T+1, 4, 4]`` → ``[T, 4, 4]``.

    Each is in the body frame of its step k.
    """
    matrix = as_array(poses, (4, 4), "poses", InputError)
    if matrix.ndim != 3 or len(matrix) < 1:
        raise InputError(f"shape {matrix.shape}, expected [T+1, 4, 4]", where="poses")
    return inverse(matrix[:-1]) @ matrix[1:]


def integrate_deltas(start: npt.ArrayLike, deltas: npt.ArrayLike) -> FloatArray:
    """Return ``T_{k+1} = T_k · D_k`` from ``T_0 = start``: ``[4, 4]`` and ``[T, 4, 4]`` → ``[T, 4, 4]``.

    A parallel prefix product (Hillis and Steele 1986): log2(T) batched products instead of a loop over steps, and
    the rounding grows with log2(T) instead of T.
    """
    first = as_array(start, (4, 4), "start", InputError)
    products = as_array(deltas, (4, 4), "deltas", InputError).copy()
    if first.ndim != 2 or products.ndim != 3:
        raise InputError(f"shapes {first.shape} and {products.shape}, expected [4, 4] and [T, 4, 4]", where="deltas")
    reach = 1
    while reach < len(products):
        products[reach:] = products[:-reach] @ products[reach:]
        reach *= 2
    return first @ products


def conjugate(deltas: npt.ArrayLike, change: npt.ArrayLike) -> FloatArray:
    """Return ``C · D · C⁻¹``: the deltas of a link from those of its tool frame.

    With ``T_tool = T_link · C`` for a constant C, a body delta D of the tool is ``C · D · C⁻¹`` of the link.

    Args:
        deltas: ``[..., 4, 4]`` body-frame deltas D.
        change: ``[4, 4]`` constant C.
    """
    c = as_array(change, (4, 4), "change", InputError)
    return c @ as_array(deltas, (4, 4), "deltas", InputError) @ inverse(c)


def pose9d_from_matrix(pose: npt.ArrayLike) -> FloatArray:
    """Return position and 6-D rotation: ``[..., 4, 4]`` → ``[..., 9]`` (x, y, z, column 0, column 1)."""
    matrix = as_array(pose, (4, 4), "pose", InputError)
    return np.concatenate([matrix[..., :3, 3], rotation_6d_from_matrix(matrix[..., :3, :3])], axis=-1)


def matrix_from_pose9d(pose9d: npt.ArrayLike) -> FloatArray:
    """Return ``[..., 4, 4]`` from ``[..., 9]``; the rotation by SVD.

    Raises:
        DecodeError: Wrong shape, non-finite, zero or parallel rotation columns; names the index.
    """
    row = as_array(pose9d, (9,), "pose9d", DecodeError)
    bad = ~np.isfinite(row).all(axis=-1)
    if bad.any():
        index = ", ".join(map(str, np.argwhere(bad)[0]))
        raise DecodeError(f"{f'index {index}: ' if index else ''}pose is not finite", where="pose9d")
    return pose_from(row[..., :3], matrix_from_rotation_6d(row[..., 3:]))


def rotation_angle(rotation: npt.ArrayLike) -> FloatArray:
    """Return the angle of rotations ``[..., 3, 3]`` → ``[...]`` radians in [0, π], exact near 0 and near π."""
    m = as_array(rotation, (3, 3), "rotation", InputError)
    sine = np.hypot(
        np.hypot(m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0]),
        m[..., 1, 0] - m[..., 0, 1],
    )
    cosine = np.trace(m, axis1=-2, axis2=-1) - 1.0
    return np.asarray(np.arctan2(sine, cosine), dtype=np.float64)


def pose_error(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return distance and angle between poses: two ``[..., 4, 4]`` → (``[...]`` m, ``[...]`` rad), broadcast."""
    first = as_array(a, (4, 4), "pose a", InputError)
    second = as_array(b, (4, 4), "pose b", InputError)
    distance = np.linalg.norm(first[..., :3, 3] - second[..., :3, 3], axis=-1)
    relative = np.swapaxes(first[..., :3, :3], -1, -2) @ second[..., :3, :3]
    return np.asarray(distance, dtype=np.float64), rotation_angle(relative)
