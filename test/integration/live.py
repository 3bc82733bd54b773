"""Real processes over real DDS on a private domain, and a node in the test that feeds and watches them."""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from machine import Deadline, slowness
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from cosmos_ros.bringup.domain import private_domain, private_environment
from cosmos_ros.bringup.processes import ProcessGroup, child_environment
from cosmos_ros.messages import image_message, stamp_message
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.clocks import steady_clock

SIZE = (90, 160)  # small pictures: what is tested here is not their number of pixels


class Watcher:
    """A node of the test's own process, spun in a thread; every wait has a deadline and a condition.

    Deadlines are in seconds of an idle machine.
    """

    def __init__(self, domain: int, *, sim_time: bool = False) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        time_source = Parameter("use_sim_time", value=sim_time)
        self.node = Node("watcher", context=self.context, parameter_overrides=[time_source])
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._changed = threading.Condition()
        self.messages: dict[str, list[Any]] = defaultdict(list)
        self.diagnostics: dict[str, tuple[int, str]] = {}
        self.diagnostic_log: list[tuple[str, int, str]] = []
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.reliable(100))
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            while not self._closing.is_set():
                self._executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        self._closing.set()
        self._thread.join(5.0)  # before anything is destroyed that a callback may be using
        rclpy.shutdown(context=self.context)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with self._changed:
            for status in message.status:
                entry = (int.from_bytes(status.level, "little"), status.message)
                if self.diagnostics.get(status.name) != entry:
                    self.diagnostic_log.append((status.name, *entry))
                self.diagnostics[status.name] = entry
            self.messages["/diagnostics"].append(message)
            self._changed.notify_all()

    def listen(self, kind: Any, topic: str, profile: Any = None) -> None:
        """Keep every message of a topic in ``messages[topic]``."""

        def keep(message: Any) -> None:
            with self._changed:
                self.messages[topic].append(message)
                self._changed.notify_all()

        self.node.create_subscription(kind, topic, keep, profile or qos.reliable(50))

    def wait(self, condition: Callable[[], Any], what: str, timeout: float = 30.0) -> Any:
        """Return the condition's first true value; fail with what was waited for and the diagnostics."""
        deadline = Deadline(timeout)
        while True:
            with self._changed:
                if value := condition():
                    return value
                self._changed.wait(0.1)
            if deadline.passed():  # without the lock, for it may measure the machine
                lines = "\n".join(f"  {k}: {v}" for k, v in sorted(self.diagnostics.items()))
                raise AssertionError(f"not within {deadline}: {what}\ndiagnostics:\n{lines}")

    def wait_diagnostic(self, name: str, text: str, timeout: float = 30.0) -> str:
        """Wait until the status of this name holds this text, if only for a moment; return its message."""
        begin = len(self.diagnostic_log)

        def messages() -> list[str]:
            now = [(k, m) for k, (_, m) in self.diagnostics.items()]
            since = [(k, m) for k, _, m in self.diagnostic_log[begin:]]
            return [m for k, m in (*now, *since) if name in k and text in m]

        return str(self.wait(messages, f"diagnostic {name!r} with {text!r}", timeout)[0])

    def ask(self, kind: Any, service: str, request: Any, timeout: float = 30.0) -> Any:
        """Call a service; asks again, for a server that was killed may seem to be there, and an answer may be lost.

        A server answers before it has discovered who is to read the answer.
        """
        client = self.node.create_client(kind, service)
        deadline = Deadline(timeout)
        try:
            while not deadline.passed():
                if not client.wait_for_service(timeout_sec=1.0):
                    continue
                future = client.call_async(request)
                with contextlib.suppress(AssertionError):
                    self.wait(future.done, f"answer of {service}", 2.0)
                    return future.result()
            raise AssertionError(f"no answer of {service} within {deadline}")
        finally:
            self.node.destroy_client(client)

    def call(self, service: str, timeout: float = 30.0) -> Trigger.Response:
        """Ask a Trigger service."""
        return self.ask(Trigger, service, Trigger.Request(), timeout)

    def call_until_success(self, service: str, timeout: float = 30.0) -> Trigger.Response:
        """Ask a Trigger service until it says that it did what it was asked for."""
        deadline = Deadline(timeout)
        while not (answer := self.call(service, timeout)).success:
            if deadline.passed():
                raise AssertionError(f"{service} did not succeed within {deadline}: {answer.message}")
        return answer

    def wait_new(self, topic: str, count: int = 1, timeout: float = 30.0) -> list[Any]:
        """Wait for ``count`` more messages of a topic; return them."""
        before = len(self.messages[topic])
        self.wait(lambda: len(self.messages[topic]) >= before + count, f"{count} more on {topic}", timeout)
        return self.messages[topic][before:]

    def json(self, topic: str) -> list[dict[str, Any]]:
        return [json.loads(m.data) for m in list(self.messages[topic])]


class SlowClock:
    """The time of nodes on ``use_sim_time``, published on ``/clock``: as much slower than the wall's as the machine is.

    So whatever the nodes gate by time is as wide as on an idle machine. Time stands still while this process gets no
    processor, and while ``stopped``.
    """

    _PERIOD_S = 0.01

    def __init__(self, watcher: Watcher, on_tick: Callable[[int], None] | None = None) -> None:
        self.rate = 1.0 / slowness()
        self._on_tick = on_tick
        self._lock = threading.RLock()
        self._ticked_ns = time.time_ns()
        self._ticked = time.monotonic_ns()
        self._publisher = watcher.node.create_publisher(Clock, "/clock", qos.reliable(5))
        watcher.node.create_timer(self._PERIOD_S, self._tick, clock=steady_clock())

    def now(self) -> int:
        """Return the time in nanoseconds."""
        with self._lock:
            elapsed = min(time.monotonic_ns() - self._ticked, round(2e9 * self._PERIOD_S))
            return self._ticked_ns + round(elapsed * self.rate)

    def follow_machine(self) -> None:
        """Go as fast as the machine allows now."""
        self._go_on(1.0 / slowness())

    def jump(self, by_ns: int) -> None:
        """Set the time forwards or back."""
        with self._lock:
            self._go_on(self.rate)
            self._ticked_ns += by_ns

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let no time pass."""
        rate = self.rate
        self._go_on(0.0)
        try:
            yield
        finally:
            self._go_on(rate)

    def _go_on(self, rate: float) -> int:
        with self._lock:
            self._ticked_ns, self._ticked, self.rate = self.now(), time.monotonic_ns(), rate
            return self._ticked_ns

    def _tick(self) -> None:
        with self._lock:
            now = self._go_on(self.rate)
        self._publisher.publish(Clock(clock=stamp_message(now)))
        if self._on_tick is not None:
            self._on_tick(now)


class Cameras:
    """Publishes moving pictures on every view; each view can be stopped or spoilt."""

    def __init__(self, watcher: Watcher, views: tuple[str, ...], rate: float = 15.0) -> None:
        self.watcher = watcher
        self.stopped: set[str] = set()
        self.spoil: Callable[[Image], Image] | None = None
        self._publishers = {
            view: watcher.node.create_publisher(Image, f"{view}/image_raw", qos.reliable(2)) for view in views
        }
        self._count = 0
        rng = np.random.default_rng(1)
        self._picture = rng.integers(0, 255, size=(*SIZE, 3), dtype=np.uint8)
        watcher.node.create_timer(1.0 / rate, self._send)

    def _send(self) -> None:
        self._count += 1
        stamp = self.watcher.node.get_clock().now().nanoseconds
        picture = np.roll(self._picture, self._count, axis=1)
        for view, publisher in self._publishers.items():
            if view not in self.stopped:
                message = image_message(picture, stamp_ns=stamp, frame_id=view)
                publisher.publish(self.spoil(message) if self.spoil else message)


class JointRelay:
    """Passes the simulator's joint states on; can stop, spoil or freeze them."""

    def __init__(self, watcher: Watcher) -> None:
        self.stopped = False
        self.spoil: Callable[[JointState], JointState] | None = None
        self.received: list[JointState] = []
        self._publisher = watcher.node.create_publisher(JointState, "joint_states", qos.reliable(10))
        watcher.node.create_subscription(JointState, "sim/joint_states", self._pass, qos.reliable(10))

    def _pass(self, message: JointState) -> None:
        self.received.append(message)
        if not self.stopped:
            self._publisher.publish(self.spoil(copy.deepcopy(message)) if self.spoil else message)

    def speed(self) -> float:
        """Return the largest joint speed in the newest true state."""
        return float(np.max(np.abs(self.received[-1].velocity)))


@contextmanager
def processes(*, sim_time: bool = False) -> Iterator[tuple[Watcher, ProcessGroup, dict[str, str], list[str]]]:
    """A watcher and an empty process group on one private domain; the output's lines are kept."""
    lines: list[str] = []
    with private_domain() as domain:
        environment = child_environment(private_environment(domain))
        watcher = Watcher(domain, sim_time=sim_time)
        try:
            with ProcessGroup(lambda name, line: lines.append(f"[{name}] {line}")) as group:
                yield watcher, group, environment, lines
        finally:
            watcher.close()


__all__ = ["SIZE", "Cameras", "JointRelay", "SlowClock", "String", "Watcher", "processes"]
