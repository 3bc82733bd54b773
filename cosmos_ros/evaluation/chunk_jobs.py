"""One chunk to be evaluated: an observation, and everything that was then recorded. Self-contained, so that any worker
can score it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import cast

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.recordings.interpolation import RobotState
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, Observation, UInt8Array


@dataclass(frozen=True)
class RecordedMotion:
    """What the robot then did, as far as it was recorded without a gap from the observation on.

    Attributes:
        states: N + 1 joint states; none of an embodiment without joints.
        actions: ``float64 [N, D]`` normalised action rows; None when they cannot be encoded, see ``reason``.
        poses: Tool link → ``float64 [N, 4, 4]`` at the steps 1 to N.
        openings: Gripper → ``float64 [N]`` at the steps 1 to N.
        joints: ``float64 [N + 1, J]`` arm joints; J is 0 without joints.
        reason: Why there are no actions.
    """

    states: tuple[JointState, ...]
    actions: FloatArray | None
    poses: dict[str, FloatArray]
    openings: dict[str, FloatArray]
    joints: FloatArray
    reason: str = ""

    @property
    def steps(self) -> int:
        """N."""
        return len(self.joints) - 1


@dataclass(frozen=True)
class ChunkJob:
    """One chunk.

    Attributes:
        bag: Name of the recording.
        index: Number of the chunk in its recording.
        epoch: Clock resets before it.
        observation: What the live node would predict from; blank views are filled in.
        canvases: T + 1 canvases at ``stamp + k / fps``; None where nothing was recorded within half a step.
        joints: T + 1 joint states at these times (of an embodiment without joints: observations with tool poses and
            gripper widths, without images); None where nothing was recorded.
        commanded: T + 1 commanded states, where the recording holds commands of another driver; else empty.
        motion: What the robot then did, from ``joints``; None where nothing can be said, see ``motion_error``.
        motion_error: Why the joint states cannot be used; empty when they can, or when there are too few.
        other_actions: Normalised rows ``[T, D]`` of an earlier chunk, to be shown in place of the right ones.
    """

    bag: str
    index: int
    epoch: int
    observation: Observation
    canvases: tuple[UInt8Array | None, ...]
    joints: tuple[RobotState | None, ...]
    commanded: tuple[JointState | None, ...] = ()
    motion: RecordedMotion | None = None
    motion_error: str = ""
    other_actions: FloatArray | None = None

    @property
    def key(self) -> tuple[str, int, int]:
        """What identifies a chunk: recording, epoch, stamp (ns)."""
        return self.bag, self.epoch, self.observation.stamp_ns


def recorded_motion(embodiment: Embodiment, states: tuple[RobotState | None, ...]) -> RecordedMotion | None:
    """Return the recorded motion of the longest gapless beginning; None when it holds no step.

    Raises:
        InputError: A joint or pose is missing or implausible.
    """
    kept = gapless(states)
    if len(kept) < 2:
        return None
    joints, poses = joints_and_poses(embodiment, kept)
    openings: dict[str, list[float]] = {}
    for state in kept[1:]:
        for name, opening in embodiment.gripper_openings(state).items():
            openings.setdefault(name, []).append(opening)
    actions, reason = None, ""
    try:
        actions = embodiment.encode(cast("Sequence[JointState]", kept)).actions
    except InputError as error:
        reason = str(error)
    return RecordedMotion(
        states=tuple(state for state in kept if isinstance(state, JointState)),
        actions=actions,
        poses={link: matrices[1:] for link, matrices in poses.items()},
        openings={name: np.array(values) for name, values in openings.items() if len(values) == len(kept) - 1},
        joints=joints,
        reason=reason,
    )


def gapless(states: Iterable[RobotState | None]) -> list[RobotState]:
    """Return the states before the first that is missing."""
    return [state for state in takewhile(lambda state: state is not None, states) if state is not None]


def joints_and_poses(embodiment: Embodiment, states: Sequence[RobotState]) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Return arm joints ``float64 [N, J]`` and tool link → poses ``float64 [N, 4, 4]`` of recorded states."""
    if embodiment.has_joints:
        names = embodiment.joint_names
        rows = [[s.position_of(name) for name in names] for s in states if isinstance(s, JointState)]
        joints = np.array(rows, dtype=np.float64)
        return joints, embodiment.poses_of(names, joints)
    tracked = [embodiment.tool_poses(state) for state in states]
    return np.zeros((len(states), 0)), {link: np.stack([p[link] for p in tracked]) for link in embodiment.tool_links}


def step_times(stamp_ns: int, steps: int, fps: float) -> Iterator[int]:
    """Yield the times of an observation and of the ``steps`` frames after it."""
    for k in range(steps + 1):
        yield stamp_ns + round(k * NANOSECONDS / fps)
