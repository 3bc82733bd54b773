"""Constant-twist motion: fractional powers of a rigid transform.

Formulas: Lynch and Park, *Modern Robotics*, section 3.3 (exponential coordinates of rigid motions).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.spatial.transform import Rotation

from cosmos_ros.types import FloatArray


def _skew(vector: FloatArray) -> FloatArray:
    x, y, z = vector
    return np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])


def _left_jacobian(rotation_vector: FloatArray) -> FloatArray:
    """Return V with ``translation = V(w) · v`` for the twist (v, w), angles in rad."""
    angle = float(np.linalg.norm(rotation_vector))
    if angle < 1e-4:  # series; the next terms are below 1e-13
        first, second = 0.5 - angle**2 / 24, 1 / 6 - angle**2 / 120
    else:
        first, second = (1 - math.cos(angle)) / angle**2, (angle - math.sin(angle)) / angle**3
    skew = _skew(rotation_vector)
    jacobian: FloatArray = np.eye(3) + skew * first + skew @ skew * second
    return jacobian


def screw_log(transform: FloatArray) -> FloatArray:
    """Return the twist ``float64 [6]`` (linear m, angular rad) whose exponential is ``transform [4, 4]``."""
    angular = Rotation.from_matrix(transform[:3, :3]).as_rotvec()
    linear = np.linalg.solve(_left_jacobian(angular), transform[:3, 3])
    return np.concatenate([linear, angular])


def screw_exp(twist: FloatArray) -> FloatArray:
    """Return ``float64 [4, 4]``, the motion along ``twist [6]`` (linear m, angular rad) for one unit of time."""
    transform = np.eye(4)
    transform[:3, :3] = Rotation.from_rotvec(twist[3:]).as_matrix()
    transform[:3, 3] = _left_jacobian(twist[3:]) @ twist[:3]
    return transform
