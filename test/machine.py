"""How slow the machine is just now, which is what the deadlines of the live tests are stretched by.

Nothing asserts speed: a deadline only ends a wait for something that will never happen. How long that takes depends on
the processor and on what else runs beside the tests, so it is measured: once the start of a process with ROS up to its
first message, and a short calculation on every core again and again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

# What an idle machine with two cores of 2.6 GHz takes with some margin, s.
_IDLE_START_S = 0.6
_IDLE_CALCULATION_S = 0.2
_LARGEST = 10.0
_FRESH_S = 10.0

_CALCULATION = "n = 0\nfor k in range(1_500_000): n += k"
_START = """
import numpy, rclpy
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String
context = rclpy.Context()
rclpy.init(context=context)
node = rclpy.create_node("probe", context=context)
executor = SingleThreadedExecutor(context=context)
executor.add_node(node)
received = []
node.create_subscription(String, "probe", received.append, 1)
publisher = node.create_publisher(String, "probe", 1)
while not received:
    publisher.publish(String())
    executor.spin_once(timeout_sec=0.01)
node.destroy_node()
context.try_shutdown()
"""
_measured: list[tuple[float, float]] = []  # (moment, times slower), the newest last


def slowness() -> float:
    """Return how many times slower than an idle one the machine is, 1 to 10; measured again every few seconds."""
    if not _measured or time.monotonic() - _measured[-1][0] > _FRESH_S:
        found = _calculation()
        if found > 1.0:  # what the test before left behind may have been ending just then
            found = min(found, _calculation())
        if not _measured:
            found = max(found, _start())
        _measured.append((time.monotonic(), min(max(found, 1.0), _LARGEST)))
    return _measured[-1][1]


def _calculation() -> float:
    begin = time.monotonic()
    command = [sys.executable, "-I", "-S", "-c", _CALCULATION]
    running = [subprocess.Popen(command) for _ in os.sched_getaffinity(0)]
    for process in running:
        process.wait()
    return (time.monotonic() - begin) / _IDLE_CALCULATION_S


def _start() -> float:
    from cosmos_ros.bringup.domain import private_domain, private_environment
    from cosmos_ros.bringup.processes import child_environment

    with private_domain() as domain:
        environment = child_environment(private_environment(domain))
        begin = time.monotonic()
        done = subprocess.run([sys.executable, "-c", _START], env=environment, check=False, capture_output=True)
    # Where ROS is not installed, nothing waits for it either.
    return (time.monotonic() - begin) / _IDLE_START_S if done.returncode == 0 else 1.0


class Deadline:
    """Seconds of an idle machine from now: more on a slow one, also where it becomes slow only while one waits."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._begin = time.monotonic()
        self._slowness = slowness()

    def restart(self) -> None:
        """Begin again now."""
        self._begin = time.monotonic()

    def passed(self) -> bool:
        """Return whether what was waited for should have happened by now."""
        elapsed = time.monotonic() - self._begin
        if elapsed <= self._seconds * self._slowness:
            return False
        self._slowness = max(self._slowness, slowness())
        return elapsed > self._seconds * self._slowness

    def __str__(self) -> str:
        return f"{self._seconds:g} s (stretched {self._slowness:.1f} times)"
