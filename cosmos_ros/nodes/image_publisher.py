"""One image topic, raw and compressed, of which only what somebody subscribes to is encoded."""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import CompressedImage, Image

from cosmos_ros.messages import compressed_image_message, image_message
from cosmos_ros.types import UInt8Array


class ImagePublisher:
    """Publishes ``<topic>`` and, as JPEG, ``<topic>/compressed``.

    Args:
        node: The rclpy node.
        topic: Name of the raw topic.
        profile: QoS of both.

    Attributes:
        publishers: Raw and compressed.
    """

    def __init__(self, node: Any, topic: str, profile: Any) -> None:
        self._raw = node.create_publisher(Image, topic, profile)
        self._compressed = node.create_publisher(CompressedImage, f"{topic}/compressed", profile)
        self.publishers = (self._raw, self._compressed)

    @property
    def wanted(self) -> bool:
        """True when either topic has a subscriber."""
        return any(publisher.get_subscription_count() for publisher in self.publishers)

    def encoded(self, image: UInt8Array, stamp_ns: int, frame_id: str, quality: int = 85) -> list[tuple[Any, Any]]:
        """Return publisher and message of each topic that has a subscriber, of ``uint8 [H, W, 3]`` RGB."""
        messages = []
        if self._raw.get_subscription_count():
            messages.append((self._raw, image_message(image, stamp_ns=stamp_ns, frame_id=frame_id)))
        if self._compressed.get_subscription_count():
            message = compressed_image_message(image, stamp_ns=stamp_ns, frame_id=frame_id, quality=quality)
            messages.append((self._compressed, message))
        return messages

    def publish(self, image: UInt8Array, stamp_ns: int, frame_id: str, quality: int = 85) -> None:
        """Publish ``uint8 [H, W, 3]`` RGB."""
        for publisher, message in self.encoded(image, stamp_ns, frame_id, quality):
            publisher.publish(message)
