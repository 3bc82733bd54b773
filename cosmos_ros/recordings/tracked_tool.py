"""What is recorded of a tool that is tracked by its pose, in place of joint states."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cosmos_ros.errors import InputError
from cosmos_ros.messages.pose_messages import matrix_from_message
from cosmos_ros.messages.stamps import ns_from_stamp
from cosmos_ros.observation import Synchroniser
from cosmos_ros.recordings.interpolation import tracked_state
from cosmos_ros.types import FloatArray, Observation


class TrackedTools:
    """Puts poses of all tools and widths of all grippers together, at the stamps of the first tool's poses.

    Args:
        links: Tracked links; the first one's stamps count.
        grippers: Grippers whose width is recorded.
        synchronisers: Get the widths.
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
        """Take a pose that was accepted; return the state at its stamp once every tool and gripper is known."""
        self._poses[link] = matrix_from_message(message.pose, where="pose")
        known = len(self._poses) == len(self._links) and len(self._widths) == len(self._grippers)
        if link != self._links[0] or not known:
            return None
        stamp_ns = ns_from_stamp(message.header.stamp, where="header.stamp")
        return tracked_state(stamp_ns, dict(self._poses), dict(self._widths))

    def add_widths(self, message: Any, *, received_ns: int) -> bool:
        """Take a JointState whose names are grippers' and whose positions are their widths in metres."""
        accepted = True
        for name in self._grippers:
            if name not in message.name:
                continue
            try:
                stamp_ns = ns_from_stamp(message.header.stamp, where="header.stamp")
                width = float(message.position[list(message.name).index(name)])
            except (InputError, IndexError):
                stamp_ns, width = 0, float("nan")  # the synchronisers refuse and count it
            for synchroniser in self._synchronisers:
                accepted = synchroniser.add_gripper_width(name, width, stamp_ns=stamp_ns, received_ns=received_ns)
            if accepted:
                self._widths[name] = width
        return accepted
