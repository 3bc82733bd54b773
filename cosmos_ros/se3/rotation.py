"""Rotations: the continuous 6-D form the world models speak, quaternions and Euler angles.

Everything is float64 and vectorised over leading axes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from cosmos_ros.errors import CosmosRosError, DecodeError, InputError
from cosmos_ros.types import FloatArray

# Below these a 6-D rotation has no direction left to decode; noise of any real model stays far above.
_SMALLEST_COLUMN = 1e-6
_SMALLEST_SINE = 1e-6
_NORM_TOLERANCE = 1e-3


def _place(mask: np.bool_ | npt.NDArray[np.bool_]) -> str:
    """Return the first true index in words, "" for a scalar mask."""
    index = np.argwhere(mask)[0]
    return f"index {', '.join(map(str, index))}: " if index.size else ""


def as_array(value: npt.ArrayLike, shape: tuple[int, ...], name: str, error: type[CosmosRosError]) -> FloatArray:
    """Return ``value`` as float64 and check its trailing shape.

    Args:
        value: Anything numpy can read.
        shape: Required trailing axes.
        name: What it is called in the message.
        error: Class to raise.

    Raises:
        CosmosRosError: Wrong shape or not numeric (of the class given).
    """
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as reason:
        raise error(f"not a numeric array ({reason})", where=name) from None
    if array.shape[-len(shape) :] != shape:
        wanted = ", ".join(["...", *map(str, shape)])
        raise error(f"shape {array.shape}, expected [{wanted}]", where=name)
    return array


def rotation_6d_from_matrix(rotation: npt.ArrayLike) -> FloatArray:
    """Return the first two columns, stacked: ``[..., 3, 3]`` → ``[..., 6]``.

    The identity gives ``[1, 0, 0, 0, 1, 0]``. Columns, not rows: reading it by rows gives the inverse rotation.
    """
    matrix = as_array(rotation, (3, 3), "rotation", InputError)
    return np.concatenate([matrix[..., :, 0], matrix[..., :, 1]], axis=-1)


def rotation_6d_residual(rotation_6d: npt.ArrayLike) -> FloatArray:
    """Return how far a 6-D rotation is from orthonormal: ``[..., 6]`` → ``[...]``.

    ``max(| |c0| - 1 |, | |c1| - 1 |, |c0 · c1|)``; about 1e-3 for clean model output, 0.06 and more for columns
    that were normalised twice or not at all. Non-finite input gives ``inf``, so that comparing catches it.
    """
    r6 = as_array(rotation_6d, (6,), "rotation_6d", InputError)
    c0, c1 = r6[..., :3], r6[..., 3:]
    with np.errstate(invalid="ignore", over="ignore"):
        parts = [
            np.abs(np.linalg.norm(c0, axis=-1) - 1.0),
            np.abs(np.linalg.norm(c1, axis=-1) - 1.0),
            np.abs(np.sum(c0 * c1, axis=-1)),
        ]
        worst = np.max(np.stack(parts), axis=0)
    return np.where(np.isfinite(worst), worst, np.inf)


def matrix_from_rotation_6d(rotation_6d: npt.ArrayLike) -> FloatArray:
    """Decode 6-D rotations: ``[..., 6]`` → ``[..., 3, 3]``.

    The nearest rotation to ``[c0, c1, c0 × c1]`` by singular value decomposition, as the Cosmos3 reference
    decodes (Gram–Schmidt differs by up to a degree at one per cent noise).

    Raises:
        DecodeError: Wrong shape, a non-finite number, a zero column or parallel columns; names the index.
    """
    r6 = as_array(rotation_6d, (6,), "rotation_6d", DecodeError)
    bad = ~np.isfinite(r6).all(axis=-1)
    if bad.any():
        raise DecodeError(f"{_place(bad)}rotation is not finite", where="rotation_6d")
    c0, c1 = r6[..., :3], r6[..., 3:]
    norms = np.minimum(np.linalg.norm(c0, axis=-1), np.linalg.norm(c1, axis=-1))
    if (norms < _SMALLEST_COLUMN).any():
        raise DecodeError(
            f"{_place(norms < _SMALLEST_COLUMN)}a rotation column is zero",
            where="rotation_6d",
            hint="Check that the chunk was denormalised with its own statistics and is not padding.",
        )
    c2 = np.cross(c0, c1)
    sine = np.linalg.norm(c2, axis=-1) / (np.linalg.norm(c0, axis=-1) * np.linalg.norm(c1, axis=-1))
    if (sine < _SMALLEST_SINE).any():
        raise DecodeError(f"{_place(sine < _SMALLEST_SINE)}the two rotation columns are parallel", where="rotation_6d")
    # det [c0, c1, c0 × c1] = |c0 × c1|² > 0, so U Vᵀ is a rotation and never a reflection.
    u, _, vt = np.linalg.svd(np.stack([c0, c1, c2], axis=-1))
    nearest: FloatArray = u @ vt
    return nearest


def matrix_from_quaternion_xyzw(quaternion: npt.ArrayLike) -> FloatArray:
    """Return rotation matrices of quaternions in ROS order: ``[..., 4]`` (x, y, z, w) → ``[..., 3, 3]``.

    Args:
        quaternion: Unit quaternions, ``| |q| - 1 | ≤ 1e-3``; normalised after the check.

    Raises:
        InputError: Non-finite, or the norm is off by more than that; names index and norm.
    """
    q = as_array(quaternion, (4,), "quaternion", InputError)
    with np.errstate(invalid="ignore", over="ignore"):
        norm = np.linalg.norm(q, axis=-1)
        bad = ~(np.abs(norm - 1.0) <= _NORM_TOLERANCE)
    if bad.any():
        value = float(norm[bad].flat[0]) if norm.ndim else float(norm)
        raise InputError(
            f"{_place(bad)}quaternion (x, y, z, w) has norm {value:.6g}, not 1",
            where="quaternion",
            hint="Send unit quaternions in the order x, y, z, w.",
        )
    x, y, z, w = np.moveaxis(q / norm[..., None], -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def quaternion_xyzw_from_matrix(rotation: npt.ArrayLike) -> FloatArray:
    """Return unit quaternions (x, y, z, w) with w ≥ 0: ``[..., 3, 3]`` → ``[..., 4]``.

    q and -q are the same rotation; w ≥ 0 makes the answer unique but for half turns.
    """
    matrix = as_array(rotation, (3, 3), "rotation", InputError)
    quaternion: FloatArray = np.asarray(Rotation.from_matrix(matrix.reshape(-1, 3, 3)).as_quat(), dtype=np.float64)
    quaternion = np.where(quaternion[:, 3:] < 0.0, -quaternion, quaternion)
    return quaternion.reshape(*matrix.shape[:-2], 4)


def from_euler_xyz_extrinsic(angles: npt.ArrayLike) -> FloatArray:
    """Return ``Rz(c) · Ry(b) · Rx(a)`` of ``[..., 3]`` radians (a, b, c) → ``[..., 3, 3]``.

    Rotations about the fixed axes x, then y, then z: URDF's roll-pitch-yaw, SciPy's lower-case ``"xyz"`` and the
    Euler states of the DROID, RoboMIND and Bridge data sets.
    """
    a = as_array(angles, (3,), "euler angles", InputError)
    return np.asarray(Rotation.from_euler("xyz", a.reshape(-1, 3)).as_matrix()).reshape(*a.shape[:-1], 3, 3)


def euler_xyz_extrinsic_from_matrix(rotation: npt.ArrayLike) -> FloatArray:
    """Return the fixed-axis angles of ``[..., 3, 3]`` as ``[..., 3]`` radians; the inverse of the above."""
    m = as_array(rotation, (3, 3), "rotation", InputError)
    horizontal = np.hypot(m[..., 0, 0], m[..., 1, 0])
    pitch = np.arctan2(-m[..., 2, 0], horizontal)
    # At ±90° pitch roll and yaw turn about the same axis; all of it is given to roll.
    locked = horizontal < 1e-9
    roll = np.where(locked, np.arctan2(-m[..., 1, 2], m[..., 1, 1]), np.arctan2(m[..., 2, 1], m[..., 2, 2]))
    yaw = np.where(locked, 0.0, np.arctan2(m[..., 1, 0], m[..., 0, 0]))
    return np.stack([roll, pitch, yaw], axis=-1)
