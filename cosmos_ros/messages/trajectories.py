"""``JointTrajectory`` and ``MultiDOFJointTrajectory`` messages to records and back, with integer times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.messages.joint_messages import check_names, doubles
from cosmos_ros.messages.pose_messages import transform_message
from cosmos_ros.messages.stamps import duration_message, ns_from_duration, ns_from_stamp, stamp_message
from cosmos_ros.types import ActionChunk, FloatArray, JointTrajectory

MAX_POINTS = 100_000


def joint_trajectory_from_message(message: Any, *, topic: str = "joint_trajectory") -> JointTrajectory:
    """Return a JointTrajectory record of a message, unjudged.

    Numbers pass as they are, NaN and times that run backwards included: judging them is the guard's task, which must
    be able to hold them. Only what the record cannot hold is refused.

    Raises:
        InputError: Bad stamp, missing or duplicate names, points whose lengths differ from the number of joints,
            velocities or accelerations on some points only, efforts, too many points; names the point.
    """
    stamp_ns = ns_from_stamp(message.header.stamp, where=f"{topic} header.stamp")
    names = check_names(message.joint_names, where=f"{topic} joint_names")
    points = message.points
    if len(points) > MAX_POINTS:
        raise InputError(f"{len(points)} points are more than {MAX_POINTS}", where=f"{topic} points")
    times = np.empty(len(points), np.int64)
    for k, point in enumerate(points):
        times[k] = ns_from_duration(point.time_from_start, where=f"{topic} points[{k}].time_from_start")
        if len(point.effort):
            raise InputError(
                "efforts are not supported",
                where=f"{topic} points[{k}].effort",
                hint="Send positions, velocities and accelerations.",
            )
    if len(points) and len(points[0].positions) == 0:
        raise InputError("the point has no positions", where=f"{topic} points[0].positions")
    positions = _rows(points, "positions", names, topic)
    velocities = _rows(points, "velocities", names, topic)
    accelerations = _rows(points, "accelerations", names, topic)
    if accelerations is not None and velocities is None:
        raise InputError("there are accelerations but no velocities", where=f"{topic} points[0].velocities")
    return JointTrajectory(
        joint_names=names,
        stamp_ns=stamp_ns,
        times_ns=times,
        positions=np.empty((0, len(names))) if positions is None else positions,
        velocities=velocities,
        accelerations=accelerations,
    )


def joint_trajectory_message(trajectory: JointTrajectory) -> Any:
    """Return a ``trajectory_msgs/msg/JointTrajectory``; needs ROS.

    Raises:
        InputError: The record's arrays do not fit together, or a number is not finite.
    """
    from std_msgs.msg import Header
    from trajectory_msgs.msg import JointTrajectory as Message
    from trajectory_msgs.msg import JointTrajectoryPoint

    _check_record(trajectory)
    points = []
    for k, time_ns in enumerate(trajectory.times_ns):
        points.append(
            JointTrajectoryPoint(
                positions=doubles(trajectory.positions[k]),
                velocities=doubles(None if trajectory.velocities is None else trajectory.velocities[k]),
                accelerations=doubles(None if trajectory.accelerations is None else trajectory.accelerations[k]),
                time_from_start=duration_message(int(time_ns)),
            )
        )
    return Message(
        header=Header(stamp=stamp_message(trajectory.stamp_ns)),
        joint_names=list(trajectory.joint_names),
        points=points,
    )


def action_poses_message(chunk: ActionChunk, *, frame_id: str) -> Any:
    """Return a chunk's tool poses as ``trajectory_msgs/msg/MultiDOFJointTrajectory``; needs ROS.

    ``joint_names`` holds the link names in sorted order; the first point is the start pose at time zero.

    Args:
        chunk: The chunk; ``start_poses`` and ``poses`` name the same links.
        frame_id: The robot's base frame.

    Raises:
        InputError: Links or lengths do not match, or a number is not finite.
    """
    from std_msgs.msg import Header
    from trajectory_msgs.msg import MultiDOFJointTrajectory, MultiDOFJointTrajectoryPoint

    links = sorted(chunk.poses)
    if links != sorted(chunk.start_poses):
        raise InputError(f"poses name {links}, start_poses {sorted(chunk.start_poses)}", where="action chunk poses")
    for link in links:
        if chunk.poses[link].shape != (len(chunk.times_ns), 4, 4):
            raise InputError(
                f"shape {list(chunk.poses[link].shape)} does not fit {len(chunk.times_ns)} times",
                where=f"action chunk poses[{link}]",
            )
    points = [
        MultiDOFJointTrajectoryPoint(
            transforms=[transform_message(chunk.start_poses[link], where=f"start_poses[{link}]") for link in links],
            time_from_start=duration_message(0),
        )
    ]
    for k, time_ns in enumerate(chunk.times_ns):
        points.append(
            MultiDOFJointTrajectoryPoint(
                transforms=[transform_message(chunk.poses[link][k], where=f"poses[{link}][{k}]") for link in links],
                time_from_start=duration_message(int(time_ns)),
            )
        )
    return MultiDOFJointTrajectory(
        header=Header(stamp=stamp_message(chunk.stamp_ns), frame_id=frame_id), joint_names=links, points=points
    )


def _rows(points: Sequence[Any], name: str, joints: tuple[str, ...], topic: str) -> FloatArray | None:
    """One quantity of all points as ``[N, J]``, or None where no point has it."""
    lengths = [len(getattr(point, name)) for point in points]
    if not any(lengths):
        return None
    for k, length in enumerate(lengths):
        if length != len(joints):
            raise InputError(
                f"{length} {name} for {len(joints)} joints",
                where=f"{topic} points[{k}].{name}",
                hint=f"Give {name} for every joint of every point, or for none.",
            )
    try:
        return np.array([getattr(point, name) for point in points], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"not numbers: {error}", where=f"{topic} points.{name}") from error


def _check_record(trajectory: JointTrajectory) -> None:
    shape = (len(trajectory.times_ns), len(trajectory.joint_names))
    for name in ("positions", "velocities", "accelerations"):
        values: FloatArray | None = getattr(trajectory, name)
        if values is None:
            continue
        if values.shape != shape:
            raise InputError(f"shape {list(values.shape)} is not {list(shape)}", where=f"trajectory {name}")
        if not np.isfinite(values).all():
            k, j = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise InputError(
                f"joint {trajectory.joint_names[j]!r} is {values[k, j]} at point {k}", where=f"trajectory {name}"
            )
