"""One LeRobot episode to a rosbag2: images, joint states (by inverse kinematics if need be), pose, instruction."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.files import write_json
from cosmos_ros.lerobot.columns import DatasetMap, find_map
from cosmos_ros.lerobot.dataset import LeRobotEpisode, VideoSegment
from cosmos_ros.lerobot.episode_motion import EpisodeMotion, episode_motion
from cosmos_ros.lerobot.video import frames_at
from cosmos_ros.messages.image_messages import compress
from cosmos_ros.recordings.message_types import qos
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.se3 import quaternion_xyzw_from_matrix
from cosmos_ros.types import NANOSECONDS, UInt8Array

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment

DEFAULT_START_NS = 1_700_000_000 * NANOSECONDS
"""Episodes carry no date; a fixed one makes an import reproducible."""

Progress = Callable[[int, int], None]


def import_episode(
    episode: LeRobotEpisode,
    out: Path,
    embodiment: Embodiment,
    *,
    mapping: DatasetMap | None = None,
    instruction: str | None = None,
    start_ns: int = DEFAULT_START_NS,
    jpeg_quality: int = 95,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write one episode as a new rosbag2 folder and return the report, which is in it as ``import_report.json``.

    What the dataset lacks stays missing; what is damaged is left out and named in the report.

    Args:
        episode: The episode.
        out: Folder to create.
        embodiment: The robot that was recorded.
        mapping: Which columns are what; None finds a fitting map.
        instruction: Task text in place of the dataset's.
        start_ns: Stamp of the first row.
        jpeg_quality: Of the images, 1 to 100.
        progress: Called with (rows written, rows).

    Raises:
        InputError: The columns are unknown, or nothing in them can be used.
        KinematicsError: A recorded pose cannot be reached by this robot.
        ConfigError: The embodiment or the map does not fit.
        CosmosRosError: The recording cannot be written; nothing of it stays.
    """
    grippers = embodiment.gripper_joints
    if len(grippers) > 1:
        raise ConfigError(f"{embodiment.name} has {len(grippers)} grippers; one is supported", where="import-lerobot")
    gripper_joint = next((joint.joint for joint in grippers.values()), None)
    mapping = mapping or find_map(episode, embodiment.joint_names, gripper_joint)
    motion = episode_motion(episode, mapping, embodiment)
    text = episode.task if instruction is None else instruction
    if out.exists():
        raise InputError("exists already", where=str(out), hint="Choose another folder, or remove it.")
    try:
        counts = _write(episode, out, embodiment, mapping, motion, text, start_ns, jpeg_quality, progress)
        report = _report(episode, embodiment, mapping, motion, counts, text, start_ns)
        write_json(out / "import_report.json", report, sort_keys=True)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)  # half an episode would look like a whole one
        raise
    return report


# -- writing ---------------------------------------------------------------------------------------------------


def _write(
    episode: LeRobotEpisode,
    out: Path,
    embodiment: Embodiment,
    mapping: DatasetMap,
    motion: EpisodeMotion,
    text: str,
    start_ns: int,
    jpeg_quality: int,
    progress: Progress | None,
) -> dict[str, int]:
    cameras = [(mapping.view(video.key), video) for video in episode.videos]
    if len({view for view, _ in cameras}) != len(cameras):
        raise InputError(f"two cameras map to one view: {[view for view, _ in cameras]}", where=mapping.name)
    streams = {view: _frames(episode, video) for view, video in cameras}
    with BagWriter(out) as bag:
        make = bag.factory
        if text:
            bag.add_topic("/instruction", "std_msgs/msg/String", qos=[qos(latched=True, depth=1)])
            bag.write_message("/instruction", start_ns, make.string(text))
        if motion.positions is not None:
            bag.add_topic("/joint_states", "sensor_msgs/msg/JointState", qos=[qos()])
        if motion.poses is not None:
            bag.add_topic("/tool_pose", "geometry_msgs/msg/PoseStamped", qos=[qos()])
            quaternions = quaternion_xyzw_from_matrix(motion.poses[:, :3, :3])
        for view in streams:
            bag.add_topic(image_topic(view), "sensor_msgs/msg/CompressedImage", qos=[qos(depth=5)])
        for k, offset in enumerate(episode.times_ns):
            stamp = start_ns + int(offset)
            if motion.positions is not None and motion.velocities is not None:
                state = make.joint_state(motion.names, motion.positions[k], motion.velocities[k], stamp_ns=stamp)
                bag.write_message("/joint_states", stamp, state)
            if motion.poses is not None:
                pose = make.pose_stamped(
                    motion.poses[k, :3, 3], quaternions[k], stamp_ns=stamp, frame_id=embodiment.base_frame
                )
                bag.write_message("/tool_pose", stamp, pose)
            for view, frames in streams.items():
                frame = next(frames)
                if frame is not None:
                    image = make.compressed_image(
                        compress(frame, quality=jpeg_quality), stamp_ns=stamp, frame_id=f"{view}_optical_frame"
                    )
                    bag.write_message(image_topic(view), stamp, image)
            if progress is not None:
                progress(k + 1, len(episode))
        return dict(bag.counts)


def image_topic(view: str) -> str:
    """Return the topic of a view's JPEG images."""
    return f"/{view}/image_raw/compressed"


def _frames(episode: LeRobotEpisode, video: VideoSegment) -> Iterator[UInt8Array | None]:
    times = video.from_s + episode.times_ns / 1e9
    return frames_at(video.path, times, 0.5 / episode.fps)


# -- report ----------------------------------------------------------------------------------------------------


def _report(
    episode: LeRobotEpisode,
    embodiment: Embodiment,
    mapping: DatasetMap,
    motion: EpisodeMotion,
    counts: dict[str, int],
    text: str,
    start_ns: int,
) -> dict[str, Any]:
    views = {mapping.view(video.key): video.key for video in episode.videos}
    damages = [{"column": damage.column, "reason": damage.reason} for damage in motion.damages]
    findings = list(episode.findings)
    for view in views:
        lost = len(episode) - counts[image_topic(view)]
        if lost:
            findings.append(f"{lost} of {len(episode)} frames of {view} are not in the video")
    findings += [f"view {view} is not one of {embodiment.name}'s" for view in views if view not in embodiment.views]
    if not text:
        findings.append("the dataset has no task text; give one with --instruction")
    return {
        "episode": episode.index,
        "embodiment": embodiment.name,
        "map": mapping.name,
        "rows": len(episode),
        "fps": episode.fps,
        "duration_s": float(episode.times_ns[-1] - episode.times_ns[0]) / NANOSECONDS,
        "start_ns": start_ns,
        "instruction": text,
        "topics": counts,
        "views": views,
        "views_missing": sorted(set(embodiment.views) - set(views)),
        "joints": {**motion.joint_source, **(_limit_usage(embodiment, motion) if motion.arm else {})},
        "gripper": motion.gripper_source,
        "ignored_columns": damages,
        "findings": findings,
    }


def _limit_usage(embodiment: Embodiment, motion: EpisodeMotion) -> dict[str, Any]:
    assert motion.positions is not None and motion.velocities is not None
    outside, fastest = [], 0.0
    for k, name in enumerate(embodiment.joint_names):
        limit = embodiment.limits.joints.get(name)
        if limit is None:
            continue
        positions = motion.positions[:, k]
        if (positions < limit.lower).any() or (positions > limit.upper).any():
            outside.append(name)
        fastest = max(fastest, float(np.abs(motion.velocities[:, k]).max() / limit.velocity))
    return {"joints_outside_limits": outside, "highest_share_of_velocity_limit": round(fastest, 4)}
