"""The robot's motion in a LeRobot episode: joints (by inverse kinematics if need be), tool poses, gripper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cosmos_ros.errors import ConfigError, InputError, KinematicsError
from cosmos_ros.lerobot.columns import (
    DamagedColumn,
    DatasetMap,
    first_row_in_scalar_column,
    gripper_column,
    joint_columns,
)
from cosmos_ros.lerobot.dataset import LeRobotEpisode
from cosmos_ros.se3 import (
    from_euler_xyz_extrinsic,
    matrix_from_quaternion_xyzw,
    matrix_from_rotation_6d,
    pose_error,
    pose_from,
)
from cosmos_ros.types import FloatArray, Int64Array

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment

# A pose further off than this is not this robot's, or not this link's.
_POSITION_GATE_M = 1e-3
_ROTATION_GATE_RAD = np.radians(0.5)
# Rotation in the columns → numbers a row, and what makes matrices of them.
_ROTATIONS: dict[str, tuple[int, Callable[[Any], FloatArray]]] = {
    "euler_xyz_extrinsic": (3, from_euler_xyz_extrinsic),
    "quaternion_xyzw": (4, matrix_from_quaternion_xyzw),
    "rotation_6d": (6, matrix_from_rotation_6d),
}


@dataclass(frozen=True)
class EpisodeMotion:
    """The robot's recorded motion, and how it came about.

    Attributes:
        names: Joints that are known, the arm's and then the gripper's; empty for none.
        positions: ``float64 [N, J]`` of these joints, rad or m; None for none.
        velocities: ``float64 [N, J]``, rad/s or m/s; None for none.
        arm: The arm's joints are among them.
        poses: ``float64 [N, 4, 4]`` of the tool link in the base frame; None where the dataset has none.
        joint_source: Where the arm's joints are from, and how well they fit the poses.
        gripper_source: Where the gripper's joint is from.
        damages: Columns that could not be used.
    """

    names: tuple[str, ...]
    positions: FloatArray | None
    velocities: FloatArray | None
    arm: bool
    poses: FloatArray | None
    joint_source: dict[str, Any]
    gripper_source: dict[str, Any]
    damages: list[DamagedColumn]


def episode_motion(episode: LeRobotEpisode, mapping: DatasetMap, embodiment: Embodiment) -> EpisodeMotion:
    """Return the motion of one episode; joints that are missing or damaged are solved from the poses.

    Raises:
        InputError: Neither joints nor poses can be used, or a gripper's numbers are of another convention.
        KinematicsError: A recorded pose cannot be reached by this robot.
        ConfigError: The embodiment does not say what the gripper's numbers are.
    """
    count = len(embodiment.joint_names)
    joints, damages = joint_columns(episode, mapping, count) if count else (None, [])
    links = embodiment.tool_links
    link = (mapping.pose and mapping.pose.link) or (links[0] if links else "")
    poses = _poses(episode, mapping, damages)
    source: dict[str, Any] = {"source": "none"}
    if joints is not None and mapping.joints is not None:
        source = {"source": f"column {mapping.joints.column}"}
        if poses is not None and embodiment.robot is not None:
            reached = embodiment.robot.fk_batch(_whole(embodiment, joints), link)
            source["pose_check"] = {"link": link, **_residuals(*pose_error(reached, poses))}
    elif poses is not None and embodiment.robot is not None:
        joints, source = _solve(episode, mapping, embodiment, poses, link)
    if joints is None and poses is None and count:
        reasons = "; ".join(f"{damage.column} {damage.reason}" for damage in damages) or "no columns are mapped"
        raise InputError(f"neither joints nor poses can be used: {reasons}", where=f"episode {episode.index}")
    gripper, gripper_source = _gripper(episode, mapping, embodiment, damages)
    names = embodiment.joint_names if joints is not None else ()
    parts = [] if joints is None else [joints]
    speeds = [differentiate(episode.times_ns, part) for part in parts]
    if gripper is not None:
        names = (*names, gripper_source["joint"])
        parts.append(gripper[:, None])
        speeds.append(differentiate(episode.times_ns, gripper[:, None], monotone=True))
    return EpisodeMotion(
        names=names,
        positions=np.hstack(parts) if parts else None,
        velocities=np.hstack(speeds) if parts else None,
        arm=joints is not None,
        poses=poses,
        joint_source=source,
        gripper_source=gripper_source,
        damages=damages,
    )


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


def _poses(episode: LeRobotEpisode, mapping: DatasetMap, damages: list[DamagedColumn]) -> FloatArray | None:
    if mapping.pose is None:
        return None
    values = mapping.pose.take(episode)
    count, matrices = _ROTATIONS[mapping.pose.rotation]
    width = 3 + count
    if values is None or values.shape[1] != width or not np.isfinite(values).all():
        reason = "is missing" if values is None else f"is not {width} finite numbers a row"
        damages.append(DamagedColumn(mapping.pose.column, reason))
        return None
    rotations = matrices(values[:, 3:])
    return np.stack([pose_from(xyz, rotation) for xyz, rotation in zip(values[:, :3], rotations, strict=True)])


def _solve(
    episode: LeRobotEpisode, mapping: DatasetMap, embodiment: Embodiment, poses: FloatArray, link: str
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
        if float(metres) < _POSITION_GATE_M and float(radians) < _ROTATION_GATE_RAD:
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
    bad = (metres > _POSITION_GATE_M) | (radians > _ROTATION_GATE_RAD)
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
    episode: LeRobotEpisode, mapping: DatasetMap, embodiment: Embodiment, damages: list[DamagedColumn]
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
