"""A node beside the others that listens, and arms the guard: for the demo and the benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String
from std_srvs.srv import Trigger

from cosmos_ros.nodes import qos


class TopicWatcher:
    """Used by one thread, which spins it.

    Args:
        domain: ROS domain.
        name: Name of the node.
        texts: Topic → callback, of ``std_msgs/String``.
        diagnostics: Callback of ``/diagnostics``.
    """

    def __init__(
        self,
        domain: int,
        name: str,
        texts: Mapping[str, Callable[[String], None]],
        diagnostics: Callable[[DiagnosticArray], None],
    ) -> None:
        # Our own command line is not for rcl to read, and signals are for the command line to handle.
        rclpy.init(args=[], domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
        self.node = Node(name)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        for topic, callback in texts.items():
            self.node.create_subscription(String, topic, callback, qos.reliable(50))
        self.node.create_subscription(DiagnosticArray, "/diagnostics", diagnostics, qos.reliable(50))
        self._arm = self.node.create_client(Trigger, "guard/arm")
        self._disarm = self.node.create_client(Trigger, "guard/disarm")

    def close(self) -> None:
        """Leave the graph."""
        self.node.destroy_node()
        rclpy.try_shutdown()

    def spin(self, seconds: float) -> None:
        """Handle messages for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left)

    def arm(self) -> tuple[bool, str]:
        """Ask the guard to arm; return whether it did, and its reason."""
        return self._call(self._arm, 5.0)

    def disarm(self) -> tuple[bool, str]:
        """Ask the guard to disarm."""
        return self._call(self._disarm, 2.0)

    def _call(self, client: Any, timeout: float) -> tuple[bool, str]:
        if not client.service_is_ready():
            return False, "the guard is not there yet"
        future = client.call_async(Trigger.Request())
        self._executor.spin_until_future_complete(future, timeout_sec=timeout)
        answer = future.result() if future.done() else None
        return (False, "the guard did not answer") if answer is None else (bool(answer.success), str(answer.message))
