"""Brings the robot's own description to a node: from its parameter, a file, or a latched topic."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String

from cosmos_ros.embodiment import Embodiment, load_embodiment
from cosmos_ros.embodiment.robot_description import with_robot_description
from cosmos_ros.errors import ConfigError
from cosmos_ros.kinematics.urdf import MAX_BYTES
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.diagnostics import OK, Diagnostics

_PATIENCE_S = 30.0


def load_described(
    node: Any, embodiment: str, description: str, diagnostics: Diagnostics, *, fps: float | None = None
) -> Embodiment:
    """Return the embodiment, in the limits and kinematics of the robot's own description where one is given.

    Differences are logged, one line each.

    Args:
        node: The node; it need not be spun.
        embodiment: Name or path.
        description: Empty, the URDF's text, the path of a file (``.urdf``, ``.xml``), or a topic.
        diagnostics: Gets the status ``robot description``.
        fps: As in ``load_embodiment``.

    Raises:
        ConfigError: The description does not come, cannot be trusted, or is of another robot.
    """
    if not description.strip():
        return load_embodiment(embodiment, fps=fps)
    robot = with_robot_description(embodiment, _text(node, description), fps=fps)
    for line in robot.differences:
        node.get_logger().info(f"robot description: {line}")
    count = len(robot.differences)
    diagnostics.set("robot description", OK, f"{count} differences" if count else "as the embodiment")
    return robot.embodiment


def _text(node: Any, description: str) -> str:
    if description.lstrip("\ufeff \t\r\n").startswith("<"):
        return description
    path = Path(description)
    if path.suffix in (".urdf", ".xml"):
        try:
            with path.open("rb") as file:
                return file.read(MAX_BYTES + 1).decode("utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot be read: {error}", where=str(path)) from None
    return _from_topic(node, str(node.resolve_topic_name(description)))


def _from_topic(node: Any, topic: str) -> str:
    """Wait for a latched description, with a node of its own: the caller's may be spun by another executor already."""
    node.get_logger().info(f"waiting for the robot description on {topic}")
    helper = rclpy.create_node(
        f"{node.get_name()}_description",
        namespace=node.get_namespace(),
        context=node.context,
        use_global_arguments=False,
        start_parameter_services=False,
    )
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(helper)
    received: list[str] = []
    try:
        helper.create_subscription(String, topic, lambda message: received.append(message.data), qos.latched())
        deadline = time.monotonic() + _PATIENCE_S
        while not received and time.monotonic() < deadline and rclpy.ok(context=node.context):
            executor.spin_once(timeout_sec=0.1)
    finally:
        executor.shutdown()
        helper.destroy_node()
    if not received:
        raise ConfigError(
            f"nothing came on {topic} in {_PATIENCE_S:g} s",
            where="parameter robot_description",
            hint="Start robot_state_publisher, give its topic, or leave it out.",
        )
    return received[0]
