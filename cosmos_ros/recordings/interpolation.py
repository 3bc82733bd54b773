"""Recorded robot states at times between them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from cosmos_ros.types import FloatArray, JointState, Observation

RobotState = JointState | Observation


def interpolate(states: Iterable[RobotState], stamp_ns: int, gap_ns: int) -> RobotState | None:
    """Return the state at a time, linearly between the two around it; rotations turn by the shortest arc.

    Args:
        states: Joint states, or observations with tool poses (m, base frame) and gripper widths (m), of increasing
            stamps.
        stamp_ns: The time.
        gap_ns: How far the two may be apart.

    Returns:
        None outside the states, across a gap, or where the two name different joints.
    """
    known = list(states)  # in a deque the search would walk
    place = bisect_left(known, stamp_ns, key=lambda state: state.stamp_ns)
    if place < len(known) and known[place].stamp_ns == stamp_ns:
        return known[place]
    if not 0 < place < len(known):
        return None
    before, after = known[place - 1], known[place]
    span = after.stamp_ns - before.stamp_ns
    if span > gap_ns:
        return None
    share = (stamp_ns - before.stamp_ns) / span
    if isinstance(before, JointState) and isinstance(after, JointState):
        if before.names != after.names:
            return None
        return JointState(stamp_ns, before.names, before.positions + share * (after.positions - before.positions))
    assert isinstance(before, Observation) and isinstance(after, Observation)
    poses = {link: _pose_between(pose, after.tool_poses[link], share) for link, pose in before.tool_poses.items()}
    widths = {
        name: width + share * (after.gripper_widths[name] - width) for name, width in before.gripper_widths.items()
    }
    return tracked_state(stamp_ns, poses, widths)


def tracked_state(stamp_ns: int, poses: Mapping[str, FloatArray], widths: Mapping[str, float]) -> Observation:
    """Return tool poses ``float64 [4, 4]`` and gripper widths (m) as an observation without images."""
    return Observation(stamp_ns, {}, {}, None, tool_poses=poses, gripper_widths=widths)


def _pose_between(a: FloatArray, b: FloatArray, share: float) -> FloatArray:
    turn = Rotation.from_matrix(a[:3, :3].T @ b[:3, :3]).as_rotvec()
    pose = np.eye(4)
    pose[:3, :3] = a[:3, :3] @ Rotation.from_rotvec(share * turn).as_matrix()
    pose[:3, 3] = a[:3, 3] + share * (b[:3, 3] - a[:3, 3])
    return pose
