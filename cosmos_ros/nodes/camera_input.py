"""One view's subscription: raw or compressed by what is published, and an explanation when nothing arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from cosmos_ros.errors import InputError
from cosmos_ros.messages import ns_from_stamp
from cosmos_ros.nodes import qos
from cosmos_ros.observation.camera_topics import camera_info_topic
from cosmos_ros.observation.lost_images import LARGE_IMAGE_ADVICE, LostImageDetector

TRANSPORTS = ("auto", "raw", "compressed")
_TYPES = {"raw": Image, "compressed": CompressedImage}
_TYPE_NAMES = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}
_SILENCE_S = 2.0
# A third of a second at 30 Hz: a process that was blocked for so long must not lose an image.
_DEPTH = 10


class CameraInput:
    """Subscribes to one view and explains why nothing arrives. Used by the executor's thread only.

    ``on_image(view, message, compressed)`` is called for every message; it must only keep it.
    """

    def __init__(
        self, node: Any, view: str, topic: str, transport: str, on_image: Callable[[str, Any, bool], None]
    ) -> None:
        self.view = view
        self.topic = node.resolve_topic_name(topic)
        self.transport: str | None = None
        self._node = node
        self._wanted = transport
        self._on_image = on_image
        self._subscriptions: list[Any] = []
        self._detector = LostImageDetector()
        self._chosen_at = 0.0
        self._received_at: float | None = None
        self._incompatible = ""
        self._avoid_raw = False
        self._heard = False

    @property
    def heard(self) -> bool:
        """Whether an image has ever come."""
        return self._heard

    def close(self) -> None:
        """Drop the subscriptions."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions.clear()
        self.transport = None
        self._detector.reset()

    def update(self) -> str:
        """Look at the graph, choose the transport; return what is wrong in one line, or an empty string."""
        published = {kind: self._publishers(kind) for kind in _TYPES}
        choice = self._choose(published)
        if choice is not None and choice != self.transport:
            self._subscribe(choice)
        return self._explain(published)

    def _topic_of(self, kind: str) -> str:
        return self.topic if kind == "raw" else f"{self.topic}/compressed"

    def _publishers(self, kind: str) -> list[Any]:
        return list(self._node.get_publishers_info_by_topic(self._topic_of(kind)))

    def _choose(self, published: dict[str, list[Any]]) -> str | None:
        if self._wanted != "auto":
            return self._wanted
        raw = [p for p in published["raw"] if p.topic_type == _TYPE_NAMES["raw"]]
        if published["compressed"] and (not raw or self._avoid_raw):
            return "compressed"
        if self.transport == "raw" and published["compressed"] and (self._silent() or self._losing(published)):
            # Raw images are published but do not arrive: stay with what does.
            self._avoid_raw = True
            return "compressed"
        return "raw" if raw else self.transport

    def _subscribe(self, kind: str) -> None:
        self.close()
        self.transport = kind
        self._chosen_at = time.monotonic()
        self._received_at = None
        self._incompatible = ""
        compressed = kind == "compressed"
        self._subscriptions = [
            self._node.create_subscription(
                _TYPES[kind],
                self._topic_of(kind),
                self._received_compressed if compressed else self._received_raw,
                qos.sensor(_DEPTH),
                event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible),
            )
        ]
        if not compressed:
            # One camera_info comes with each image, by convention beside it; it shows which images were lost.
            info = camera_info_topic(self.topic)
            self._subscriptions.append(
                self._node.create_subscription(CameraInfo, info, self._received_info, qos.sensor())
            )

    def _received_raw(self, message: Any) -> None:
        self._received_at, self._heard = time.monotonic(), True
        self._on_image(self.view, message, False)
        self._note(self._detector.image, message, len(message.data))

    def _received_compressed(self, message: Any) -> None:
        self._received_at, self._heard = time.monotonic(), True
        self._on_image(self.view, message, True)

    def _received_info(self, message: Any) -> None:
        # Three bytes a pixel, the usual weight: only whether an image is larger than the segment matters.
        self._note(self._detector.camera_info, message, 3 * message.width * message.height)

    @staticmethod
    def _note(watch: Callable[[int, int], None], message: Any, size: int) -> None:
        try:
            watch(ns_from_stamp(message.header.stamp, where="header.stamp"), size)
        except InputError:
            return  # the synchroniser refuses it and says why

    def _on_incompatible(self, event: Any) -> None:
        self._incompatible = str(event.last_policy_kind)

    def _silent(self) -> bool:
        since = self._chosen_at if self._received_at is None else self._received_at
        return time.monotonic() - since > _SILENCE_S

    def _losing(self, published: dict[str, list[Any]]) -> str:
        """Return how many raw images are being lost and why, in one line; empty when there are few or none."""
        reliabilities = {info.qos_profile.reliability for info in published["raw"]}
        best_effort = ReliabilityPolicy.BEST_EFFORT in reliabilities if reliabilities else None
        return self._detector.explain(self.topic, best_effort=best_effort)

    def _explain(self, published: dict[str, list[Any]]) -> str:
        if self.transport is None:
            return f"nobody publishes {self.topic} or {self.topic}/compressed"
        topic = self._topic_of(self.transport)
        infos = published[self.transport]
        wrong = sorted({p.topic_type for p in infos} - {_TYPE_NAMES[self.transport]})
        if wrong:
            return f"{topic} is published as {', '.join(wrong)}, expected {_TYPE_NAMES[self.transport]}"
        if self._incompatible:
            return f"{topic}: a publisher's QoS is incompatible ({self._incompatible})"
        if not infos:
            return f"nobody publishes {topic} any more" if self._silent() else ""
        if self._silent():
            line = f"{topic} has {len(infos)} publisher(s) but no image arrives"
            return line if self.transport == "compressed" else f"{line}; {LARGE_IMAGE_ADVICE}"
        if self.transport == "raw":
            return self._losing(published)
        return ""
