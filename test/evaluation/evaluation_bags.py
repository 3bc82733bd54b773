"""Small recordings of a Panda with known motion and known pictures, for the tests of evaluations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.messages import compress
from cosmos_ros.recordings.message_types import qos
from cosmos_ros.recordings.writer import BagWriter

START = 1_700_000_000 * 10**9
FPS = 15
VIEW = "exterior_2"
TOPIC = f"/{VIEW}/image_raw"
CAMERAS = {VIEW: TOPIC}
RATE = 0.3
HEIGHT, WIDTH = 48, 64
TEXTURE = cv2.GaussianBlur(
    np.random.default_rng(7).integers(0, 256, size=(HEIGHT, WIDTH, 3), dtype=np.uint8), (0, 0), 2.0
)


def picture(number: int) -> np.ndarray:
    """The picture of one control step: a texture that goes round."""
    return np.roll(TEXTURE, number, axis=1)


def joints_at(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Home, but the last arm joint turns evenly: the tool's twist is constant."""
    embodiment = load_embodiment("franka")
    q = np.array([embodiment.home[name] for name in embodiment.all_joints])
    rates = np.zeros_like(q)
    q[6] += RATE * seconds
    rates[6] = RATE
    return q, rates


def write(
    path: Path,
    *,
    steps: int = 54,
    offset_ns: int = 0,
    skip_frames: Iterable[int] = (),
    skip_joints: Callable[[float], bool] = lambda seconds: False,
    names: tuple[str, ...] | None = None,
    command: float | None = None,
    repeat_offset_ns: int | None = None,
    joint_topic: str = "/joint_states",
    log_offset_ns: int = 0,
    shown: Callable[[int], int] = lambda number: number,
    look: Callable[[np.ndarray, int], np.ndarray] = lambda picture, number: picture,
) -> Path:
    """Write a recording: one camera at 15 Hz, joints at 60 Hz.

    Args:
        command: Another driver commands joint 1 to stand this much beside where it is.
        repeat_offset_ns: A second run follows in the same recording, its clock moved by this.
        log_offset_ns: The recorder's clock stands this much beside that of the stamps.
        shown: Number of a picture → number that its stamp is of.
        look: What is made of a picture before it is recorded.
    """
    with BagWriter(path) as bag:
        bag.add_topic("/instruction", "std_msgs/msg/String", qos=[qos(latched=True, depth=1)])
        bag.add_topic(joint_topic, "sensor_msgs/msg/JointState", qos=[qos()])
        bag.add_topic(f"{TOPIC}/compressed", "sensor_msgs/msg/CompressedImage", qos=[qos(reliable=False)])
        if command is not None:
            bag.add_topic("/joint_trajectory", "trajectory_msgs/msg/JointTrajectory", qos=[qos()])
            _command(bag, START + offset_ns, command)
        bag.write_message("/instruction", START + offset_ns, bag.factory.string("turn the wrist"))
        _fill(bag, steps, offset_ns, log_offset_ns, set(skip_frames), skip_joints, names, joint_topic, shown, look)
        if repeat_offset_ns is not None:
            log_ns = round(steps / FPS * 1e9) + 10**9
            _fill(
                bag,
                steps,
                offset_ns + repeat_offset_ns,
                log_ns - repeat_offset_ns,
                set(),
                lambda _: False,
                names,
                joint_topic,
                shown,
                look,
            )
    return path


def _fill(bag, steps, offset_ns, log_offset_ns, skip_frames, skip_joints, names, joint_topic, shown, look) -> None:
    embodiment = load_embodiment("franka")
    events = [(START + round(k * 1e9 / FPS) + offset_ns, "image", k) for k in range(steps) if k not in skip_frames]
    for k in range(4 * steps):
        seconds = k / (4 * FPS)
        if not skip_joints(seconds):
            events.append((START + round(seconds * 1e9) + offset_ns, "joints", k))
    for stamp, kind, k in sorted(events):
        log_ns = stamp + log_offset_ns + 2_000_000
        if kind == "image":
            payload = compress(look(picture(k), k), image_format="png")
            stamp = START + round(shown(k) * 1e9 / FPS) + offset_ns
            message = bag.factory.compressed_image(payload, stamp_ns=stamp, frame_id=VIEW, image_format="png")
            bag.write_message(f"{TOPIC}/compressed", log_ns, message)
        else:
            q, rates = joints_at(k / (4 * FPS))
            state = bag.factory.joint_state(names or embodiment.all_joints, q, rates, stamp_ns=stamp)
            bag.write_message(joint_topic, log_ns, state)


def _command(bag, stamp_ns: int, beside: float) -> None:
    embodiment = load_embodiment("franka")
    types = bag.types.types
    q = joints_at(0.0)[0][:7]
    q[0] += beside
    point = types["trajectory_msgs/msg/JointTrajectoryPoint"](
        positions=q, velocities=np.zeros(7), accelerations=np.zeros(0), effort=np.zeros(0),
        time_from_start=types["builtin_interfaces/msg/Duration"](0, 0),
    )  # fmt: skip
    message = types["trajectory_msgs/msg/JointTrajectory"](
        header=bag.factory.header(stamp_ns, ""), joint_names=list(embodiment.joint_names), points=[point]
    )
    bag.write_message("/joint_trajectory", stamp_ns, message)
