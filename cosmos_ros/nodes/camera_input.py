"""One view's subscription: raw or compressed by what is published, and an explanation when nothing arrives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from sensor_msgs.msg import CompressedImage, Image

from cosmos_ros.nodes import qos

TRANSPORTS = ("auto", "raw", "compressed")
_TYPES = {"raw": Image, "compressed": CompressedImage}
_TYPE_NAMES = {"raw": "sensor_msgs/msg/Image", "compressed": "sensor_msgs/msg/CompressedImage"}
# Fast DDS's default shared-memory segment: larger best-effort messages between processes are lost (rmw_fastrtps #739).
SEGMENT_BYTES = 512 * 1024
_SILENCE_S = 2.0


class CameraInput:
    """Subscribes to one view and keeps explaining itself. Used by the executor's thread only.

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
        self._subscription: Any = None
        self._chosen_at = 0.0
        self._received_at: float | None = None
        self._incompatible = ""
        self._avoid_raw = False

    def close(self) -> None:
        """Drop the subscription."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = self.transport = None

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
        if self.transport == "raw" and published["compressed"] and self._silent():
            # Raw images are published but none arrives: stay with what does.
            self._avoid_raw = True
            return "compressed"
        return "raw" if raw else self.transport

    def _subscribe(self, kind: str) -> None:
        self.close()
        self.transport = kind
        self._chosen_at = time.monotonic()
        self._received_at = None
        self._incompatible = ""
        self._subscription = self._node.create_subscription(
            _TYPES[kind],
            self._topic_of(kind),
            lambda message, compressed=kind == "compressed": self._received(message, compressed),
            qos.sensor(),
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible),
        )

    def _received(self, message: Any, compressed: bool) -> None:
        self._received_at = time.monotonic()
        self._on_image(self.view, message, compressed)

    def _on_incompatible(self, event: Any) -> None:
        self._incompatible = str(event.last_policy_kind)

    def _silent(self) -> bool:
        since = self._chosen_at if self._received_at is None else self._received_at
        return time.monotonic() - since > _SILENCE_S

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
            if self.transport == "raw":
                return (
                    f"{topic} has {len(infos)} publisher(s) but no image arrives; best-effort images over "
                    f"{SEGMENT_BYTES // 1024} KiB are lost between processes with Fast DDS's defaults: start "
                    "the camera with config/fastdds.xml as FASTRTPS_DEFAULT_PROFILES_FILE, or publish compressed images"
                )
            return f"{topic} has {len(infos)} publisher(s) but no image arrives"
        return ""
