"""Markers of what the robot does and what the guard lets it do, in a process of its own.

Nothing here loads the predictor or the guard: it listens to what they publish, and draws only while somebody watches.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from visualization_msgs.msg import MarkerArray

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import ConfigError, CosmosRosError
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.clocks import steady_clock
from cosmos_ros.nodes.diagnostics import OK, WARN, Diagnostics
from cosmos_ros.nodes.motion_input import listen
from cosmos_ros.nodes.node_process import run
from cosmos_ros.nodes.parameters import declare
from cosmos_ros.settings import declared, setting
from cosmos_ros.types import NANOSECONDS
from cosmos_ros.viewing.marker_messages import GHOST, ROBOT, Markers, guard_markers, recent_path, robot_markers
from cosmos_ros.viewing.motion_trace import MotionTrace
from cosmos_ros.viewing.motion_trace_reader import MotionReader
from cosmos_ros.viewing.robot_shape import RobotShape


@dataclass(frozen=True)
class VisualizerSettings:
    """What the markers show."""

    embodiment: str = setting("franka", "Shipped embodiment or path of its YAML file.", read_only=True)
    rate: float = setting(
        10.0, "How often the markers are drawn", unit="1/s", minimum=0.5, maximum=60.0, read_only=True
    )
    history: float = setting(5.0, "Length of the recent path", unit="s", minimum=0.1, maximum=60.0, read_only=True)
    ghost: bool = setting(True, "Draw the robot also as it would stand at the end of the newest candidate.")


class Visualizer(Node):
    """Publishes ``~/robot``, ``~/path`` and ``~/guard``."""

    def __init__(self) -> None:
        super().__init__("visualizer")
        self._values = declare(self, declared(VisualizerSettings))
        self._embodiment = load_embodiment(self._values["embodiment"])
        if self._embodiment.robot is None:
            raise ConfigError(f"embodiment {self._embodiment.name} has no robot to draw", where="parameter embodiment")
        self._diagnostics = Diagnostics(self, hardware_id="cosmos_ros")
        self._shape = RobotShape(self._embodiment)
        self._trace = MotionTrace(self._embodiment, history_s=self._values["history"])
        self._reader = MotionReader(self._trace)
        listen(self, self._embodiment, self._reader)
        self._drawings: list[tuple[Any, Callable[[], MarkerArray]]] = [
            (self.create_publisher(MarkerArray, "~/robot", qos.reliable()), self._robot),
            (self.create_publisher(MarkerArray, "~/path", qos.reliable()), self._path),
            (self.create_publisher(MarkerArray, "~/guard", qos.reliable()), self._guard),
        ]
        self.create_timer(1.0 / self._values["rate"], self._draw, clock=steady_clock())
        self._diagnostics.set("state", OK, f"drawing {self._embodiment.name}")

    def _draw(self) -> None:
        try:
            for publisher, draw in self._drawings:
                if publisher.get_subscription_count():
                    publisher.publish(draw())
        except CosmosRosError as error:
            self._diagnostics.set("markers", WARN, str(error))
        else:
            problem, self._reader.problem = self._reader.problem, ""
            self._diagnostics.set("markers", WARN if problem else OK, problem or "drawing")

    def _now(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _robot(self) -> MarkerArray:
        markers = Markers(self._embodiment.base_frame, self._now())
        robot_markers(markers, "robot", *self._shape.segments(self._trace.positions), ROBOT)
        candidate = self._trace.newest_candidate
        if self._values["ghost"] and candidate is not None and len(candidate.times_ns):
            end_ns = int(candidate.times_ns[-1])
            if candidate.stamp_ns + end_ns > self._now():
                posture = self._trace.posture_at(candidate, end_ns / NANOSECONDS)
                robot_markers(markers, "ghost", *self._shape.segments(posture), GHOST)
        return markers.array

    def _path(self) -> MarkerArray:
        return recent_path(self._trace.recent_path(), self._embodiment.base_frame, self._now())

    def _guard(self) -> MarkerArray:
        return guard_markers(
            self._trace.verdict_paths(), self._trace.surroundings, self._embodiment.base_frame, self._now()
        )


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run(Visualizer, args)


if __name__ == "__main__":
    sys.exit(main())
