"""What will be executed before a world model's answer takes over, in the model's own rows: real-time chunking.

A model that is given these rows begins its answer with them and continues them, so that the answer joins what is then
being executed without a change of mind (Black et al., "Real-Time Execution of Action Chunking Flow Policies", 2025).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import Any

import numpy as np

from cosmos_ros.embodiment import Embodiment, RecordedStates
from cosmos_ros.errors import InputError
from cosmos_ros.trajectory.joiner import Joiner, JoinSettings
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, Observation


@dataclass(frozen=True)
class CommittedMotion:
    """What a request tells about the motion that is being executed.

    Attributes:
        rows: ``float64 [k, D]`` normalised rows, clamped where the domain does; None for none.
        joints: ``float64 [k, J]`` arm joints at the end of each row, in the embodiment's order.
        openings: Gripper → opening commanded at the observation, 0 closed to 1 open, of grippers that were commanded.
        record: JSON-serialisable; with the commands in a recording it gives the same rows again.
    """

    rows: FloatArray | None = None
    joints: FloatArray | None = None
    openings: Mapping[str, float] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)


def committed_motion(
    embodiment: Embodiment,
    joiner: Joiner,
    observation: Observation,
    chunk_size: int,
    settings: JoinSettings,
    delay: float | None,
) -> CommittedMotion:
    """Return what is executed from an observation until its answer is expected to take over.

    The rows begin where the robot was observed and go on as it is commanded to, in the way in which ``Joiner.ahead``
    says it; they cover the expected delay, rounded up to whole rows, up to half of the chunk. A row's gripper column is
    the opening commanded at the row's end; of a gripper that was never commanded, the one observed.

    Args:
        embodiment: Of the observation.
        joiner: Knows what is executed.
        observation: What the model will be asked about.
        chunk_size: T.
        settings: How the answer will be joined.
        delay: Seconds until the answer is expected to take over (``Joiner.expected_delay``); None commits nothing.
    """
    if observation.joints is None or not embodiment.has_joints:
        return CommittedMotion()
    stamp, executed = observation.stamp_ns, joiner.executed
    commanded = executed.at(stamp)
    openings: dict[str, float] = {}
    if commanded is not None:
        found = dict(zip(commanded.joint_names, commanded.positions.tolist(), strict=True))
        openings = {
            name: float(np.clip(gripper.fraction(found[gripper.joint]), 0.0, 1.0))
            for name, gripper in embodiment.gripper_joints.items()
            if gripper.joint in found
        }
    count = 0 if delay is None else min(ceil(delay * embodiment.fps - 1e-6), chunk_size - 1, chunk_size // 2)
    if count < 1:
        return CommittedMotion(openings=openings)
    instants = [stamp + round(i * NANOSECONDS / embodiment.fps) for i in range(count + 1)]
    observed = JointState(stamp, observation.joints.names, observation.joints.positions)
    path = joiner.ahead(observed, instants, settings)
    if path is None or any(name not in observed.names for name in embodiment.joint_names):
        return CommittedMotion(openings=openings)
    arm = path[:, [observed.names.index(name) for name in embodiment.joint_names]]
    rows = _rows(embodiment, observation, arm, dict(zip(observed.names, path.T, strict=True)))
    if rows is None:
        return CommittedMotion(openings=openings)
    stamps = sorted({command.trajectory.stamp_ns for command in executed.current})
    return CommittedMotion(
        rows, arm[1:], openings, {"rows": count, "expected_delay": delay, "executing_stamps_ns": stamps}
    )


def _rows(
    embodiment: Embodiment, observation: Observation, arm: FloatArray, path: Mapping[str, FloatArray]
) -> FloatArray | None:
    """Return the rows of arm joints ``[k+1, J]`` and of a path ``[k+1]`` by joint; None where it is absurd."""
    fingers: dict[str, FloatArray] = {}
    for grip in embodiment.layout.grips:
        joint = embodiment.gripper_joints.get(grip.gripper)
        if joint is not None and joint.joint in path:
            opening = np.clip(joint.fraction(path[joint.joint]), 0.0, 1.0)
            # The encoder reads row k of a recording where the layout says so; the command is that of the row's end.
            fingers[grip.gripper] = np.append(opening[1:], opening[-1]) if grip.offset == 0 else opening
    try:
        seen = embodiment.gripper_openings(observation)
        fingers = {name: np.full(len(arm), opening) for name, opening in seen.items()} | fingers
        states = RecordedStates(joint_names=embodiment.joint_names, joint_positions=arm, gripper_openings=fingers)
        return embodiment.encode(states).actions
    except InputError:
        return None
