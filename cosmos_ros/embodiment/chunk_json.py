"""Decoded chunks and recorded states as plain JSON, the same way in both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.embodiment.chunk_files import as_numbers, as_rows, read_json, read_table
from cosmos_ros.embodiment.compiled import CompiledEmbodiment
from cosmos_ros.embodiment.encoder import EncodedActions, RecordedStates
from cosmos_ros.errors import InputError
from cosmos_ros.se3 import from_euler_xyz_extrinsic, pose_from, quaternion_xyzw_from_matrix
from cosmos_ros.types import NANOSECONDS, ActionChunk, Finding, FloatArray

# Rows further from the domain's rate than this are another motion to the model.
RATE_TOLERANCE = 0.02

POSE_FORMATS = ("xyz_quaternion_xyzw", "xyz_quaternion_wxyz", "xyz_euler")


@dataclass(frozen=True)
class StateColumns:
    """Names of a table's columns that hold recorded states.

    Attributes:
        poses: Column with the tool pose of each row, for embodiments with one tool.
        pose_format: How its numbers are to be read: metres and a unit quaternion, or metres and Euler angles
            (rad, about the fixed axes x, y, z).
        joints: Column with the joint positions of each row, in the embodiment's joint order.
        grippers: Gripper name → column with its number in the data set's own scale (``grippers.*.recorded``).
    """

    poses: str | None = None
    pose_format: str = "xyz_quaternion_xyzw"
    joints: str | None = None
    grippers: Mapping[str, str] | None = None


def chunk_to_dict(embodiment: CompiledEmbodiment, chunk: ActionChunk) -> dict[str, Any]:
    """Return a decoded chunk as JSON-serialisable data: metres, unit quaternions (x, y, z, w), seconds, radians.

    Times and tools start with the state before the first row, at time 0; grippers and joints with the first row. It can
    be encoded again.
    """
    tools = {
        link: pose_lists(np.concatenate([chunk.start_poses[link][None], chunk.poses[link]])) for link in chunk.poses
    }
    joints = None
    if chunk.joint_positions is not None:
        joints = {"names": list(chunk.joint_names), "positions": chunk.joint_positions.tolist()}
    return {
        "embodiment": embodiment.name,
        "domain_name": embodiment.domain_name,
        "config_hash": embodiment.config_hash,
        "base_frame": embodiment.base_frame,
        "fps": embodiment.fps,
        "times": [0.0, *(chunk.times_ns / NANOSECONDS).tolist()],
        "tools": tools,
        "grippers": {
            name: {
                "openings": values.tolist(),
                "widths": chunk.gripper_widths[name].tolist() if name in chunk.gripper_widths else None,
            }
            for name, values in chunk.grippers.items()
        },
        "joints": joints,
        "findings": findings_to_list(chunk.findings),
    }


def encoded_to_dict(embodiment: CompiledEmbodiment, encoded: EncodedActions, *, physical: bool) -> dict[str, Any]:
    """Return encoded actions as JSON-serialisable data."""
    return {
        "embodiment": embodiment.name,
        "domain_name": embodiment.domain_name,
        "config_hash": embodiment.config_hash,
        "fps": embodiment.fps,
        "scale": "physical" if physical else "normalised",
        "columns": list(embodiment.layout.names),
        "actions": (encoded.physical if physical else encoded.actions).tolist(),
        "clamped_share": 0.0 if physical else encoded.clamped_share,
        "start": {link: pose_lists(pose) for link, pose in encoded.start_poses.items()},
        "findings": findings_to_list(() if physical else encoded.findings),
    }


def pose_lists(poses: FloatArray) -> dict[str, Any]:
    """Return poses ``[..., 4, 4]`` as lists of positions (m) and unit quaternions (x, y, z, w)."""
    return {
        "positions": poses[..., :3, 3].tolist(),
        "quaternions_xyzw": quaternion_xyzw_from_matrix(poses[..., :3, :3]).tolist(),
    }


def findings_to_list(findings: Sequence[Finding]) -> list[dict[str, str]]:
    """Return findings as JSON-serialisable data."""
    return [{"level": f.level, "code": f.code, "message": f.message, "where": f.where} for f in findings]


def read_states(
    embodiment: CompiledEmbodiment, path: str | Path, columns: StateColumns | None = None
) -> RecordedStates:
    """Read recorded states from a file.

    JSON: ``{"tools": {link: {"positions": rows, "quaternions_xyzw": rows}}, "grippers": {name: {"openings": values}}}``
    as the decoder writes, or ``{"joints": {"names": names, "positions": rows}, "grippers": ...}``. A gripper may give
    ``widths`` in metres in place of openings. npz and parquet: the columns named by ``columns``.

    Raises:
        InputError: Something is missing or malformed; names file and field.
    """
    file = Path(path)
    if file.suffix == ".json":
        if columns is not None and (columns.poses or columns.joints or columns.grippers):
            raise InputError("JSON has no columns; they are for npz and parquet", where=str(file))
        content = read_json(file)
        if not isinstance(content, Mapping):
            raise InputError("expected an object with tools or joints, and grippers", where=str(file))
        return _states_from_json(embodiment, content, str(file))
    return _states_from_table(embodiment, read_table(file), columns or StateColumns(), str(file))


def parse_pose(text: str, where: str) -> FloatArray:
    """Return the pose ``[4, 4]`` of ``x,y,z`` or ``x,y,z,qx,qy,qz,qw``; raises InputError."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{text!r} is not x,y,z or x,y,z,qx,qy,qz,qw", where=where) from None
    if len(numbers) not in (3, 7) or not np.isfinite(numbers).all():
        raise InputError(f"expected 3 or 7 finite numbers, got {text!r}", where=where)
    rotation = np.array(numbers[3:]) if len(numbers) == 7 else None
    try:
        return pose_from(np.array(numbers[:3]), rotation)
    except InputError as error:
        raise InputError(error.message, where=where, hint=error.hint) from None


def _states_from_json(embodiment: CompiledEmbodiment, content: Mapping[str, Any], where: str) -> RecordedStates:
    poses: dict[str, FloatArray] = {}
    for link, tool in _mapping(content, "tools", where).items():
        place = f"{where}: tools.{link}"
        positions = as_rows(_take(tool, "positions", place), f"{place}.positions")
        quaternions = as_rows(_take(tool, "quaternions_xyzw", place), f"{place}.quaternions_xyzw")
        poses[link] = _poses(positions, quaternions, place)
    joints = _mapping(content, "joints", where)
    names: tuple[str, ...] = ()
    positions_of_joints: FloatArray | None = None
    if joints:
        names = _joint_names(_take(joints, "names", f"{where}: joints"), f"{where}: joints.names")
        positions_of_joints = as_rows(_take(joints, "positions", f"{where}: joints"), f"{where}: joints.positions")
        # As the decoder writes them: from the first row on. What an action row holds are the joints after it.
        if poses and len(positions_of_joints) == len(next(iter(poses.values()))) - 1:
            positions_of_joints = np.vstack([positions_of_joints[:1], positions_of_joints])
    grippers = _mapping(content, "grippers", where)
    recorded = [*poses.values(), *([] if positions_of_joints is None else [positions_of_joints])]
    if not recorded:
        raise InputError("neither tools nor joints are given", where=where)
    openings: dict[str, FloatArray] = {}
    widths: dict[str, FloatArray] = {}
    for name, gripper in grippers.items():
        place = f"{where}: grippers.{name}"
        if name not in embodiment.spec.grippers:
            known = ", ".join(embodiment.spec.grippers) or "none"
            raise InputError(f"{embodiment.name} has no such gripper; it has {known}", where=place)
        if not isinstance(gripper, Mapping):
            raise InputError(f"expected an object with openings or widths, got {type(gripper).__name__}", where=place)
        kind = "openings" if gripper.get("openings") is not None else "widths"
        values = _numbers(_take(gripper, kind, place), f"{place}.{kind}")
        # The decoder gives one opening a row; the state before the first row is taken to be the same.
        if len(values) == len(recorded[0]) - 1:
            offset = next((g.offset for g in embodiment.layout.grips if g.gripper == name), 0)
            values = np.append(values, values[-1]) if offset == 0 else np.insert(values, 0, values[0])
        (openings if kind == "openings" else widths)[name] = values
    return RecordedStates(
        joint_names=names,
        joint_positions=positions_of_joints,
        tool_poses=poses,
        gripper_openings=openings,
        gripper_widths=widths,
        findings=_check_rate(embodiment, content.get("fps"), f"{where}: fps"),
    )


def _states_from_table(
    embodiment: CompiledEmbodiment, table: Mapping[str, Any], columns: StateColumns, where: str
) -> RecordedStates:
    poses: dict[str, FloatArray] = {}
    if columns.poses is not None:
        if len(embodiment.tool_links) != 1:
            raise InputError(
                f"a pose column is for one tool; {embodiment.name} has {', '.join(embodiment.tool_links)}",
                where=where,
                hint="Give joints, or JSON.",
            )
        rows = as_rows(_take(table, columns.poses, where), f"{where}: {columns.poses}")
        poses[embodiment.tool_links[0]] = _pose_rows(rows, columns.pose_format, f"{where}: {columns.poses}")
    joints: FloatArray | None = None
    if columns.joints is not None:
        joints = as_rows(_take(table, columns.joints, where), f"{where}: {columns.joints}")
    if not poses and joints is None:
        raise InputError(f"no column given; there are {', '.join(sorted(table))}", where=where)
    openings = {
        name: recorded_openings(embodiment, name, _numbers(_take(table, column, where), f"{where}: {column}"))
        for name, column in (columns.grippers or {}).items()
    }
    return RecordedStates(
        joint_names=embodiment.joint_names if joints is not None else (),
        joint_positions=joints,
        tool_poses=poses,
        gripper_openings=openings,
        findings=_check_rate(embodiment, _rate_of(table, where), f"{where}: timestamp"),
    )


def _rate_of(table: Mapping[str, Any], where: str) -> float | None:
    """Return rows a second by the column ``timestamp`` (s), as LeRobot data sets have it; None without one."""
    if "timestamp" not in table:
        return None
    steps = np.diff(_numbers(table["timestamp"], f"{where}: timestamp"))
    step = float(np.median(steps)) if len(steps) else 0.0
    return 1.0 / step if step > 0.0 else None


def _check_rate(embodiment: CompiledEmbodiment, rate: Any, where: str) -> tuple[Finding, ...]:
    """Return a finding when rows are not one every 1/fps; action rows would be steps of another length."""
    if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not rate > 0.0:
        return ()
    if abs(rate / embodiment.fps - 1.0) <= RATE_TOLERANCE:
        return ()
    text = (
        f"the file has {rate:.4g} rows a second and {embodiment.name} {embodiment.fps:g}: each action is "
        f"{embodiment.fps / rate:.3g} of the step that the model was trained with; resample the recording"
    )
    return (Finding("warning", "rate", text, where),)


def recorded_openings(embodiment: CompiledEmbodiment, gripper: str, values: FloatArray) -> FloatArray:
    """Return openings (0 closed, 1 open) of a gripper's numbers in the data set's own scale.

    Raises:
        InputError: Unknown gripper, or the file does not say the scale.
    """
    if gripper not in embodiment.spec.grippers:
        raise InputError(f"no gripper {gripper}; there are {', '.join(embodiment.spec.grippers)}", where="grippers")
    scale = embodiment.spec.grippers[gripper].recorded
    if scale is None:
        raise InputError(f"gripper {gripper} has no `recorded` scale in {embodiment.path.name}", where="grippers")
    return scale.fraction(np.asarray(values, dtype=np.float64))


def _pose_rows(rows: FloatArray, pose_format: str, where: str) -> FloatArray:
    width = {"xyz_euler": 6}.get(pose_format, 7)
    if pose_format not in POSE_FORMATS:
        raise InputError(f"unknown pose format {pose_format!r}; allowed: {', '.join(POSE_FORMATS)}", where=where)
    if rows.shape[1] != width:
        raise InputError(f"{pose_format} needs {width} numbers a row, got {rows.shape[1]}", where=where)
    if pose_format == "xyz_euler":
        return pose_from(rows[:, :3], from_euler_xyz_extrinsic(rows[:, 3:]))
    quaternions = rows[:, 3:] if pose_format == "xyz_quaternion_xyzw" else rows[:, [4, 5, 6, 3]]
    return _poses(rows[:, :3], quaternions, where)


def _poses(positions: FloatArray, quaternions: FloatArray, where: str) -> FloatArray:
    if positions.shape[1:] != (3,) or quaternions.shape != (len(positions), 4):
        raise InputError(
            f"expected [N, 3] positions and [N, 4] quaternions, got {list(positions.shape)} and "
            f"{list(quaternions.shape)}",
            where=where,
        )
    try:
        return pose_from(positions, quaternions)
    except InputError as error:
        raise InputError(error.message, where=f"{where}: quaternions", hint=error.hint) from None


def _numbers(values: Any, where: str) -> FloatArray:
    array = as_numbers(values, "a list of numbers", where)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not len(array):
        raise InputError(f"expected a list of numbers, got shape {list(array.shape)}", where=where)
    return array


def _joint_names(names: Any, where: str) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError("expected a list of joint names", where=where)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{twice} stands twice", where=where)
    return tuple(names)


def _mapping(content: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    value = content.get(key) or {}
    if not isinstance(value, Mapping):
        raise InputError(f"{key} must be an object, got {type(value).__name__}", where=where)
    return value


def _take(content: Any, key: str, where: str) -> Any:
    if not isinstance(content, Mapping) or key not in content:
        keys = ", ".join(sorted(content)) if isinstance(content, Mapping) else type(content).__name__
        raise InputError(f"{key} is missing; there are {keys or 'none'}", where=where)
    return content[key]
