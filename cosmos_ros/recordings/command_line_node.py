"""A node of a command-line tool: spins on demand, ends cleanly on SIGINT, SIGTERM and SIGHUP. Needs ROS."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from cosmos_ros.messages.dds import use_shared_memory_profile


class RosSession:
    """A context, a node and its executor for the time of a ``with`` block.

    Signals only set a flag, so that a recording can be finished before the process ends.

    Args:
        name: Node name.
        use_sim_time: Take the node's time from ``/clock``.

    Attributes:
        node: The node.
        executor: A SingleThreadedExecutor that holds it.
    """

    def __init__(self, name: str, *, use_sim_time: bool = False) -> None:
        self._name = name
        self._use_sim_time = use_sim_time
        self._ended = threading.Event()
        self._previous: dict[int, Any] = {}
        self._context: Any = None
        self.node: Any = None
        self.executor: Any = None

    def __enter__(self) -> RosSession:
        """Start ROS, with the shared-memory profile unless the user has one."""
        use_shared_memory_profile(os.environ)
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.parameter import Parameter
        from rclpy.signals import SignalHandlerOptions

        self._context = rclpy.Context()
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(
            self._name,
            context=self._context,
            parameter_overrides=[Parameter("use_sim_time", Parameter.Type.BOOL, self._use_sim_time)],
        )
        self.executor = SingleThreadedExecutor(context=self._context)
        self.executor.add_node(self.node)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # ignored by nohup
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Destroy the node and stop ROS."""
        self.executor.shutdown(timeout_sec=1.0)
        self.node.destroy_node()
        self._context.try_shutdown()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def ended(self) -> bool:
        """Whether a signal has asked to end."""
        return self._ended.is_set()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._ended.set()
