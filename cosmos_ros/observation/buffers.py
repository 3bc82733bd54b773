"""All rings of one synchroniser between two clock resets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cosmos_ros.limits import JointLimit
from cosmos_ros.observation.joint_history import JointBuffer
from cosmos_ros.observation.rings import Ring

JOINTS = "joints"
SCENE = "scene"


def image_key(view: str) -> str:
    """Stream key of a camera view."""
    return f"image:{view}"


def pose_key(link: str) -> str:
    """Stream key of a tracked link."""
    return f"tool_pose:{link}"


def width_key(gripper: str) -> str:
    """Stream key of a gripper's width."""
    return f"gripper_width:{gripper}"


class Buffers:
    """One ring a stream, and the joint buffer. Replaced whole when the clock is reset.

    Args:
        keys: Stream keys other than JOINTS.
        joints: As JointBuffer's.
        capacity, history_ns: Bounds of each ring.
        bounds: As JointBuffer's.
    """

    def __init__(
        self,
        keys: Iterable[str],
        joints: Sequence[str] | None,
        capacity: int,
        history_ns: int,
        bounds: Mapping[str, JointLimit] | None = None,
    ) -> None:
        self.rings = {key: Ring(capacity, history_ns) for key in keys}
        self.joints = JointBuffer(joints, capacity, history_ns, bounds)

    def passed(self, key: str, stamp_ns: int) -> bool:
        """Whether a stream has delivered something at or after a stamp."""
        if key == JOINTS:
            return self.joints.passed(stamp_ns)
        newest = self.rings[key].newest
        return newest is not None and newest.stamp_ns >= stamp_ns
