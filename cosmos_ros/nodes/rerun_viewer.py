"""Shows everything in Rerun, live: cameras, predicted beside actual, the robot, joints with limits, guard events.

A process of its own that only listens. Needs rerun-sdk.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage
from visualization_msgs.msg import MarkerArray

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import ConfigError
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.camera_input import TRANSPORTS, CameraInput
from cosmos_ros.nodes.clocks import steady_clock
from cosmos_ros.nodes.diagnostics import OK, WARN, Diagnostics
from cosmos_ros.nodes.motion_input import listen
from cosmos_ros.nodes.node_process import run
from cosmos_ros.nodes.parameters import declare
from cosmos_ros.observation.camera_topics import parse_cameras
from cosmos_ros.settings import declared, setting
from cosmos_ros.viewing.motion_trace import MotionTrace
from cosmos_ros.viewing.rerun_feed import Feed, MotionFeed
from cosmos_ros.viewing.rerun_writer import RerunLog

OUTPUTS = ("window", "web", "connect", "file")


@dataclass(frozen=True)
class RerunViewerSettings:
    """What is shown in Rerun, and where."""

    embodiment: str = setting("franka", "Shipped embodiment or path of its YAML file.", read_only=True)
    cameras: str = setting("", "As the predictor's parameter of the same name.", read_only=True)
    image_transport: str = setting("auto", "Which images to subscribe to.", choices=TRANSPORTS, read_only=True)
    output: str = setting(
        "window",
        "Open a window, serve a web page, connect to a viewer that runs, or write a file.",
        choices=OUTPUTS,
        read_only=True,
    )
    file: str = setting("out/live.rrd", "File that output: file writes.", read_only=True)
    url: str = setting(
        "", "Viewer that output: connect sends to; empty: rerun+http://127.0.0.1:9876/proxy.", read_only=True
    )
    grpc_port: int = setting(9876, "Port of the data for output: web.", minimum=1024, maximum=65535, read_only=True)
    web_port: int = setting(9090, "Port of the page for output: web.", minimum=1024, maximum=65535, read_only=True)
    memory_limit: str = setting("2GB", "Beyond it the viewer drops the oldest data.", read_only=True)
    joint_rate: float = setting(20.0, "Most joint states shown a second.", minimum=1.0, maximum=100.0, read_only=True)
    history: float = setting(5.0, "Length of the recent path", unit="s", minimum=0.1, maximum=60.0, read_only=True)


class RerunViewer(Node):
    """Wires topics to a Feed."""

    def __init__(self) -> None:
        super().__init__("rerun_viewer")
        values = self._values = declare(self, declared(RerunViewerSettings))
        self._diagnostics = Diagnostics(self, hardware_id="cosmos_ros")
        self._embodiment = load_embodiment(values["embodiment"])
        topics = parse_cameras(values["cameras"], self._embodiment.views)
        self._log = RerunLog(self._embodiment)
        self._diagnostics.set("state", OK, self._open())
        self._feed = Feed(self._embodiment, topics, self._log, self._report)
        self._cameras = [
            CameraInput(self, view, topic, values["image_transport"], self._feed.image)
            for view, topic in topics.items()
        ]
        frames = self._embodiment.chunk_size + 1
        self.create_subscription(
            CompressedImage, "rollout/image/compressed", self._feed.predicted, qos.reliable(frames)
        )
        self.create_subscription(
            CompressedImage, "rollout/contact_sheet/compressed", self._feed.contact_sheet, qos.latched()
        )
        self.create_subscription(
            MarkerArray, "rollout/markers", partial(self._feed.markers, "predicted"), qos.reliable()
        )
        self.create_subscription(MarkerArray, "scene", partial(self._feed.markers, "scene"), qos.sensor(1))
        self.create_subscription(DiagnosticArray, "/diagnostics", self._feed.diagnostics, qos.reliable(50))
        if self._embodiment.robot is not None:
            trace = MotionTrace(self._embodiment, history_s=values["history"], rate=values["joint_rate"])
            listen(self, self._embodiment, MotionFeed(trace, self._log))
        self.create_timer(0.25, self._look_at_cameras, clock=steady_clock())
        self.create_timer(0.02, self._feed.play, clock=steady_clock())

    def _open(self) -> str:
        values = self._values
        output = values["output"]
        if output == "window":
            self._log.window(values["memory_limit"])
            return "showing in a window"
        if output == "web":
            return f"open {self._log.web(values['grpc_port'], values['web_port'], values['memory_limit'])}"
        if output == "connect":
            self._log.connect(values["url"])
            return f"sending to {values['url'] or 'the local viewer'}"
        if not values["file"]:
            raise ConfigError("output: file needs a file", where="parameter file")
        self._log.save(values["file"])
        return f"writing {values['file']}"

    def destroy_node(self) -> None:
        """Write what is left before the node goes."""
        self._log.close()
        super().destroy_node()

    def _look_at_cameras(self) -> None:
        for camera in self._cameras:
            problem = camera.update()
            self._diagnostics.set(f"camera {camera.view}", WARN if problem else OK, problem or "connected")

    def _report(self, concern: str, problem: str) -> None:
        if problem:
            self._diagnostics.set(concern, WARN, problem)
        elif self._diagnostics.level(concern) not in (None, OK):
            self._diagnostics.set(concern, OK, "shown")


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run(RerunViewer, args)


if __name__ == "__main__":
    sys.exit(main())
