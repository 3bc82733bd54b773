"""Small recordings for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cosmos_ros.messages import compress
from cosmos_ros.recordings.message_types import qos
from cosmos_ros.recordings.writer import BagWriter

START = 1_600_000_000 * 10**9
MS = 1_000_000
JOINTS = ("j1", "j2", "gripper")


def picture(number: int, height: int = 24, width: int = 32) -> np.ndarray:
    """A smooth image that tells its number."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 3, y * 4, np.full_like(x, (number * 7) % 256)], axis=-1).astype(np.uint8)


def events(seconds: float, *, camera_delay_ms: int = 12) -> list[tuple[int, int, str, int]]:
    """(recording time, stamp, stream, number): two cameras at 30 Hz, joints at 100 Hz, as a recorder hears them."""
    rng = np.random.default_rng(1)
    found = []
    for k in range(int(seconds * 30)):
        stamp = START + round(k * 1e9 / 30)
        found.append((stamp + camera_delay_ms * MS + int(rng.integers(0, 4 * MS)), stamp, "front", k))
        stamp += 11 * MS
        found.append((stamp + 7 * MS + int(rng.integers(0, 4 * MS)), stamp, "wrist", k))
    for k in range(int(seconds * 100)):
        stamp = START + k * 10 * MS
        found.append((stamp + MS, stamp, "joints", k))
    return sorted(found)


def write(path: Path, seconds: float = 1.0, *, instruction: str = "put the cube in the bin", **keywords) -> Path:
    """Write a recording of ``events``."""
    with BagWriter(path, **keywords) as bag:
        fill(bag, seconds, instruction)
    return path


def fill(bag: BagWriter, seconds: float, instruction: str = "put the cube in the bin", offset_ns: int = 0) -> None:
    """Write ``events`` into an open recording, moved by an offset."""
    make = bag.factory
    bag.add_topic("/instruction", "std_msgs/msg/String", qos=[qos(latched=True, depth=1)])
    bag.add_topic("/joint_states", "sensor_msgs/msg/JointState", qos=[qos()])
    bag.add_topic("/front/image_raw/compressed", "sensor_msgs/msg/CompressedImage", qos=[qos(reliable=False)])
    bag.add_topic("/wrist/image_raw", "sensor_msgs/msg/Image")
    bag.write_message("/instruction", START + offset_ns, make.string(instruction))
    for log_ns, stamp, stream, k in events(seconds):
        log_ns, stamp = log_ns + offset_ns, stamp + offset_ns
        if stream == "front":
            image = make.compressed_image(compress(picture(k), image_format="png"), stamp_ns=stamp, frame_id="front")
            bag.write_message("/front/image_raw/compressed", log_ns, image)
        elif stream == "wrist":
            bag.write_message("/wrist/image_raw", log_ns, raw_image(bag, picture(k), stamp))
        else:
            state = make.joint_state(JOINTS, np.array([k, -k, 0.04]), np.array([1.0, 2.0, 0.0]), stamp_ns=stamp)
            bag.write_message("/joint_states", log_ns, state)


def raw_image(bag: BagWriter, pixels: np.ndarray, stamp_ns: int):
    """A sensor_msgs/Image of a recording's types."""
    height, width = pixels.shape[:2]
    return bag.types.types["sensor_msgs/msg/Image"](
        header=bag.factory.header(stamp_ns, "wrist"), height=height, width=width, encoding="rgb8", is_bigendian=0,
        step=3 * width, data=np.ascontiguousarray(pixels).reshape(-1),
    )  # fmt: skip
