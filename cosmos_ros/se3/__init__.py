"""Rigid motions in float64: rotation-6d, deltas, integration, tool-frame conjugation."""

from __future__ import annotations

from cosmos_ros.se3.rotation import (
    euler_xyz_extrinsic_from_matrix,
    from_euler_xyz_extrinsic,
    matrix_from_quaternion_xyzw,
    matrix_from_rotation_6d,
    quaternion_xyzw_from_matrix,
    rotation_6d_from_matrix,
    rotation_6d_residual,
)
from cosmos_ros.se3.transforms import (
    check_poses,
    conjugate,
    deltas_from_poses,
    integrate_deltas,
    inverse,
    matrix_from_pose9d,
    pose9d_from_matrix,
    pose_error,
    pose_from,
    rotation_angle,
)

__all__ = [
    "check_poses",
    "conjugate",
    "deltas_from_poses",
    "euler_xyz_extrinsic_from_matrix",
    "from_euler_xyz_extrinsic",
    "integrate_deltas",
    "inverse",
    "matrix_from_pose9d",
    "matrix_from_quaternion_xyzw",
    "matrix_from_rotation_6d",
    "pose9d_from_matrix",
    "pose_error",
    "pose_from",
    "quaternion_xyzw_from_matrix",
    "rotation_6d_from_matrix",
    "rotation_6d_residual",
    "rotation_angle",
]
