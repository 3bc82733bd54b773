"""Watches the demo's topics and arms its guard."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String
from std_srvs.srv import Trigger

from cosmos_ros.nodes import qos


class DemoObserver:
    """A node of its own that counts what happens. Used by one thread, which spins it."""

    def __init__(self, domain: int) -> None:
        # Our own command line is not for rcl to read, and signals are for the command line to handle.
        rclpy.init(args=[], domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
        self._node = Node("demo_observer")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self.verdicts: Counter[str] = Counter()
        self.last_verdict = ""
        self.predictions = 0
        self.task: dict[str, Any] = {}
        self.problems: dict[str, str] = {}
        for topic, callback in (
            ("guard/verdict_json", self._on_verdict),
            ("predictor/provenance", self._on_prediction),
            ("task_status", self._on_task),
        ):
            self._node.create_subscription(String, topic, callback, qos.reliable(50))
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.reliable(50))
        self._arm = self._node.create_client(Trigger, "guard/arm")
        self._disarm = self._node.create_client(Trigger, "guard/disarm")

    def close(self) -> None:
        """Leave the graph."""
        self._node.destroy_node()
        rclpy.try_shutdown()

    def spin(self, seconds: float) -> None:
        """Handle messages for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left)

    def recorded(self) -> bool:
        """Return whether the recorder has found the predictor, too: discovery may take seconds longer there."""
        return bool(self._node.count_subscribers("predictor/provenance") > 1)

    def arm(self, timeout: float = 5.0) -> tuple[bool, str]:
        """Ask the guard to arm; return whether it did, and its reason."""
        return self._call(self._arm, timeout)

    def disarm(self, timeout: float = 2.0) -> tuple[bool, str]:
        """Ask the guard to disarm."""
        return self._call(self._disarm, timeout)

    def _call(self, client: Any, timeout: float) -> tuple[bool, str]:
        if not client.service_is_ready():
            return False, "the guard is not there yet"
        future = client.call_async(Trigger.Request())
        self._executor.spin_until_future_complete(future, timeout_sec=timeout)
        answer = future.result() if future.done() else None
        return (False, "the guard did not answer") if answer is None else (bool(answer.success), str(answer.message))

    def _on_verdict(self, message: String) -> None:
        verdict = json.loads(message.data)
        self.verdicts[str(verdict.get("response"))] += 1
        self.last_verdict = str(verdict.get("summary", ""))

    def _on_prediction(self, _: String) -> None:
        self.predictions += 1

    def _on_task(self, message: String) -> None:
        self.task = json.loads(message.data)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.level == DiagnosticStatus.OK:
                self.problems.pop(status.name, None)
            else:
                self.problems[status.name] = status.message
