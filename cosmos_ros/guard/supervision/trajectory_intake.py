"""Trajectory messages as the guard takes them: nothing is refused that it could not first name."""

from __future__ import annotations

from typing import Any

from cosmos_ros.errors import InputError
from cosmos_ros.guard.checks.intake import RawPoint, RawTrajectory, assemble
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.limits import RobotLimits
from cosmos_ros.messages import ns_from_duration, ns_from_stamp
from cosmos_ros.types import JointTrajectory


def read_message(message: Any, limits: RobotLimits, max_points: int) -> tuple[JointTrajectory | list[Violation], int]:
    """Return a ``trajectory_msgs/JointTrajectory`` as a record, or as what keeps it from being one, and its stamp.

    Args:
        message: Any object with the message's fields, of rclpy or of rosbags.
        limits: Known joints.
        max_points: Longer messages are not even read.
    """
    try:
        stamp = ns_from_stamp(message.header.stamp, where="header.stamp")
    except InputError as error:
        return [Violation("stamp", message=str(error))], 0
    if len(message.points) > max_points:
        size = float(len(message.points))
        return [Violation("structure", value=size, bound=float(max_points), message="too many points")], stamp
    points = []
    for step, p in enumerate(message.points):
        try:
            time = ns_from_duration(p.time_from_start, where="time_from_start")
        except InputError as error:
            return [Violation("timing", step=step, message=str(error))], stamp
        points.append(RawPoint(time, p.positions, p.velocities, p.accelerations, p.effort))
    return assemble(RawTrajectory(tuple(message.joint_names), stamp, tuple(points)), limits), stamp
