"""Shows everything in Rerun, live: cameras, predicted beside actual, the robot, joints with limits, guard events.

A process of its own that only listens. Needs the ``viewer`` extra.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage
from visualization_msgs.msg import MarkerArray

from cosmos_ros.embodiment import Embodiment, load_embodiment
from cosmos_ros.errors import ConfigError, CosmosRosError
from cosmos_ros.messages import check_compressed, decode_compressed, decode_image, ns_from_stamp
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.camera_input import TRANSPORTS, CameraInput
from cosmos_ros.nodes.diagnostics import OK, WARN, Diagnostics
from cosmos_ros.nodes.motion_input import MotionInput
from cosmos_ros.nodes.parameters import Parameter, declare
from cosmos_ros.nodes.predictor_parameters import parse_cameras
from cosmos_ros.nodes.runner import run
from cosmos_ros.trajectory.splice import motion_at
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory, UInt8Array
from cosmos_ros.viewer import layout
from cosmos_ros.viewer.markers import marker_shapes
from cosmos_ros.viewer.playback import Playback
from cosmos_ros.viewer.rerun import RerunLog
from cosmos_ros.visualization.motion import MotionStory

OUTPUTS = ("window", "web", "connect", "file")
_LEVELS = {"accept": "INFO", "slow_down": "WARN", "truncate": "WARN", "reject": "ERROR"}
# Actual images kept for the moment that a predicted frame is due.
_IMAGES = 8

PARAMETERS = [
    Parameter("embodiment", "franka", "Shipped embodiment or path of its YAML file.", read_only=True),
    Parameter("cameras", "", "As the predictor's parameter of the same name.", read_only=True),
    Parameter("image_transport", "auto", "Which images to subscribe to.", choices=TRANSPORTS, read_only=True),
    Parameter("output", "window", "Open a window, serve a web page, connect to a viewer that runs, or write a file.",
              choices=OUTPUTS, read_only=True),
    Parameter("file", "out/live.rrd", "File that output: file writes.", read_only=True),
    Parameter("url", "", "Viewer that output: connect sends to; empty: rerun+http://127.0.0.1:9876/proxy.",
              read_only=True),
    Parameter("grpc_port", 9876, "Port of the data for output: web.", 1024, 65535, read_only=True),
    Parameter("web_port", 9090, "Port of the page for output: web.", 1024, 65535, read_only=True),
    Parameter("memory_limit", "2GB", "Beyond it the viewer drops the oldest data.", read_only=True),
    Parameter("joint_rate", 20.0, "Most joint states shown a second.", 1.0, 100.0, read_only=True),
    Parameter("history", 5.0, "Length of the recent path, s.", 0.1, 60.0, read_only=True),
]  # fmt: skip


class RerunViewer(Node):
    """Wires topics to a RerunLog."""

    def __init__(self) -> None:
        super().__init__("rerun_viewer")
        values = self._values = declare(self, PARAMETERS)
        self._diagnostics = Diagnostics(self, hardware_id="cosmos_ros")
        self._embodiment = load_embodiment(values["embodiment"])
        topics = parse_cameras(values["cameras"], self._embodiment.views)
        self._log = RerunLog(self._embodiment)
        self._diagnostics.set("state", OK, self._open())
        self._images: dict[str, deque[tuple[int, Any, bool]]] = {view: deque(maxlen=_IMAGES) for view in topics}
        self._playback: Playback[CompressedImage] = Playback()
        self._told: dict[str, tuple[bytes, str]] = {}
        self._cameras = [
            CameraInput(self, view, topic, values["image_transport"], self._on_image) for view, topic in topics.items()
        ]
        frames = self._embodiment.chunk_size + 1
        self.create_subscription(CompressedImage, "rollout/image/compressed", self._on_predicted, qos.reliable(frames))
        self.create_subscription(CompressedImage, "rollout/contact_sheet/compressed", self._on_sheet, qos.latched())
        self.create_subscription(MarkerArray, "rollout/markers", self._on_path, qos.reliable())
        self.create_subscription(MarkerArray, "scene", self._on_scene, qos.sensor(1))
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, qos.reliable(50))
        if self._embodiment.robot is not None:
            story = MotionStory(self._embodiment, history_s=values["history"], rate=values["joint_rate"])
            self._motion = _Motion(self, self._embodiment, story, self._log)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(0.25, self._look_at_cameras, clock=steady)
        self.create_timer(0.02, self._play, clock=steady)

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

    # -- pictures -------------------------------------------------------------------------------------------------

    def _look_at_cameras(self) -> None:
        for camera in self._cameras:
            problem = camera.update()
            self._diagnostics.set(f"camera {camera.view}", WARN if problem else OK, problem or "connected")

    def _on_image(self, view: str, message: Any, compressed: bool) -> None:
        with _Reported(self._diagnostics, f"image {view}"):
            stamp = ns_from_stamp(message.header.stamp, where=view)
            images = self._images[view]
            if images and stamp < images[-1][0]:
                images.clear()
                self._playback.clear()
            images.append((stamp, message, compressed))
            self._show(layout.camera(view), stamp, message, compressed)

    def _on_predicted(self, message: CompressedImage) -> None:
        with _Reported(self._diagnostics, "rollout"):
            self._playback.add(ns_from_stamp(message.header.stamp, where="rollout/image"), message)

    def _on_sheet(self, message: CompressedImage) -> None:
        with _Reported(self._diagnostics, "rollout"):
            self._show(layout.SHEET, ns_from_stamp(message.header.stamp, where="contact_sheet"), message, True)

    def _play(self) -> None:
        """Show the frame that was predicted for now beside what the cameras saw then."""
        newest = [images[-1][0] for images in self._images.values() if images]
        if len(newest) < len(self._images):
            return
        due = self._playback.due(min(newest, default=0))
        if due is None:
            return
        stamp, message = due
        with _Reported(self._diagnostics, "rollout"):
            self._show(layout.PREDICTED, stamp, message, True)
            self._log.picture(layout.ACTUAL, stamp, self._canvas_at(stamp))

    def _canvas_at(self, stamp_ns: int) -> UInt8Array:
        pictures: dict[str, UInt8Array] = {}
        for view, images in self._images.items():
            _, message, compressed = min(images, key=lambda entry: abs(entry[0] - stamp_ns))
            pictures[view] = (decode_compressed if compressed else decode_image)(message, topic=view)
        first = next(iter(pictures.values()))
        for view in self._embodiment.views:
            # A view without a camera is black for the model too.
            pictures.setdefault(view, first * 0)
        return self._embodiment.compose(pictures)

    def _show(self, entity: str, stamp: int, message: Any, compressed: bool) -> None:
        if not compressed:
            self._log.picture(entity, stamp, decode_image(message, topic=entity))
            return
        image_format, payload = check_compressed(message, topic=entity)
        if not self._log.encoded_picture(entity, stamp, payload.tobytes(), image_format):
            self._log.picture(entity, stamp, decode_compressed(message, topic=entity))

    # -- space and events -----------------------------------------------------------------------------------------

    def _on_path(self, message: MarkerArray) -> None:
        self._on_markers("predicted", message)

    def _on_scene(self, message: MarkerArray) -> None:
        self._on_markers("scene", message)

    def _on_markers(self, entity: str, message: MarkerArray) -> None:
        with _Reported(self._diagnostics, entity):
            if message.markers:
                stamp = ns_from_stamp(message.markers[-1].header.stamp, where=entity)
                self._log.markers(entity, stamp, marker_shapes(message))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        with _Reported(self._diagnostics, "events"):
            stamp = ns_from_stamp(message.header.stamp, where="/diagnostics")
            for status in message.status:
                state = (status.level, status.message)
                if self._told.get(status.name) != state:
                    self._told[status.name] = state
                    level = {OK: "INFO", WARN: "WARN"}.get(status.level, "ERROR")
                    self._log.event("diagnostics", stamp, f"{status.name}: {status.message}", level)


class _Motion(MotionInput):
    """Shows the robot, what it is commanded, and what the guard says."""

    def __init__(self, node: Any, embodiment: Embodiment, story: MotionStory, log: RerunLog) -> None:
        super().__init__(node, embodiment, story)
        self._log = log
        self._commands: dict[tuple[str, ...], JointTrajectory] = {}

    def on_joint_state(self, state: JointState) -> None:
        stamp = state.stamp_ns
        self._log.joints(stamp, self.story.positions)
        self._log.recent_path(stamp, self.story.recent_path())
        for trajectory in self._commands.values():
            end = trajectory.stamp_ns + int(trajectory.times_ns[-1])
            if trajectory.stamp_ns <= stamp <= end:
                motion = motion_at(trajectory, stamp)
                self._log.commanded(stamp, dict(zip(motion.joint_names, map(float, motion.positions), strict=True)))

    def on_guarded(self, trajectory: JointTrajectory) -> None:
        if len(trajectory.times_ns) > 1 and trajectory.stamp_ns:
            self._commands[trajectory.joint_names] = trajectory

    def on_verdict(self, verdict: dict[str, Any]) -> None:
        picture = self.story.picture()
        stamp = int(verdict.get("published_ns") or picture.stamp_ns)
        self._log.guard(stamp, picture)
        level = _LEVELS.get(picture.response, "INFO")
        state = "armed" if verdict.get("armed") else "disarmed"
        self._log.event("guard", stamp, f"{picture.summary} ({state})", level)
        candidate = self.story.newest_candidate
        if candidate is not None and len(candidate.times_ns):
            end_s = float(candidate.times_ns[-1]) / NANOSECONDS
            self._log.ghost(stamp, self.story.posture_at(candidate, end_s))


class _Reported:
    """Says on ``/diagnostics`` what could not be shown, and goes on."""

    def __init__(self, diagnostics: Diagnostics, concern: str) -> None:
        self._diagnostics = diagnostics
        self._concern = concern

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, CosmosRosError):
            self._diagnostics.set(self._concern, WARN, f"not shown: {error}")
            return True
        if error is None and self._diagnostics.level(self._concern) not in (None, OK):
            self._diagnostics.set(self._concern, OK, "shown")
        return False


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to stop."""
    return run(RerunViewer, args)


if __name__ == "__main__":
    sys.exit(main())
