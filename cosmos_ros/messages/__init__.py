"""Exact converters between ROS messages and the records; the numpy side imports without ROS.

Functions that read messages (``decode_*``, ``*_from_message``) take any object with the right fields, so messages of
rclpy and of rosbags both work. Functions that make messages (``*_message``) import ROS when called.
"""

from __future__ import annotations

from cosmos_ros.messages.compressed import check_compressed, decode_compressed
from cosmos_ros.messages.image_messages import compress, compressed_image_message, image_message
from cosmos_ros.messages.images import check_image, decode_image
from cosmos_ros.messages.joint_messages import joint_state_from_message, joint_state_message
from cosmos_ros.messages.pose_messages import (
    matrix_from_message,
    pose_message,
    scene_from_markers,
    transform_message,
)
from cosmos_ros.messages.stamps import (
    duration_message,
    ns_from_duration,
    ns_from_stamp,
    split_ns,
    stamp_message,
)
from cosmos_ros.messages.trajectories import (
    action_poses_message,
    joint_trajectory_from_message,
    joint_trajectory_message,
)

__all__ = [
    "action_poses_message",
    "check_compressed",
    "check_image",
    "compress",
    "compressed_image_message",
    "decode_compressed",
    "decode_image",
    "duration_message",
    "image_message",
    "joint_state_from_message",
    "joint_state_message",
    "joint_trajectory_from_message",
    "joint_trajectory_message",
    "matrix_from_message",
    "ns_from_duration",
    "ns_from_stamp",
    "pose_message",
    "scene_from_markers",
    "split_ns",
    "stamp_message",
    "transform_message",
]
