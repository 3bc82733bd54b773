"""Cameras and a robot that stands still, as load: ``python -m cosmos_ros.bench.load``.

A robot's driver does not wait for its cameras: the benchmark has a process for each (``publish``).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image, JointState
from std_msgs.msg import String

from cosmos_ros.embodiment import Embodiment, load_embodiment
from cosmos_ros.messages import compressed_image_message, image_message, stamp_message
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.node_process import run
from cosmos_ros.nodes.parameters import declare
from cosmos_ros.settings import declared, setting


@dataclass(frozen=True)
class LoadSettings:
    """What is published as load."""

    embodiment: str = setting("franka", "Embodiment whose views and joints are published.", read_only=True)
    publish: str = setting("all", "What is published.", choices=("all", "cameras", "joints"), read_only=True)
    transport: str = setting("compressed", "What is published.", choices=("raw", "compressed"), read_only=True)
    width: int = setting(1280, "Image width", unit="pixels", minimum=16, maximum=7680, read_only=True)
    height: int = setting(720, "Image height", unit="pixels", minimum=16, maximum=4320, read_only=True)
    image_rate: float = setting(30.0, "Images a second and camera.", minimum=0.1, maximum=240.0, read_only=True)
    count: int = setting(
        0, "Image sets to send, once every camera has a subscriber; 0: no end.", minimum=0, read_only=True
    )
    joint_rate: float = setting(100.0, "Joint states a second.", minimum=1.0, maximum=1000.0, read_only=True)


_IMAGES = 8
_SETTLE_S = 2.0


def textured_images(width: int, height: int) -> list[Any]:
    """Return a few RGB images with detail at several scales, so that JPEG has something to do."""
    rng = np.random.default_rng(0)
    texture = np.zeros((height, width, 3), dtype=np.float32)
    for scale in (4, 16, 64):
        noise = rng.uniform(0, 255, size=(height // scale + 2, width // scale + 2, 3)).astype(np.float32)
        texture += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) / 3.0
    base = np.clip(texture, 0, 255).astype(np.uint8)
    return [np.ascontiguousarray(np.roll(base, 7 * i, axis=1)) for i in range(_IMAGES)]


class Load(Node):  # type: ignore[misc]
    """Publishes at fixed rates; counts what it sent."""

    def __init__(self) -> None:
        super().__init__("load")
        values = declare(self, declared(LoadSettings))
        embodiment = load_embodiment(values["embodiment"])
        if values["publish"] != "cameras":
            self._publish_joints(embodiment, values["joint_rate"])
        if values["publish"] != "joints":
            self._publish_images(embodiment, values)

    def _publish_images(self, embodiment: Embodiment, values: Mapping[str, Any]) -> None:
        compressed = values["transport"] == "compressed"
        kind, suffix = (CompressedImage, "/compressed") if compressed else (Image, "")
        self._cameras = [
            self.create_publisher(kind, f"{view}/image_raw{suffix}", qos.sensor(1)) for view in embodiment.views
        ]
        make = compressed_image_message if compressed else image_message
        # Made once: what is measured is the pipeline, not the camera driver.
        self._messages = [
            make(image, stamp_ns=0, frame_id="camera") for image in textured_images(values["width"], values["height"])
        ]
        self._sent = self._listened = 0
        self._settled = round(_SETTLE_S * values["image_rate"])
        self._count = values["count"]
        self._report = self.create_publisher(String, "load/sent", qos.latched())
        self.create_timer(1.0 / values["image_rate"], self._send_images)

    def _publish_joints(self, embodiment: Embodiment, rate: float) -> None:
        self._joints = self.create_publisher(JointState, "joint_states", qos.sensor(10))
        home = embodiment.home
        self._state = JointState(name=list(embodiment.all_joints))
        self._state.position = [home[name] for name in embodiment.all_joints]
        self._state.velocity = [0.0] * len(self._state.name)
        self.create_timer(1.0 / rate, self._send_joints)

    def _send_images(self) -> None:
        if self._count and self._sent >= self._count:
            return
        if not self._sent:
            # What nobody listens to is not lost. A publisher may know a subscription before that knows the publisher,
            # and drops what comes from a stranger.
            self._listened = self._listened + 1 if all(c.get_subscription_count() for c in self._cameras) else 0
            if self._listened < self._settled:
                return
        stamp = stamp_message(int(self.get_clock().now().nanoseconds))
        self._sent += 1
        for index, camera in enumerate(self._cameras):
            message = self._messages[(self._sent + index) % _IMAGES]
            message.header.stamp = stamp
            camera.publish(message)
        if self._sent == self._count:
            self._report.publish(String(data=str(self._sent)))

    def _send_joints(self) -> None:
        self._state.header.stamp = stamp_message(int(self.get_clock().now().nanoseconds))
        self._joints.publish(self._state)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return run(Load, args)


if __name__ == "__main__":
    sys.exit(main())
