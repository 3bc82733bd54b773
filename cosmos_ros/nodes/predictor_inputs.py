"""What the predictor subscribes to: cameras, joint states, instruction and scene, brought together by their stamps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from visualization_msgs.msg import MarkerArray

from cosmos_ros.messages.cv_bridge_images import ImageConversion, ImageConverter
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.camera_input import CameraInput
from cosmos_ros.nodes.diagnostics import ERROR, OK, WARN, Diagnostics
from cosmos_ros.nodes.dynamics_services import DynamicsServices
from cosmos_ros.observation import Synchroniser
from cosmos_ros.observation.for_embodiment import synchroniser_for
from cosmos_ros.observation.snapshot import start_decoding
from cosmos_ros.observation.sync_settings import Timing
from cosmos_ros.prediction.pipeline import Pipeline
from cosmos_ros.settings import declared, pick


class PredictorInputs:
    """Owns the subscriptions and the synchroniser. Callbacks only keep messages; used by the executor's thread.

    Args:
        node: The predictor.
        pipeline: Its embodiment says which streams are needed.
        cameras: View → topic.
        values: The node's parameters, as they are at any time.
        diagnostics: Where a refused instruction is reported.
        dynamics: Gets images and joint states too.
        decoders: Decode images that will probably be used, while ``idle``.
        idle: Whether a prediction could begin now.
        on_input: Called when a new observation may be complete.

    Attributes:
        synchroniser: Replaced whole by a reset and by a change of its parameters.
    """

    def __init__(
        self,
        node: Any,
        pipeline: Pipeline,
        cameras: Mapping[str, str],
        values: Mapping[str, Any],
        diagnostics: Diagnostics,
        *,
        dynamics: DynamicsServices,
        decoders: Executor,
        idle: Callable[[], bool],
        on_input: Callable[[], None],
    ) -> None:
        self._node, self._pipeline, self._topics, self._values = node, pipeline, cameras, values
        self._diagnostics, self._dynamics, self._decoders = diagnostics, dynamics, decoders
        self._idle, self._on_input = idle, on_input
        self._converter = ImageConverter(pick(ImageConversion, values), node.get_logger().warning)
        self.synchroniser = self._make_synchroniser()
        self._cameras = [
            CameraInput(node, view, topic, values["image_transport"], self._on_image) for view, topic in cameras.items()
        ]
        self._subscriptions: list[Any] = []
        # A plain publisher (ros2 topic pub) meets the first, the last message of a latched one the second.
        self._subscribe(String, "instruction", self._on_instruction, qos.reliable())
        self._subscribe(String, "instruction", self._on_instruction, qos.latched(), warn=False)
        if pipeline.embodiment.has_joints:
            self._subscribe(JointState, "joint_states", self._on_joint_state, qos.sensor(20))
        if pipeline.world_model.capabilities.needs_scene:
            self._subscribe(MarkerArray, "scene", self._on_scene, qos.sensor())

    def close(self) -> None:
        """Drop the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        for camera in self._cameras:
            camera.close()

    def reset(self) -> None:
        """Empty buffers and counters."""
        self.synchroniser = self._make_synchroniser()

    def parameter_changed(self, name: str) -> None:
        """Take over a new value of one of the node's parameters."""
        if name == "instruction":
            self.reset()
        elif name in {one.name for one in declared(Timing)}:
            instruction = self.synchroniser.instruction
            self.reset()
            if instruction:
                self.synchroniser.add_instruction(instruction, received_ns=self._now())

    @property
    def lacking(self) -> str:
        """What the world model must be told before it can be asked, or empty."""
        takes_one = self._pipeline.world_model.capabilities.takes_instruction
        return "no instruction yet" if takes_one and not self.synchroniser.instruction.strip() else ""

    def report(self) -> None:
        """Set one status a camera, and one of all inputs with what is missing or stale."""
        for camera in self._cameras:
            problem = camera.update()
            how = {"transport": camera.transport, "topic": camera.topic}
            level, text = WARN if problem else OK, problem or "connected"
            self._diagnostics.set(f"camera {camera.view}", level, text, how, waiting=not camera.heard, stream=True)
        now = self._now()
        values = self._stream_values(now)
        problems = [*([self.lacking] if self.lacking else []), *self.synchroniser.problems(now)]
        if problems:
            values["all"] = "; ".join(problems)
            waiting = problems[0].endswith("nothing received")
            self._diagnostics.set("inputs", ERROR, f"holding: {problems[0]}", values, waiting=waiting, stream=True)
        else:
            conflict = self.synchroniser.conflict(now)
            self._diagnostics.set("inputs", WARN if conflict else OK, conflict or "fresh", values)

    def _stream_values(self, now_ns: int) -> dict[str, Any]:
        """Return key → value of every stream: rate, age, count, and what was dropped and why."""
        values: dict[str, Any] = {}
        for stream in self.synchroniser.health(now_ns):
            values[f"{stream.name} rate [Hz]"] = f"{stream.rate_hz:.1f}"
            values[f"{stream.name} age [ms]"] = "never" if stream.age_ns is None else f"{stream.age_ns / 1e6:.0f}"
            values[f"{stream.name} received"] = stream.received
            if stream.invalid or stream.late or stream.duplicates:
                dropped = f"{stream.invalid} invalid, {stream.late} late, {stream.duplicates} duplicate"
                values[f"{stream.name} dropped"] = f"{dropped}; {stream.last_error}"
        return {**values, "used": self.synchroniser.references, "unsynchronised": self.synchroniser.unsynchronised}

    def _make_synchroniser(self) -> Synchroniser:
        return synchroniser_for(
            self._pipeline.embodiment,
            self._topics,
            pick(Timing, self._values),
            scene=self._pipeline.world_model.capabilities.needs_scene,
            instruction=self._values["instruction"],
        )

    def _subscribe(
        self, kind: Any, topic: str, callback: Callable[[Any], None], profile: Any, *, warn: bool = True
    ) -> None:
        events = SubscriptionEventCallbacks(use_default_callbacks=warn)
        self._subscriptions.append(
            self._node.create_subscription(kind, topic, callback, profile, event_callbacks=events)
        )

    def _now(self) -> int:
        return int(self._node.get_clock().now().nanoseconds)

    def _on_image(self, view: str, message: Any, compressed: bool) -> None:
        if not compressed:
            message = self._converter.prepare(message)
        if self.synchroniser.add_image(view, message, received_ns=self._now()) and self._idle():
            for name, item in self.synchroniser.probable_images():
                start_decoding(item, name, self._decoders, self._pipeline.prepare)
        self._dynamics.keep_image(view, message)
        self._on_input()

    def _on_joint_state(self, message: JointState) -> None:
        self.synchroniser.add_joint_state(message, received_ns=self._now())
        self._dynamics.keep_joint_state(message)
        self._on_input()

    def _on_instruction(self, message: String) -> None:
        if not self.synchroniser.add_instruction(message.data, received_ns=self._now()):
            self._diagnostics.set("instruction", WARN, "an instruction was refused: it is too long")

    def _on_scene(self, message: MarkerArray) -> None:
        self.synchroniser.add_scene(message, received_ns=self._now())
