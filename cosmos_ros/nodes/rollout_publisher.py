"""Publishes a prediction for people: frames with their future stamps, a contact sheet, the tool path, a ghost robot.

All of it only when somebody subscribes, and off the executor's thread. What the robot and the guard did with it is
shown by a process of its own (``visualizer.py``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sensor_msgs.msg import CompressedImage, Image, JointState
from visualization_msgs.msg import MarkerArray

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.messages import compressed_image_message, image_message, joint_state_message
from cosmos_ros.nodes import qos
from cosmos_ros.prediction.pipeline import Prediction
from cosmos_ros.types import NANOSECONDS, UInt8Array
from cosmos_ros.types import JointState as JointStateRecord
from cosmos_ros.viewing.contact_sheet import rollout_sheet
from cosmos_ros.viewing.marker_messages import predicted_path

FRAME_ID = "prediction"


class RolloutPublisher:
    """Owns the ``~/rollout/...`` topics of a node."""

    def __init__(self, node: Any, embodiment: Embodiment) -> None:
        self._embodiment = embodiment
        frames = len_frames(embodiment)
        self._image = node.create_publisher(Image, "~/rollout/image", qos.reliable(frames))
        self._compressed = node.create_publisher(CompressedImage, "~/rollout/image/compressed", qos.reliable(frames))
        self._sheet = node.create_publisher(Image, "~/rollout/contact_sheet", qos.latched())
        self._sheet_compressed = node.create_publisher(
            CompressedImage, "~/rollout/contact_sheet/compressed", qos.latched()
        )
        self._markers = node.create_publisher(MarkerArray, "~/rollout/markers", qos.reliable())
        self._ghost = node.create_publisher(JointState, "~/rollout/joint_states", qos.reliable(frames))
        self.publishers = (
            self._image,
            self._compressed,
            self._sheet,
            self._sheet_compressed,
            self._markers,
            self._ghost,
        )

    @property
    def wanted(self) -> bool:
        """True when any of the topics has a subscriber."""
        return any(publisher.get_subscription_count() for publisher in self.publishers)

    def publish(self, prediction: Prediction) -> None:
        """Publish what somebody subscribes to."""
        frames = prediction.rollout.frames
        fps = prediction.request.fps
        title = "SCRIPTED, not predicted" if prediction.facts["scripted"] else ""
        if frames is not None:
            # Everything is encoded before anything is sent, so that subscribers get a rollout in one burst.
            messages: list[tuple[Any, Any]] = []
            for index, frame in enumerate(frames):
                stamp = prediction.stamp_ns + round(index * NANOSECONDS / fps)
                messages += self._encoded(self._image, self._compressed, frame, stamp)
            if self._sheet.get_subscription_count() or self._sheet_compressed.get_subscription_count():
                sheet = rollout_sheet(frames, fps, title=title)
                messages += self._encoded(self._sheet, self._sheet_compressed, sheet, prediction.stamp_ns)
            for publisher, message in messages:
                publisher.publish(message)
        if prediction.chunk is not None and self._markers.get_subscription_count():
            self._markers.publish(predicted_path(prediction.chunk, self._embodiment.base_frame))
        if prediction.trajectory is not None and self._ghost.get_subscription_count():
            trajectory = prediction.trajectory
            for index in range(len(trajectory.times_ns)):
                self._ghost.publish(
                    joint_state_message(
                        JointStateRecord(
                            trajectory.stamp_ns + int(trajectory.times_ns[index]),
                            trajectory.joint_names,
                            trajectory.positions[index],
                            None if trajectory.velocities is None else trajectory.velocities[index],
                        )
                    )
                )

    @staticmethod
    def _encoded(raw: Any, compressed: Any, image: UInt8Array, stamp_ns: int) -> Iterator[tuple[Any, Any]]:
        if raw.get_subscription_count():
            yield raw, image_message(image, stamp_ns=stamp_ns, frame_id=FRAME_ID)
        if compressed.get_subscription_count():
            yield compressed, compressed_image_message(image, stamp_ns=stamp_ns, frame_id=FRAME_ID)


def len_frames(embodiment: Embodiment) -> int:
    """Return how many frames a rollout has: one more than action rows."""
    return int(embodiment.chunk_size) + 1
