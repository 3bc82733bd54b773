"""One LeRobot episode to a rosbag2: images, joint states (by inverse kinematics if need be), pose, instruction."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cosmos_ros.errors import ConfigError, InputError, KinematicsError
from cosmos_ros.evaluation.results_folder import write_json
from cosmos_ros.lerobot.columns import (
    ROTATIONS,
    Damage,
    DatasetMap,
    find_map,
    first_row_in_scalar_column,
    gripper_column,
    joint_columns,
)
from cosmos_ros.lerobot.dataset import Episode, VideoSegment
from cosmos_ros.lerobot.video import frames_at
from cosmos_ros.messages.image_messages import compress
from cosmos_ros.recordings.message_types import qos
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.se3 import (
    from_euler_xyz_extrinsic,
    matrix_from_quaternion_xyzw,
    matrix_from_rotation_6d,
    pose_error,
    pose_from,
    quaternion_xyzw_from_matrix,
)
from cosmos_ros.types import NANOSECONDS, FloatArray, Int64Array, UInt8Array

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment

DEFAULT_START_NS = 1_700_000_000 * NANOSECONDS
"""Episodes carry no date; a fixed one makes an import reproducible."""

# A pose further off than this is not this robot's, or not this link's.
_POSITION_GATE = 1e-3
_ROTATION_GATE = np.radians(0.5)

Progress = Callable[[int, int], None]


@dataclass
class Motion:
    """The robot's recorded motion: columns of the JointState to write, poses, and how they came about."""

    joints: FloatArray | None
    poses: FloatArray | None
    link: str
    facts: dict[str, Any]
    damages: list[Damage]


def import_episode(
    episode: Episode,
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
    motion = _motion(episode, mapping, embodiment)
    gripper, gripper_facts = _gripper(episode, mapping, embodiment, motion.damages)

    names = embodiment.joint_names if motion.joints is not None else ()
    table = motion.joints
    if gripper is not None and gripper_joint is not None:
        names = (*names, gripper_joint)
        table = gripper[:, None] if table is None else np.column_stack([table, gripper])
    velocities = None if table is None else differentiate(episode.times_ns, table)
    if velocities is not None and gripper is not None:
        velocities[:, -1] = differentiate(episode.times_ns, gripper, monotone=True)
    text = episode.task if instruction is None else instruction

    if out.exists():
        raise InputError("exists already", where=str(out), hint="Choose another folder, or remove it.")
    try:
        counts = _write(
            episode, out, embodiment, mapping, motion, names, table, velocities, text, start_ns, jpeg_quality, progress
        )
        report = _report(episode, embodiment, mapping, motion, gripper_facts, counts, text, start_ns)
        if velocities is not None and motion.joints is not None:
            report["joints"] |= _limit_facts(embodiment, names, table, velocities)
        write_json(out / "import_report.json", report)
    except BaseException:
        shutil.rmtree(out, ignore_errors=True)  # half an episode would look like a whole one
        raise
    return report


def differentiate(times_ns: Int64Array, positions: FloatArray, *, monotone: bool = False) -> FloatArray:
    """Return velocities at the samples: the exact derivative of a curve through the positions.

    Args:
        times_ns: ``int64 [N]``.
        positions: ``float64 [N]`` or ``[N, J]``.
        monotone: Use the monotone cubic (PCHIP), which does not overshoot where a gripper's command steps, in place
            of the C² cubic spline.
    """
    from scipy.interpolate import CubicSpline, PchipInterpolator

    if len(positions) < 4:
        return np.zeros_like(positions)
    times = (times_ns - times_ns[0]) / 1e9
    curve = PchipInterpolator(times, positions) if monotone else CubicSpline(times, positions)
    return np.asarray(curve(times, 1))


# -- motion ----------------------------------------------------------------------------------------------------


def _motion(episode: Episode, mapping: DatasetMap, embodiment: Embodiment) -> Motion:
    count = len(embodiment.joint_names)
    joints, damages = joint_columns(episode, mapping, count) if count else (None, [])
    links = embodiment.tool_links
    link = mapping.link or (links[0] if links else "")
    poses = _poses(episode, mapping, damages)
    facts: dict[str, Any] = {"source": "none"}
    if joints is not None and mapping.joints is not None:
        facts = {"source": f"column {mapping.joints.column}"}
        if poses is not None and embodiment.robot is not None:
            reached = embodiment.robot.fk_batch(_whole(embodiment, joints), link)
            metres, radians = pose_error(reached, poses)
            facts["pose_check"] = {"link": link, **_residuals(metres, radians)}
    elif poses is not None and embodiment.robot is not None:
        joints, facts = _solve(episode, mapping, embodiment, poses, link)
    if joints is None and poses is None and count:
        reasons = "; ".join(f"{damage.column} {damage.reason}" for damage in damages) or "no columns are mapped"
        raise InputError(f"neither joints nor poses can be used: {reasons}", where=f"episode {episode.index}")
    return Motion(joints, poses, link, facts, damages)


def _poses(episode: Episode, mapping: DatasetMap, damages: list[Damage]) -> FloatArray | None:
    if mapping.pose is None:
        return None
    values = mapping.pose.take(episode)
    width = 3 + ROTATIONS[mapping.rotation]
    if values is None or values.shape[1] != width or not np.isfinite(values).all():
        reason = "is missing" if values is None else f"is not {width} finite numbers a row"
        damages.append(Damage(mapping.pose.column, reason))
        return None
    decoders: dict[str, Callable[[Any], FloatArray]] = {
        "euler_xyz_extrinsic": from_euler_xyz_extrinsic,
        "quaternion_xyzw": matrix_from_quaternion_xyzw,
        "rotation_6d": matrix_from_rotation_6d,
    }
    rotations = decoders[mapping.rotation](values[:, 3:])
    return np.stack([pose_from(xyz, rotation) for xyz, rotation in zip(values[:, :3], rotations, strict=True)])


def _solve(
    episode: Episode, mapping: DatasetMap, embodiment: Embodiment, poses: FloatArray, link: str
) -> tuple[FloatArray, dict[str, Any]]:
    """Joints by inverse kinematics of the recorded poses."""
    from cosmos_ros.kinematics import IkOptions, InverseKinematics

    robot = embodiment.robot
    assert robot is not None
    names = embodiment.joint_names
    home = {name: embodiment.home[name] for name in names}
    start, source, lead = np.array(list(home.values())), "the embodiment's home", 8
    found = first_row_in_scalar_column(episode, mapping, len(names))
    if found is not None:
        metres, radians = pose_error(robot.fk(dict(zip(names, found.tolist(), strict=True)), link), poses[0])
        if float(metres) < _POSITION_GATE and float(radians) < _ROTATION_GATE:
            start, lead = found, 1
            source = (
                f"frame 0 in {mapping.joints.column if mapping.joints else ''}; its forward kinematics meets the "
                f"first pose within {float(metres) * 1e3:.2g} mm"
            )
    # The postures between are not recorded, so nothing pulls a redundant arm anywhere: least motion.
    options = IkOptions(stop_position=1e-10, stop_rotation=1e-10, pull_to_start=0.0, pull_to_nominal=0.0)
    solver = InverseKinematics(robot, [link], names, nominal=home, limits=embodiment.limits.joints, options=options)
    solution = solver.solve({link: np.concatenate([np.repeat(poses[:1], lead, axis=0), poses[1:]])}, start)
    order = [solution.joint_names.index(name) for name in names]
    joints = solution.positions[lead - 1 :][:, order]
    metres, radians = pose_error(robot.fk_batch(_whole(embodiment, joints), link), poses)
    bad = (metres > _POSITION_GATE) | (radians > _ROTATION_GATE)
    if bad.any():
        row = int(np.argmax(bad))
        raise KinematicsError(
            f"{int(bad.sum())} of {len(poses)} recorded poses of {link} cannot be reached by {embodiment.name}; the "
            f"first is row {row}: {metres[row] * 1e3:.1f} mm, {np.degrees(radians[row]):.1f} degrees off",
            where=f"episode {episode.index}",
            hint="Check the embodiment, and the link and rotation in the map.",
        )
    return joints, {
        "source": "inverse kinematics",
        "link": link,
        "start": source,
        **_residuals(metres, radians),
        "note": "the path of a redundant arm's elbow is not recorded; this is the one of least motion",
    }


def _whole(embodiment: Embodiment, joints: FloatArray) -> FloatArray:
    """Arm joints ``[N, J]`` as columns of the robot model, the rest at home."""
    robot = embodiment.robot
    assert robot is not None
    home = embodiment.home
    whole = np.tile([home.get(name, 0.0) for name in robot.joint_names], (len(joints), 1))
    whole[:, [robot.joint_names.index(name) for name in embodiment.joint_names]] = joints
    return whole


def _residuals(metres: FloatArray, radians: FloatArray) -> dict[str, float]:
    return {
        "position_residual_max_mm": float(np.max(metres) * 1e3),
        "position_residual_p50_mm": float(np.median(metres) * 1e3),
        "rotation_residual_max_deg": float(np.degrees(np.max(radians))),
    }


def _gripper(
    episode: Episode, mapping: DatasetMap, embodiment: Embodiment, damages: list[Damage]
) -> tuple[FloatArray | None, dict[str, Any]]:
    if not embodiment.gripper_joints:
        return None, {"source": "none"}
    column, values, damaged = gripper_column(episode, mapping)
    damages += damaged
    if values is None:
        return None, {"source": "none"}
    name, joint = next(iter(embodiment.gripper_joints.items()))
    if mapping.gripper_is_joint:
        return values, {"source": f"column {column}", "joint": joint.joint}
    recorded = embodiment.spec.grippers[name].recorded
    if recorded is None:
        raise ConfigError(
            f"grippers.{name}.recorded is not set, so {column} cannot be read",
            where=embodiment.name,
            hint="Say in the embodiment what the numbers for closed and open are.",
        )
    fraction = (values - recorded.closed) / (recorded.open - recorded.closed)
    if (fraction < -0.05).any() or (fraction > 1.05).any():
        raise InputError(
            f"{column} goes from {values.min():g} to {values.max():g}, outside {recorded.closed:g} (closed) to "
            f"{recorded.open:g} (open)",
            where=f"episode {episode.index}",
            hint=f"Check grippers.{name}.recorded of {embodiment.name}.",
        )
    kind = "commanded, not measured" if column.startswith("action") else "measured"
    return np.asarray(joint.position(fraction)), {"source": f"column {column} ({kind})", "joint": joint.joint}


# -- writing ---------------------------------------------------------------------------------------------------


def _write(
    episode: Episode,
    out: Path,
    embodiment: Embodiment,
    mapping: DatasetMap,
    motion: Motion,
    names: tuple[str, ...],
    table: FloatArray | None,
    velocities: FloatArray | None,
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
        if table is not None:
            bag.add_topic("/joint_states", "sensor_msgs/msg/JointState", qos=[qos()])
        if motion.poses is not None:
            bag.add_topic("/tool_pose", "geometry_msgs/msg/PoseStamped", qos=[qos()])
            quaternions = quaternion_xyzw_from_matrix(motion.poses[:, :3, :3])
        for view in streams:
            bag.add_topic(image_topic(view), "sensor_msgs/msg/CompressedImage", qos=[qos(depth=5)])
        for k, offset in enumerate(episode.times_ns):
            stamp = start_ns + int(offset)
            if table is not None:
                speeds = None if velocities is None else velocities[k]
                bag.write_message("/joint_states", stamp, make.joint_state(names, table[k], speeds, stamp_ns=stamp))
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


def _frames(episode: Episode, video: VideoSegment) -> Iterator[UInt8Array | None]:
    times = video.from_s + episode.times_ns / 1e9
    return frames_at(video.path, times, 0.5 / episode.fps)


# -- report ----------------------------------------------------------------------------------------------------


def _report(
    episode: Episode,
    embodiment: Embodiment,
    mapping: DatasetMap,
    motion: Motion,
    gripper: dict[str, Any],
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
        "joints": motion.facts,
        "gripper": gripper,
        "ignored_columns": damages,
        "findings": findings,
    }


def _limit_facts(
    embodiment: Embodiment, names: tuple[str, ...], positions: FloatArray | None, velocities: FloatArray
) -> dict[str, Any]:
    assert positions is not None
    outside, fastest = [], 0.0
    for k, name in enumerate(names):
        limit = embodiment.limits.joints.get(name)
        if limit is None or name not in embodiment.joint_names:
            continue
        if (positions[:, k] < limit.lower).any() or (positions[:, k] > limit.upper).any():
            outside.append(name)
        fastest = max(fastest, float(np.abs(velocities[:, k]).max() / limit.velocity))
    return {"joints_outside_limits": outside, "highest_share_of_velocity_limit": round(fastest, 4)}
