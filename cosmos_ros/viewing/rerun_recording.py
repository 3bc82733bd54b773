"""A rosbag2 of a live run, or one annotated by the evaluation, as a Rerun recording. Needs no ROS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.recording import BagTopic
from cosmos_ros.viewing.motion_trace import MotionTrace
from cosmos_ros.viewing.rerun_feed import Feed, MotionFeed
from cosmos_ros.viewing.rerun_writer import RerunLog

_JOINT_RATE = 20.0


def write_rrd(
    bag: Path, embodiment: Embodiment, cameras: Mapping[str, str], out: Path, *, namespace: str = ""
) -> tuple[Counter[str], dict[str, str]]:
    """Write what a recording holds to an ``.rrd`` file.

    Args:
        bag: rosbag2 folder or file.
        embodiment: Of the robot.
        cameras: View → image topic; raw or compressed images are taken, whichever is there.
        out: File to write.
        namespace: Of the recorded nodes.

    Returns:
        Topic → messages shown, and concern → the last problem with it.

    Raises:
        InputError: Damaged, or nothing in it can be shown.
        ConfigError: Rerun is not installed, or the file cannot be written.
    """
    shown: Counter[str] = Counter()
    problems: dict[str, str] = {}
    log = RerunLog(embodiment)

    def report(concern: str, problem: str) -> None:
        if problem:
            problems[concern] = problem

    with BagReader(bag) as reader:
        views = {v: t for v, t in cameras.items() if _image_topic(reader.topics, _absolute(namespace, t)) is not None}
        feed = Feed(embodiment, views, log, report)
        motion = None
        if embodiment.robot is not None:
            motion = MotionFeed(MotionTrace(embodiment, rate=_JOINT_RATE), log)
        handlers = _handlers(reader.topics, embodiment, views, feed, motion, namespace)
        if not handlers:
            raise InputError("it holds no topic that can be shown", where=str(bag))
        log.save(out)
        try:
            for entry in reader.messages(list(handlers)):
                handlers[entry.topic](reader.decode(entry))
                feed.play()
                shown[entry.topic] += 1
        finally:
            # What came before a damaged place is kept.
            log.close()
    if motion is not None and motion.problem:
        problems["motion"] = motion.problem
    return shown, problems


def _handlers(
    topics: Mapping[str, BagTopic],
    embodiment: Embodiment,
    cameras: Mapping[str, str],
    feed: Feed,
    motion: MotionFeed | None,
    namespace: str,
) -> dict[str, Callable[[Any], None]]:
    wanted: dict[str, tuple[str, Callable[[Any], None]]] = {
        "predictor/rollout/image/compressed": ("sensor_msgs/msg/CompressedImage", feed.predicted),
        "predictor/rollout/contact_sheet/compressed": ("sensor_msgs/msg/CompressedImage", feed.contact_sheet),
        "predictor/rollout/markers": ("visualization_msgs/msg/MarkerArray", lambda m: feed.markers("predicted", m)),
        "scene": ("visualization_msgs/msg/MarkerArray", lambda m: feed.markers("scene", m)),
        "/diagnostics": ("diagnostic_msgs/msg/DiagnosticArray", feed.diagnostics),
    }
    if motion is not None:
        trajectory = "trajectory_msgs/msg/JointTrajectory"
        wanted["joint_states"] = ("sensor_msgs/msg/JointState", motion.joint_state)
        wanted["predictor/action_trajectory"] = (trajectory, motion.candidate)
        wanted["guard/settings"] = ("std_msgs/msg/String", motion.guard_settings)
        wanted["guard/verdict_json"] = ("std_msgs/msg/String", motion.verdict)
        for topic in ("guard/would_send", *(topic for topic, _ in embodiment.controllers)):
            wanted[topic] = (trajectory, motion.guarded)
    found: dict[str, Callable[[Any], None]] = {}
    for topic, (type_name, handler) in wanted.items():
        name = _absolute(namespace, topic)
        if name in topics and topics[name].type_name == type_name:
            found[name] = handler
    for view, topic in cameras.items():
        image = _image_topic(topics, _absolute(namespace, topic))
        if image is not None:
            compressed = topics[image].type_name.endswith("CompressedImage")
            found[image] = _camera(feed, view, compressed)
    return found


def _camera(feed: Feed, view: str, compressed: bool) -> Callable[[Any], None]:
    return lambda message: feed.image(view, message, compressed)


def _image_topic(topics: Mapping[str, BagTopic], name: str) -> str | None:
    for candidate in (f"{name}/compressed", name):
        if candidate in topics and topics[candidate].type_name in (
            "sensor_msgs/msg/Image",
            "sensor_msgs/msg/CompressedImage",
        ):
            return candidate
    return None


def _absolute(namespace: str, topic: str) -> str:
    if topic.startswith("/"):
        return topic
    return f"/{namespace.strip('/')}/{topic}" if namespace.strip("/") else f"/{topic}"
