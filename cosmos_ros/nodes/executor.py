"""Which executor a node's process spins, and how another thread hands it work.

rclpy's SingleThreadedExecutor builds its wait set anew for every message: half a millisecond of one core with the
twenty entities of the predictor, so that joint states at 500 Hz alone take a quarter of it. EventsExecutor
(``rclpy.experimental``, Jazzy and later) gets each arrival from the middleware, at a quarter of the cost.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor

from cosmos_ros.errors import ConfigError

VARIABLE = "COSMOS_ROS_EXECUTOR"
CHOICES = ("events", "single")
# Untimed, the EventsExecutor of rclpy 7.1.6 and 9.1.2 runs no callback at all; this only bounds one wait.
_LONGEST_WAIT_S = 0.5


def make_executor(preferred: str = "events") -> Any:
    """Return the executor that the environment variable COSMOS_ROS_EXECUTOR names, or without it the preferred one.

    Args:
        preferred: ``events`` (where rclpy has it) or ``single``.

    Raises:
        ConfigError: The variable names neither.
    """
    wanted = os.environ.get(VARIABLE, "") or preferred
    if wanted not in CHOICES:
        raise ConfigError(f"{wanted!r} is not one of {', '.join(CHOICES)}", where=f"environment variable {VARIABLE}")
    if wanted == "events":
        try:
            from rclpy.experimental.events_executor import EventsExecutor
        except ImportError:
            return SingleThreadedExecutor()
        return EventsExecutor()
    return SingleThreadedExecutor()


def spin(executor: Any) -> None:
    """Run callbacks until ROS is shut down."""
    while rclpy.ok():
        executor.spin_once(timeout_sec=_LONGEST_WAIT_S)


def call_soon(node: Any, callback: Callable[[], Any]) -> None:
    """Have the executor that spins ``node`` call ``callback``; from any thread. Nothing happens once it spins no more.

    Neither a guard condition (EventsExecutor has none) nor a lock: the task wakes the executor by itself.
    """
    executor = node.executor
    if executor is not None and rclpy.ok():
        executor.create_task(callback)
