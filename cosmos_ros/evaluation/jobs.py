"""One chunk to be evaluated: an observation, and everything that was then recorded. Self-contained, so that any worker
can score it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, Observation, UInt8Array


@dataclass(frozen=True)
class ChunkJob:
    """One chunk.

    Attributes:
        bag: Name of the recording.
        index: Number of the chunk in its recording.
        epoch: Clock resets before it.
        observation: What the live node would predict from; blank views are filled in.
        canvases: T + 1 canvases at ``stamp + k / fps``; None where nothing was recorded within half a step.
        joints: T + 1 joint states at these times; None where nothing was recorded.
        commanded: T + 1 commanded states, where the recording holds commands of another driver; else empty.
        other_actions: Normalised rows ``[T, D]`` of an earlier chunk, to be shown in place of the right ones.
    """

    bag: str
    index: int
    epoch: int
    observation: Observation
    canvases: tuple[UInt8Array | None, ...]
    joints: tuple[JointState | None, ...]
    commanded: tuple[JointState | None, ...] = ()
    other_actions: FloatArray | None = None

    @property
    def key(self) -> tuple[str, int, int]:
        """What tells chunks apart: recording, epoch, stamp."""
        return self.bag, self.epoch, self.observation.stamp_ns


@dataclass(frozen=True)
class Motion:
    """What the robot then did, as far as it was recorded without a gap from the observation on.

    Attributes:
        states: N + 1 joint states.
        actions: ``float64 [N, D]`` normalised action rows; None when they cannot be encoded, see ``reason``.
        poses: Tool link → ``float64 [N, 4, 4]`` at the steps 1 to N.
        openings: Gripper → ``float64 [N]`` at the steps 1 to N.
        joints: ``float64 [N + 1, J]`` arm joints.
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
        return len(self.states) - 1


def recorded_motion(embodiment: Embodiment, states: tuple[JointState | None, ...]) -> Motion | None:
    """Return the recorded motion of the longest gapless beginning; None when it holds no step.

    Raises:
        InputError: A joint is missing or implausible.
    """
    kept: list[JointState] = []
    for state in states:
        if state is None:
            break
        kept.append(state)
    if len(kept) < 2:
        return None
    names = embodiment.joint_names
    joints = np.array([[state.position_of(name) for name in names] for state in kept])
    poses = embodiment.poses_of(names, joints)
    openings: dict[str, list[float]] = {}
    for state in kept[1:]:
        for name, opening in embodiment.gripper_openings(state).items():
            openings.setdefault(name, []).append(opening)
    actions, reason = None, ""
    try:
        actions = embodiment.encode(kept).actions
    except InputError as error:
        reason = str(error)
    return Motion(
        states=tuple(kept),
        actions=actions,
        poses={link: matrices[1:] for link, matrices in poses.items()},
        openings={name: np.array(values) for name, values in openings.items() if len(values) == len(kept) - 1},
        joints=joints,
        reason=reason,
    )


def step_times(stamp_ns: int, steps: int, fps: float) -> Iterator[int]:
    """Yield the times of an observation and of the ``steps`` frames after it."""
    for k in range(steps + 1):
        yield stamp_ns + round(k * NANOSECONDS / fps)
