"""Which columns of a LeRobot dataset are joints, tool pose, gripper and cameras; and which of them are damaged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.lerobot.dataset import Episode
from cosmos_ros.resources import resource, share_directory
from cosmos_ros.types import FloatArray

_PREFIX = "lerobot_"
_MAX_BYTES = 1024 * 1024
# As this package exports the pose of the first tool link.
POSE_COLUMN = "observation.state.cartesian_position"
POSE_NAMES = ("x", "y", "z", "roll", "pitch", "yaw")
ROTATIONS = {"euler_xyz_extrinsic": 3, "quaternion_xyzw": 4, "rotation_6d": 6}


@dataclass(frozen=True)
class ColumnMap:
    """One quantity's column: ``indices`` of its entries, None for all of them."""

    column: str
    indices: tuple[int, ...] | None = None

    def take(self, episode: Episode) -> FloatArray | None:
        """Return ``float64 [N, K]``, or None where the column is absent or too narrow."""
        values = episode.columns.get(self.column)
        if values is None:
            return None
        values = values[:, None] if values.ndim == 1 else values
        if self.indices is None:
            return values
        if max(self.indices) >= values.shape[1]:
            return None
        return values[:, list(self.indices)]


@dataclass(frozen=True)
class DatasetMap:
    """How a dataset's columns map to a robot.

    Attributes:
        name: For reports.
        views: Camera key → view name; keys that are not here keep the last part of their name.
        joints: Arm joints in the embodiment's order, rad; None where the dataset has none.
        pose: x y z in m and a rotation of the tool link in the base frame; None where the dataset has none.
        rotation: One of ROTATIONS: what follows x y z.
        link: The link whose pose it is; None for the embodiment's first tool link.
        gripper: Columns in order of preference; in the embodiment's ``recorded`` convention.
        gripper_is_joint: They hold the gripper joint's position instead.
    """

    name: str
    views: Mapping[str, str] = field(default_factory=dict)
    joints: ColumnMap | None = None
    pose: ColumnMap | None = None
    rotation: str = "euler_xyz_extrinsic"
    link: str | None = None
    gripper: tuple[ColumnMap, ...] = ()
    gripper_is_joint: bool = False

    def view(self, key: str) -> str:
        """Return the view name of a camera key."""
        return self.views.get(key) or re.sub(r"\W", "_", key.rsplit(".", 1)[-1])


@dataclass(frozen=True)
class Damage:
    """A column that is there but cannot be used, and why."""

    column: str
    reason: str


def load_map(name_or_path: str) -> DatasetMap:
    """Load a map by the name of a shipped one (``droid``) or by path.

    Raises:
        ConfigError: No such map, or a field that is wrong; names the file and the field.
    """
    path = Path(name_or_path)
    if not path.is_file():
        shipped = sorted(p.stem.removeprefix(_PREFIX) for p in (share_directory() / "config").glob(f"{_PREFIX}*.yaml"))
        if name_or_path not in shipped:
            raise ConfigError(
                f"there is no dataset map {name_or_path!r}", hint=f"Give a file, or one of: {', '.join(shipped)}."
            )
        path = resource("config", f"{_PREFIX}{name_or_path}.yaml")
    if path.stat().st_size > _MAX_BYTES:
        raise ConfigError("the file is absurdly large", where=str(path))
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot be read: {error}", where=str(path)) from error
    return _parse(content, path)


def find_map(episode: Episode, joints: tuple[str, ...], gripper_joint: str | None) -> DatasetMap:
    """Choose a map by the columns that are there: a shipped one, or the names of ``observation.state``.

    Args:
        episode: Any episode of the dataset.
        joints: The embodiment's arm joints.
        gripper_joint: Its gripper's joint, if it has one.

    Raises:
        InputError: Nothing fits; says what the dataset holds.
    """
    for path in sorted((share_directory() / "config").glob(f"{_PREFIX}*.yaml")):
        candidate = load_map(str(path))
        wanted = [entry.column for entry in (candidate.joints, candidate.pose) if entry is not None]
        if wanted and all(column in episode.columns for column in wanted):
            return candidate
    names = [_joint_name(name) for name in episode.names.get("observation.state", ())]
    if joints and all(name in names for name in joints):
        gripper = (names.index(gripper_joint),) if gripper_joint in names else None
        return DatasetMap(
            name="names of observation.state",
            joints=ColumnMap("observation.state", tuple(names.index(name) for name in joints)),
            pose=ColumnMap(POSE_COLUMN) if tuple(episode.names.get(POSE_COLUMN, ())) == POSE_NAMES else None,
            gripper=() if gripper is None else (ColumnMap("observation.state", gripper),),
            gripper_is_joint=gripper is not None,
        )
    described = ", ".join(
        f"{name} {list(values.shape[1:])}"
        for name, values in episode.columns.items()
        if "." in name or name == "action"
    )
    raise InputError(
        "the columns of this dataset are not known",
        where="LeRobot dataset",
        hint=f"Write a map like config/lerobot_droid.yaml and give it with --map. Columns: {described}.",
    )


def joint_columns(episode: Episode, mapping: DatasetMap, count: int) -> tuple[FloatArray | None, list[Damage]]:
    """Return the recorded arm joints ``float64 [N, J]``, or None and why they cannot be used."""
    if mapping.joints is None:
        return None, []
    values = mapping.joints.take(episode)
    column = mapping.joints.column
    if values is None:
        return None, [Damage(column, "is missing or has too few entries")]
    if values.shape[1] != count:
        return None, [Damage(column, f"holds {values.shape[1]} number(s) a row for {count} joints")]
    if not np.isfinite(values).all():
        return None, [Damage(column, "holds numbers that are not finite")]
    return values, []


def first_row_in_scalar_column(episode: Episode, mapping: DatasetMap, count: int) -> FloatArray | None:
    """Return the joints of frame 0 from a column that was flattened by mistake, or None.

    Some exports of DROID hold the ``count`` joints of the first frame in the first rows and repeat the last one.
    Whether they are that has to be checked against the first pose.
    """
    values = None if mapping.joints is None else episode.columns.get(mapping.joints.column)
    if values is None or values.ndim != 1 or len(values) <= count or not np.isfinite(values).all():
        return None
    return values[:count].copy() if (values[count:] == values[count - 1]).all() else None


def gripper_column(episode: Episode, mapping: DatasetMap) -> tuple[str, FloatArray | None, list[Damage]]:
    """Return the name and values ``float64 [N]`` of the first usable gripper column.

    A column that never changes while another one does is damaged. Where none changes the first is right.
    """
    damages: list[Damage] = []
    usable: list[tuple[str, FloatArray]] = []
    for entry in mapping.gripper:
        values = entry.take(episode)
        if values is None:
            damages.append(Damage(entry.column, "is missing"))
        elif values.shape[1] != 1:
            damages.append(Damage(entry.column, f"holds {values.shape[1]} numbers a row for one gripper"))
        elif not np.isfinite(values).all():
            damages.append(Damage(entry.column, "holds numbers that are not finite"))
        else:
            usable.append((entry.column, values[:, 0]))
    moving = [entry for entry in usable if np.ptp(entry[1]) > 0]
    for name, values in usable:
        if moving and np.ptp(values) == 0:
            damages.append(Damage(name, f"is {values[0]:g} in every row while {moving[0][0]} changes"))
    if not usable:
        return "", None, damages
    return *(moving or usable)[0], damages


def _joint_name(name: str) -> str:
    # LeRobot's own robots write shoulder_pan.pos
    return name.removesuffix(".pos")


def _parse(content: Any, path: Path) -> DatasetMap:
    if not isinstance(content, dict):
        raise ConfigError("is not a mapping", where=str(path))
    known = {"views", "joints", "pose", "gripper"}
    unknown = set(content) - known
    if unknown:
        raise ConfigError(f"unknown field {sorted(unknown)[0]!r}; known: {', '.join(sorted(known))}", where=str(path))
    views = content.get("views") or {}
    if not isinstance(views, dict) or not all(isinstance(v, str) for pair in views.items() for v in pair):
        raise ConfigError("views must map camera keys to view names", where=str(path))
    pose = content.get("pose")
    rotation = pose.get("rotation", "euler_xyz_extrinsic") if isinstance(pose, dict) else "euler_xyz_extrinsic"
    if rotation not in ROTATIONS:
        raise ConfigError(f"pose.rotation is {rotation!r}, not one of {', '.join(ROTATIONS)}", where=str(path))
    grippers = content.get("gripper") or []
    if not isinstance(grippers, list):
        raise ConfigError("gripper must be a list of columns", where=str(path))
    return DatasetMap(
        name=path.stem.removeprefix(_PREFIX),
        views=views,
        joints=_column(content.get("joints"), "joints", path),
        pose=_column(pose, "pose", path, extra=("rotation", "link")),
        rotation=rotation,
        link=pose.get("link") if isinstance(pose, dict) else None,
        gripper=tuple(entry for g in grippers if (entry := _column(g, "gripper", path)) is not None),
    )


def _column(value: Any, field_name: str, path: Path, extra: tuple[str, ...] = ()) -> ColumnMap | None:
    if value is None:
        return None
    if isinstance(value, str):
        return ColumnMap(value)
    if not isinstance(value, dict) or not isinstance(value.get("column"), str):
        raise ConfigError(f"{field_name} needs a column name", where=str(path))
    unknown = set(value) - {"column", "indices", *extra}
    if unknown:
        raise ConfigError(f"{field_name}: unknown field {sorted(unknown)[0]!r}", where=str(path))
    indices = value.get("indices")
    if indices is not None and (
        not isinstance(indices, list) or not indices or not all(isinstance(k, int) and k >= 0 for k in indices)
    ):
        raise ConfigError(f"{field_name}.indices must be a list of numbers from 0 on", where=str(path))
    return ColumnMap(value["column"], None if indices is None else tuple(indices))
