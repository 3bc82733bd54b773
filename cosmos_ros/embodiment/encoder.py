"""Recorded robot states to normalised actions, for forward dynamics, training data and evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from cosmos_ros.embodiment.chunk_sanity import check_encoded
from cosmos_ros.embodiment.codec import RobotMotion, encode_motion
from cosmos_ros.embodiment.compiled import CompiledEmbodiment
from cosmos_ros.embodiment.robot import OPENING_SLACK, check_position
from cosmos_ros.errors import InputError
from cosmos_ros.se3 import check_poses
from cosmos_ros.types import Finding, FloatArray, JointState, Observation


@dataclass(frozen=True)
class RecordedStates:
    """T + 1 recorded states, one every 1/fps.

    Tool poses win over joints where both are given.

    Attributes:
        joint_names, joint_positions: ``float64 [T+1, J]`` rad or m; () and None where poses are recorded.
        tool_poses: Link name → ``float64 [T+1, 4, 4]`` in the base frame.
        gripper_openings: Gripper name → ``float64 [T+1]``, 0 closed, 1 open.
        gripper_widths: Gripper name → ``float64 [T+1]`` metres, in place of openings.
        findings: What their reader noticed.
    """

    joint_names: tuple[str, ...] = ()
    joint_positions: FloatArray | None = None
    tool_poses: Mapping[str, FloatArray] = field(default_factory=dict)
    gripper_openings: Mapping[str, FloatArray] = field(default_factory=dict)
    gripper_widths: Mapping[str, FloatArray] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class EncodedActions:
    """Encoded actions, before and after the normaliser and its clamp.

    Attributes:
        actions: ``float64 [T, D]`` normalised and clamped: what a model is given.
        unclamped: ``float64 [T, D]`` normalised, before the clamp.
        physical: ``float64 [T, D]`` before the normaliser.
        clamped: ``bool [T, D]``, true where the clamp changed a number.
        start_poses: Link name → ``float64 [4, 4]`` pose before the first row.
        findings: What the checks noticed.
    """

    actions: FloatArray
    unclamped: FloatArray
    physical: FloatArray
    clamped: npt.NDArray[np.bool_]
    start_poses: Mapping[str, FloatArray]
    findings: tuple[Finding, ...]

    @property
    def clamped_share(self) -> float:
        """Share of all numbers that the clamp changed."""
        return float(self.clamped.mean())


def encode_states(
    embodiment: CompiledEmbodiment, states: RecordedStates | Sequence[JointState] | Sequence[Observation]
) -> EncodedActions:
    """Encode recorded states; see ``Embodiment.encode``."""
    if not isinstance(states, RecordedStates):
        states = collect(embodiment, states)
    motion = _motion(embodiment, states)
    physical = encode_motion(embodiment.layout, motion)
    unclamped = embodiment.normaliser.normalise(physical)
    actions, clamped = embodiment.normaliser.clamp(unclamped)
    findings = check_encoded(embodiment.layout, embodiment.normaliser, physical, clamped)
    start = {link: poses[0].copy() for link, poses in motion.poses.items()}
    return EncodedActions(actions, unclamped, physical, clamped, start, states.findings + findings)


def collect(embodiment: CompiledEmbodiment, states: Sequence[JointState] | Sequence[Observation]) -> RecordedStates:
    """Return records of single states as arrays; raises InputError naming the row."""
    positions: list[list[float]] = []
    poses: dict[str, list[FloatArray]] = {}
    openings: dict[str, list[float]] = {name: [] for name in embodiment.spec.grippers}
    rows: Sequence[JointState | Observation] = states
    for row, state in enumerate(rows):
        try:
            if embodiment.has_joints:
                joints = state.joints if isinstance(state, Observation) else state
                if joints is None:
                    raise InputError("there is no joint state", where="joint_states")
                values = embodiment.joint_positions(joints)
                positions.append([values[name] for name in embodiment.joint_names])
            else:
                for link, pose in embodiment.tool_poses(state).items():
                    poses.setdefault(link, []).append(pose)
            observed = embodiment.gripper_openings(state)
            for name, values_of in openings.items():
                if name not in observed:
                    raise InputError(f"gripper {name} is not observed", where="joint_states")
                values_of.append(observed[name])
        except InputError as error:
            raise InputError(error.message, where=f"state {row}, {error.where}", hint=error.hint) from None
    return RecordedStates(
        joint_names=embodiment.joint_names,
        joint_positions=np.array(positions, dtype=np.float64) if embodiment.has_joints else None,
        tool_poses={link: np.stack(matrices) for link, matrices in poses.items()},
        gripper_openings={name: np.array(values) for name, values in openings.items()},
    )


def _motion(embodiment: CompiledEmbodiment, states: RecordedStates) -> RobotMotion:
    joints: dict[str, FloatArray] = {}
    poses: dict[str, FloatArray] = {
        link: check_poses(matrix, f"tool_poses[{link}]") for link, matrix in states.tool_poses.items()
    }
    if states.joint_positions is not None:
        joints = _joints(embodiment, states)
        if not poses and embodiment.robot is not None:
            names = embodiment.joint_names
            poses = embodiment.poses_of(names, np.stack([joints[name] for name in names], axis=1))
    return RobotMotion(poses=poses, openings=_openings(embodiment, states), joints=joints)


def _joints(embodiment: CompiledEmbodiment, states: RecordedStates) -> dict[str, FloatArray]:
    table = np.asarray(states.joint_positions, dtype=np.float64)
    names = states.joint_names
    if table.ndim != 2 or table.shape[1] != len(names):
        raise InputError(
            f"joint positions have shape {list(table.shape)}, expected [N, {len(names)}] for {', '.join(names)}",
            where="joint_positions",
        )
    if len(set(names)) != len(names):
        raise InputError(f"a name stands twice: {', '.join(names)}", where="joint_names")
    missing = [name for name in embodiment.joint_names if name not in names]
    if missing:
        raise InputError(f"joints {', '.join(missing)} are missing; there are {', '.join(names)}", where="joint_names")
    joints = {name: table[:, names.index(name)] for name in embodiment.joint_names}
    for name, column in joints.items():
        bad = np.flatnonzero(~np.isfinite(column))
        rows = bad[:1] if bad.size else np.array([int(column.argmin()), int(column.argmax())]) if column.size else bad
        for row in rows:
            check_position(name, float(column[row]), embodiment.limits.joints.get(name), f"joint_positions row {row}")
    return joints


def _openings(embodiment: CompiledEmbodiment, states: RecordedStates) -> dict[str, FloatArray]:
    openings: dict[str, FloatArray] = {}
    for name, gripper in embodiment.spec.grippers.items():
        if name in states.gripper_widths:
            if gripper.width is None:
                raise InputError(f"gripper {name} has no width in the embodiment file", where="gripper_widths")
            metres = np.asarray(states.gripper_widths[name], dtype=np.float64)
            values = gripper.width.fraction(metres)
            unit = "metres"
        elif name in states.gripper_openings:
            values = np.asarray(states.gripper_openings[name], dtype=np.float64)
            unit = "0 closed to 1 open"
        else:
            continue
        if values.ndim != 1:
            raise InputError(f"expected one number a row, got shape {list(values.shape)}", where=f"gripper {name}")
        bad = np.flatnonzero(~np.isfinite(values) | (values < -OPENING_SLACK) | (values > 1.0 + OPENING_SLACK))
        if bad.size:
            raise InputError(
                f"row {bad[0]} is an opening of {values[bad[0]]:.4g}, outside 0 (closed) to 1 (open)",
                where=f"gripper {name}",
                hint=f"Check its unit: it was read as {unit}.",
            )
        openings[name] = values
    return openings
