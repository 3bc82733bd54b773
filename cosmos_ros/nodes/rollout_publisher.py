"""Publishes a prediction for people: frames with their future stamps, a contact sheet, the tool path, a ghost robot.

All of it only when somebody subscribes, and off the executor's thread. What the robot and the guard did with it is
shown by a process of its own (``visualizer.py``).
"""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import JointState
from visualization_msgs.msg import MarkerArray

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.messages import joint_state_message
from cosmos_ros.nodes import qos
from cosmos_ros.nodes.image_publisher import ImagePublisher
from cosmos_ros.prediction.pipeline import Prediction
from cosmos_ros.types import NANOSECONDS
from cosmos_ros.types import JointState as JointStateRecord
from cosmos_ros.viewing.contact_sheet import rollout_sheet
from cosmos_ros.viewing.marker_messages import predicted_path

FRAME_ID = "prediction"


class RolloutPublisher:
    """Owns the ``~/rollout/...`` topics of a node."""

    def __init__(self, node: Any, embodiment: Embodiment) -> None:
        self._base_frame = embodiment.base_frame
        count = embodiment.chunk_size + 1
        self._frames = ImagePublisher(node, "~/rollout/image", qos.reliable(count))
        self._sheet = ImagePublisher(node, "~/rollout/contact_sheet", qos.latched())
        self._markers = node.create_publisher(MarkerArray, "~/rollout/markers", qos.reliable())
        self._ghost = node.create_publisher(JointState, "~/rollout/joint_states", qos.reliable(count))
        self.publishers = (*self._frames.publishers, *self._sheet.publishers, self._markers, self._ghost)

    @property
    def wanted(self) -> bool:
        """True when any of the topics has a subscriber."""
        return any(publisher.get_subscription_count() for publisher in self.publishers)

    def publish(self, prediction: Prediction) -> None:
        """Publish what somebody subscribes to."""
        frames = prediction.rollout.frames
        fps = prediction.request.fps
        title = "SCRIPTED, not predicted" if prediction.input_provenance["scripted"] else ""
        if frames is not None:
            # Everything is encoded before anything is sent, so that subscribers get a rollout in one burst.
            messages: list[tuple[Any, Any]] = []
            for index, frame in enumerate(frames):
                stamp = prediction.stamp_ns + round(index * NANOSECONDS / fps)
                messages += self._frames.encoded(frame, stamp, FRAME_ID)
            if self._sheet.wanted:
                messages += self._sheet.encoded(rollout_sheet(frames, fps, title=title), prediction.stamp_ns, FRAME_ID)
            for publisher, message in messages:
                publisher.publish(message)
        if prediction.chunk is not None and self._markers.get_subscription_count():
            self._markers.publish(predicted_path(prediction.chunk, self._base_frame))
        trajectory = prediction.trajectory
        if trajectory is not None and self._ghost.get_subscription_count():
            for index, time_ns in enumerate(trajectory.times_ns):
                velocities = None if trajectory.velocities is None else trajectory.velocities[index]
                stamp = trajectory.stamp_ns + int(time_ns)
                state = JointStateRecord(stamp, trajectory.joint_names, trajectory.positions[index], velocities)
                self._ghost.publish(joint_state_message(state))
