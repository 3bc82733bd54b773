"""Poses, transforms and markers to 4 x 4 matrices and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from cosmos_ros.errors import CosmosRosError, InputError
from cosmos_ros.messages.stamps import ns_from_stamp
from cosmos_ros.se3 import matrix_from_quaternion_xyzw, quaternion_xyzw_from_matrix
from cosmos_ros.types import FloatArray

MAX_MARKERS = 10_000
_MARKER_DELETE = 2
_MARKER_DELETE_ALL = 3


def matrix_from_message(message: Any, *, where: str) -> FloatArray:
    """Return a geometry_msgs ``Pose`` or ``Transform`` as ``float64 [4, 4]``.

    Raises:
        InputError: A number is not finite, or the quaternion is not of unit length.
    """
    position = message.position if hasattr(message, "position") else message.translation
    rotation = message.orientation if hasattr(message, "orientation") else message.rotation
    xyz = np.array([position.x, position.y, position.z], np.float64)
    quaternion = np.array([rotation.x, rotation.y, rotation.z, rotation.w], np.float64)
    if not (np.isfinite(xyz).all() and np.isfinite(quaternion).all()):
        raise InputError(f"position {xyz.tolist()}, quaternion {quaternion.tolist()} are not finite", where=where)
    matrix = np.eye(4)
    try:
        matrix[:3, :3] = matrix_from_quaternion_xyzw(quaternion)
    except CosmosRosError as error:
        raise InputError(error.message, where=where) from error
    matrix[:3, 3] = xyz
    return matrix


def pose_message(matrix: FloatArray, *, where: str = "pose") -> Any:
    """Return a ``geometry_msgs/msg/Pose``; needs ROS.

    Raises:
        InputError: A number is not finite.
    """
    from geometry_msgs.msg import Point, Pose, Quaternion

    (x, y, z), (qx, qy, qz, qw) = _parts(matrix, where)
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def transform_message(matrix: FloatArray, *, where: str = "transform") -> Any:
    """Return a ``geometry_msgs/msg/Transform``; needs ROS.

    Raises:
        InputError: A number is not finite.
    """
    from geometry_msgs.msg import Quaternion, Transform, Vector3

    (x, y, z), (qx, qy, qz, qw) = _parts(matrix, where)
    return Transform(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw))


def scene_from_markers(message: Any) -> tuple[int, dict[str, FloatArray]]:
    """Return the stamp and the poses of a ``visualization_msgs/MarkerArray`` that shows named objects.

    A marker's name is its namespace, or ``namespace/id`` where a namespace holds several. Deletions are honoured.

    Returns:
        The newest stamp of the markers in nanoseconds (0 for none), and object name → ``float64 [4, 4]``.

    Raises:
        InputError: A bad stamp, a pose that is not finite, too many markers.
    """
    markers = message.markers
    if len(markers) > MAX_MARKERS:
        raise InputError(f"{len(markers)} markers are more than {MAX_MARKERS}", where="scene")
    poses: dict[tuple[str, int], FloatArray] = {}
    stamp_ns = 0
    for k, marker in enumerate(markers):
        where = f"scene markers[{k}]"
        key = (str(marker.ns), int(marker.id))
        if marker.action == _MARKER_DELETE_ALL:
            poses.clear()
        elif marker.action == _MARKER_DELETE:
            poses.pop(key, None)
        else:
            stamp_ns = max(stamp_ns, ns_from_stamp(marker.header.stamp, where=f"{where}.header.stamp"))
            poses[key] = matrix_from_message(marker.pose, where=f"{where}.pose")
    namespaces = [namespace for namespace, _ in poses]
    return stamp_ns, {
        namespace if namespaces.count(namespace) == 1 else f"{namespace}/{number}": pose
        for (namespace, number), pose in poses.items()
    }


def _parts(matrix: FloatArray, where: str) -> tuple[list[float], list[float]]:
    if not np.isfinite(matrix).all():
        raise InputError("the pose is not finite", where=where)
    xyz: list[float] = matrix[:3, 3].tolist()
    quaternion: list[float] = np.asarray(quaternion_xyzw_from_matrix(matrix[:3, :3])).tolist()
    return xyz, quaternion
