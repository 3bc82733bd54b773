"""Speaks to a running guard and predictor, for the command line: services, e-stop, instruction, what they report."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.duration import Duration
from std_msgs.msg import Bool, String
from std_srvs.srv import Trigger

from cosmos_ros.errors import ConfigError
from cosmos_ros.nodes import qos
from cosmos_ros.recordings.command_line_node import RosSession

LEVELS = {DiagnosticStatus.OK: "ok", DiagnosticStatus.WARN: "warn", DiagnosticStatus.ERROR: "error"}
# Every node reports within this, and is found meanwhile.
_LISTEN_S = 1.5
_HINT = "Start it (cosmos-ros up, ros2 launch), or look at --namespace and ROS_DOMAIN_ID."


def full_topic(namespace: str, name: str) -> str:
    """Return a name in a namespace; an absolute one stays as it is."""
    space = namespace.strip("/")
    return name if name.startswith("/") else f"/{space}/{name}" if space else f"/{name}"


class GuardClient:
    """A session with the nodes of one namespace.

    Args:
        session: An open session.
        namespace: Namespace of the nodes.
        guard: Name of the guard node.
        timeout: How long to wait for anything, s.
    """

    def __init__(
        self, session: RosSession, *, namespace: str = "", guard: str = "guard", timeout: float = 10.0
    ) -> None:
        self._session, self._timeout = session, timeout
        self._namespace, self._guard = namespace, guard

    def call(self, service: str) -> tuple[bool, str]:
        """Ask one of the guard's Trigger services; return whether it did what was asked, and what it says.

        Raises:
            ConfigError: There is no such guard, or it does not answer in time.
        """
        name = full_topic(self._namespace, f"{self._guard}/{service}")
        client = self._session.node.create_client(Trigger, name)
        if not self._until(client.service_is_ready):
            raise ConfigError(f"nobody offers {name}", where="guard", hint=_HINT)
        # A server that has not yet discovered who is to read its answer loses it: what was asked for may be repeated.
        end = time.monotonic() + self._timeout
        while time.monotonic() < end and not self._session.ended():
            future = client.call_async(Trigger.Request())
            if self._until(future.done, min(3.0, self._timeout)):
                answer = future.result()
                return bool(answer.success), str(answer.message)
        raise ConfigError(f"{name} does not answer within {self._timeout:g} s", where="guard", hint=_HINT)

    def e_stop(self, pressed: bool, topic: str = "e_stop") -> str:
        """Press or release the e-stop; return the topic once every listener has it.

        Raises:
            ConfigError: Nobody listens.
        """
        return self._publish(Bool, Bool(data=pressed), topic)

    def say(self, text: str, topic: str = "instruction") -> str:
        """Publish an instruction; return the topic once every listener has it.

        Raises:
            ConfigError: Nobody listens.
        """
        return self._publish(String, String(data=text), topic)

    def statuses(self) -> list[tuple[str, str, str]]:
        """Return level, name and message of what the namespace's nodes report on /diagnostics: the guard's first.

        Every node reports once a second; it is listened until the guard is heard, and a little longer for the others.
        """
        found: dict[str, tuple[str, str, str]] = {}
        prefix = full_topic(self._namespace, "").lstrip("/")
        guard = f"{full_topic(self._namespace, self._guard).lstrip('/')}: "

        def keep(message: Any) -> None:
            for status in message.status:
                if status.name.startswith(prefix):
                    found[status.name] = (LEVELS.get(status.level, "stale"), status.name, status.message)

        self._session.node.create_subscription(DiagnosticArray, "/diagnostics", keep, qos.reliable(50))
        self._until(lambda: any(name.startswith(guard) for name in found))
        self._until(lambda: False, _LISTEN_S)
        return [found[name] for name in sorted(found, key=lambda name: (not name.startswith(guard), name))]

    def _publish(self, kind: Any, message: Any, topic: str) -> str:
        name = full_topic(self._namespace, topic)
        publisher = self._session.node.create_publisher(kind, name, qos.latched())
        if not self._until(lambda: publisher.get_subscription_count() > 0):
            raise ConfigError(f"nobody listens on {name}", where="topic", hint=_HINT)
        self._until(lambda: False, 0.3)  # other listeners are found a moment later
        publisher.publish(message)
        publisher.wait_for_all_acked(Duration(seconds=self._timeout))
        return name

    def _until(self, condition: Callable[[], Any], timeout: float | None = None) -> bool:
        end = time.monotonic() + (self._timeout if timeout is None else timeout)
        while not condition():
            if time.monotonic() > end or self._session.ended():
                return False
            self._session.executor.spin_once(timeout_sec=0.05)
        return True
