"""Subscriptions of a MotionReader; shared by the nodes that show what moves."""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.nodes import qos
from cosmos_ros.viewing.motion_trace_reader import MotionReader


def listen(node: Any, embodiment: Embodiment, reader: MotionReader) -> None:
    """Subscribe to joint states, candidates, guarded trajectories, verdicts and the guard's settings."""
    node.create_subscription(JointState, "joint_states", reader.joint_state, qos.sensor(20))
    node.create_subscription(JointTrajectory, "action_trajectory", reader.candidate, qos.reliable(5))
    for topic in ("would_send", *(topic for topic, _ in embodiment.controllers)):
        node.create_subscription(JointTrajectory, topic, reader.guarded, qos.reliable(5))
    node.create_subscription(String, "verdict_json", reader.verdict, qos.reliable(10))
    node.create_subscription(String, "guard_settings", reader.guard_settings, qos.latched())
