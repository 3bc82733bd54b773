"""What a recording of a live run says: predictions, verdicts, motion and limits, read back from its bag."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.embodiment import Embodiment, load_embodiment
from cosmos_ros.messages import (
    decode_compressed,
    joint_state_from_message,
    joint_trajectory_from_message,
    ns_from_stamp,
)
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.types import FloatArray, Int64Array, JointTrajectory, UInt8Array


@dataclass
class LiveRecording:
    """A live run, by topic. Times are nanoseconds on the node's clock.

    Attributes:
        embodiment: Of the run.
        predictions: Provenance records, in order.
        verdicts: The guard's verdicts as JSON data, in order.
        sent: Controller topic → trajectories that the guard sent.
        joint_stamps, joint_positions: ``int64 [N]`` and ``float64 [N, J]`` of the embodiment's joints.
        task: The last task status.
        image_stamps: View → stamps of its recorded images.
        bag: Where the images are; they are decoded on demand.
    """

    embodiment: Embodiment
    bag: Path
    predictions: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    sent: dict[str, list[JointTrajectory]] = field(default_factory=dict)
    joint_stamps: Int64Array = field(default_factory=lambda: np.zeros(0, np.int64))
    joint_positions: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    task: dict[str, Any] = field(default_factory=dict)
    image_stamps: dict[str, list[int]] = field(default_factory=dict)

    def responses(self) -> Counter[str]:
        """Return how often the guard answered what."""
        return Counter(str(v["response"]) for v in self.verdicts)

    def broken_limits(self) -> dict[str, int]:
        """Return joint → number of measured positions outside the embodiment's position limits."""
        limits = self.embodiment.limits.joints
        broken: dict[str, int] = {}
        for column, name in enumerate(self.embodiment.all_joints):
            limit = limits[name]
            # Contact and rounding move a joint at its bound by less than this.
            slack = 5e-4
            values = self.joint_positions[:, column]
            count = int(np.sum((values < limit.lower - slack) | (values > limit.upper + slack)))
            if count:
                broken[name] = count
        return broken

    def travel(self) -> float:
        """Return the largest range that any arm joint moved through, rad."""
        arm = len(self.embodiment.joint_names)
        if not len(self.joint_positions):
            return 0.0
        return float(np.max(np.ptp(self.joint_positions[:, :arm], axis=0)))


def read_recording(bag: Path, embodiment: str) -> LiveRecording:
    """Read everything but images.

    Raises:
        InputError: The bag is damaged or lacks joint states.
    """
    recording = LiveRecording(load_embodiment(embodiment), bag)
    controllers = {f"/guard/sent/{topic}": topic for topic, _ in recording.embodiment.controllers}
    recording.sent = {topic: [] for topic in controllers.values()}
    stamps: list[int] = []
    rows: list[FloatArray] = []
    names = recording.embodiment.all_joints
    cameras = {f"/{view}/image_raw/compressed": view for view in recording.embodiment.views}
    with BagReader(bag) as reader:
        reader.require("/joint_states", "sensor_msgs/msg/JointState")
        wanted = [
            "/joint_states",
            "/predictor/provenance",
            "/guard/verdict_json",
            "/task_status",
            *controllers,
            *cameras,
        ]
        for entry in reader.messages([topic for topic in wanted if topic in reader.topics]):
            message = reader.decode(entry)
            if entry.topic == "/joint_states":
                state = joint_state_from_message(message, joints=list(names))
                stamps.append(state.stamp_ns)
                rows.append(state.positions)
            elif entry.topic == "/predictor/provenance":
                recording.predictions.append(json.loads(message.data))
            elif entry.topic == "/guard/verdict_json":
                recording.verdicts.append(json.loads(message.data))
            elif entry.topic == "/task_status":
                recording.task = json.loads(message.data)
            elif entry.topic in controllers:
                trajectory = joint_trajectory_from_message(message, topic=entry.topic)
                recording.sent[controllers[entry.topic]].append(trajectory)
            else:
                stamp = ns_from_stamp(message.header.stamp, where=entry.topic)
                recording.image_stamps.setdefault(cameras[entry.topic], []).append(stamp)
    recording.joint_stamps = np.array(stamps, dtype=np.int64)
    recording.joint_positions = np.array(rows).reshape(len(rows), len(names))
    return recording


def read_images(bag: Path, topic: str, stamps: set[int]) -> dict[int, UInt8Array]:
    """Return stamp → ``uint8 [H, W, 3]`` RGB of the compressed images on a topic with these stamps."""
    images: dict[int, UInt8Array] = {}
    with BagReader(bag) as reader:
        if topic not in reader.topics:
            return images
        for entry in reader.messages([topic]):
            message = reader.decode(entry)
            stamp = ns_from_stamp(message.header.stamp, where=topic)
            if stamp in stamps:
                images[stamp] = decode_compressed(message, topic=topic)
    return images
