"""Diagnostics: one status a concern, published once a second and at once when a level or message changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from cosmos_ros.nodes import qos
from cosmos_ros.nodes.clocks import steady_clock
from cosmos_ros.nodes.status_log import StatusLog

OK: bytes = DiagnosticStatus.OK
WARN: bytes = DiagnosticStatus.WARN
ERROR: bytes = DiagnosticStatus.ERROR
_PERIOD_S = 1.0


class Diagnostics:
    """Holds a node's statuses and publishes them on ``/diagnostics``.

    A change of level or message is also logged, as :class:`StatusLog` says.
    """

    def __init__(self, node: Any, *, hardware_id: str) -> None:
        self._node = node
        self._hardware_id = hardware_id
        self._statuses: dict[str, DiagnosticStatus] = {}
        self._log = StatusLog(self._write)
        self._publisher = node.create_publisher(DiagnosticArray, "/diagnostics", qos.reliable(10))
        self._timer = node.create_timer(_PERIOD_S, self._on_timer, clock=steady_clock())

    def set(
        self,
        concern: str,
        level: bytes,
        message: str,
        values: Mapping[str, Any] | None = None,
        *,
        expected: bool = False,
        waiting: bool = False,
        stream: bool = False,
        at_once: bool = False,
    ) -> None:
        """Set one concern's status; publish at once if its level or message changed.

        Args:
            concern: What it is about.
            level: OK, WARN or ERROR.
            message: One line.
            values: Numbers beside it.
            expected, waiting, stream, at_once: How a change is logged; see :meth:`StatusLog.changed`.
        """
        name = f"{self._node.get_fully_qualified_name().lstrip('/')}: {concern}"
        before = self._statuses.get(concern)
        status = DiagnosticStatus(level=level, name=name, message=message, hardware_id=self._hardware_id)
        status.values = [KeyValue(key=str(k), value=str(v)) for k, v in (values or {}).items()]
        self._statuses[concern] = status
        if before is None or before.level != level or before.message != message:
            severity = int.from_bytes(level, "little")
            self._log.changed(
                concern, severity, message, expected=expected, waiting=waiting, stream=stream, at_once=at_once
            )
            self.publish()

    def _write(self, severity: int, line: str) -> None:
        # One call site a level: rclpy ties a call site to its severity.
        if severity == 0:
            self._node.get_logger().info(line)
        elif severity == 1:
            self._node.get_logger().warning(line)
        else:
            self._node.get_logger().error(line)

    def _on_timer(self) -> None:
        self._log.tick()
        self.publish()

    def level(self, concern: str) -> bytes | None:
        """Return the current level of one concern, or None when it was never set."""
        status = self._statuses.get(concern)
        return None if status is None else status.level

    def publish(self) -> None:
        """Publish all statuses now."""
        message = DiagnosticArray(status=list(self._statuses.values()))
        message.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(message)
