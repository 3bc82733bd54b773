"""What is recorded of a tool that is tracked by its pose: states between poses, in place of joint states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from cosmos_ros.errors import InputError
from cosmos_ros.messages.pose_messages import matrix_from_message
from cosmos_ros.messages.stamps import ns_from_stamp
from cosmos_ros.observation import Synchroniser
from cosmos_ros.recordings.bracket import bracket
from cosmos_ros.types import FloatArray, Observation


class Tracked:
    """Puts poses of all tools and widths of all grippers together, at the stamps of the first tool's poses.

    Args:
        links: Tracked links; the first one's stamps count.
        grippers: Grippers whose width is recorded.
        synchronisers: Are told the widths.
    """

    def __init__(self, links: Sequence[str], grippers: Sequence[str], *synchronisers: Synchroniser) -> None:
        self._links = tuple(links)
        self._grippers = tuple(grippers)
        self._synchronisers = synchronisers
        self._poses: dict[str, FloatArray] = {}
        self._widths: dict[str, float] = {}

    def clear(self) -> None:
        """Forget everything: the clock went back."""
        self._poses.clear()
        self._widths.clear()

    def add_pose(self, link: str, message: Any) -> Observation | None:
        """Take a pose that was held; return the state at its stamp once every tool and gripper is known."""
        self._poses[link] = matrix_from_message(message.pose, where="pose")
        known = len(self._poses) == len(self._links) and len(self._widths) == len(self._grippers)
        if link != self._links[0] or not known:
            return None
        stamp_ns = ns_from_stamp(message.header.stamp, where="header.stamp")
        return _state(stamp_ns, dict(self._poses), dict(self._widths))

    def add_widths(self, message: Any, *, received_ns: int) -> bool:
        """Take a JointState whose names are grippers' and whose positions are their widths in metres."""
        held = True
        for name in self._grippers:
            if name not in message.name:
                continue
            try:
                stamp_ns = ns_from_stamp(message.header.stamp, where="header.stamp")
                width = float(message.position[list(message.name).index(name)])
            except (InputError, IndexError):
                stamp_ns, width = 0, float("nan")  # the synchronisers refuse and count it
            for synchroniser in self._synchronisers:
                held = synchroniser.add_gripper_width(name, width, stamp_ns=stamp_ns, received_ns=received_ns)
            if held:
                self._widths[name] = width
        return held


def between(states: Sequence[Observation], stamp_ns: int, gap_ns: int) -> Observation | None:
    """Return the state at a time, between the two around it: linearly, and rotations by the shortest arc.

    Returns:
        None outside the states, or where the two are further apart than the gap.
    """
    around = bracket(states, stamp_ns, gap_ns)
    if around is None:
        return None
    before, after, share = around
    if before is after:
        return before
    poses = {link: _pose_between(pose, after.tool_poses[link], share) for link, pose in before.tool_poses.items()}
    widths = {
        name: width + share * (after.gripper_widths[name] - width) for name, width in before.gripper_widths.items()
    }
    return _state(stamp_ns, poses, widths)


def _pose_between(a: FloatArray, b: FloatArray, share: float) -> FloatArray:
    turn = Rotation.from_matrix(a[:3, :3].T @ b[:3, :3]).as_rotvec()
    pose = np.eye(4)
    pose[:3, :3] = a[:3, :3] @ Rotation.from_rotvec(share * turn).as_matrix()
    pose[:3, 3] = a[:3, 3] + share * (b[:3, 3] - a[:3, 3])
    return pose


def _state(stamp_ns: int, poses: Mapping[str, FloatArray], widths: Mapping[str, float]) -> Observation:
    return Observation(stamp_ns, {}, {}, None, tool_poses=poses, gripper_widths=widths)
