"""Which columns of a LeRobot dataset are joints, tool pose, gripper and cameras; and which of them are damaged."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy as np
import yaml

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.lerobot.dataset import LeRobotEpisode
from cosmos_ros.resources import resource, share_directory
from cosmos_ros.schema import Constraint, Record, RecordError, declare, read
from cosmos_ros.types import FloatArray

_PREFIX = "lerobot_"
_MAX_BYTES = 1024 * 1024
# As this package exports the pose of the first tool link.
POSE_COLUMN = "observation.state.cartesian_position"
POSE_NAMES = ("x", "y", "z", "roll", "pitch", "yaw")


@dataclass(frozen=True)
class ColumnMap(Record):
    """One quantity's column: ``indices`` of its entries, None for all of them."""

    shorthand: ClassVar[str] = "column"

    column: str
    indices: Annotated[tuple[Annotated[int, Constraint(ge=0)], ...], Constraint(min_length=1)] | None = None

    def take(self, episode: LeRobotEpisode) -> FloatArray | None:
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
class PoseColumnMap(ColumnMap):
    """Columns x y z in m and a rotation of a link in the base frame.

    Attributes:
        rotation: What follows x y z.
        link: The link whose pose it is; None for the embodiment's first tool link.
    """

    rotation: Literal["euler_xyz_extrinsic", "quaternion_xyzw", "rotation_6d"] = "euler_xyz_extrinsic"
    link: str | None = None


@dataclass(frozen=True)
class DatasetMap(Record):
    """How a dataset's columns map to a robot; the fields of a map's YAML file.

    Attributes:
        name: For reports; the file's name.
        views: Camera key → view name; keys that are not here keep the last part of their name.
        joints: Arm joints in the embodiment's order, rad; None where the dataset has none.
        pose: Of the tool link; None where the dataset has none.
        gripper: Columns in order of preference; in the embodiment's ``recorded`` convention.
        gripper_is_joint: They hold the gripper joint's position instead.
    """

    name: str
    views: dict[str, str] = declare(default_factory=dict)
    joints: ColumnMap | None = None
    pose: PoseColumnMap | None = None
    gripper: tuple[ColumnMap, ...] = ()
    gripper_is_joint: bool = False

    def view(self, key: str) -> str:
        """Return the view name of a camera key."""
        return self.views.get(key) or re.sub(r"\W", "_", key.rsplit(".", 1)[-1])


@dataclass(frozen=True)
class DamagedColumn:
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
    if not isinstance(content, dict):
        raise ConfigError("is not a mapping", where=str(path))
    try:
        return read(DatasetMap, {"name": path.stem.removeprefix(_PREFIX), **content})
    except RecordError as error:
        raise ConfigError(str(error), where=str(path)) from None


def find_map(episode: LeRobotEpisode, joints: tuple[str, ...], gripper_joint: str | None) -> DatasetMap:
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
            pose=PoseColumnMap(POSE_COLUMN) if tuple(episode.names.get(POSE_COLUMN, ())) == POSE_NAMES else None,
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


def joint_columns(
    episode: LeRobotEpisode, mapping: DatasetMap, count: int
) -> tuple[FloatArray | None, list[DamagedColumn]]:
    """Return the recorded arm joints ``float64 [N, J]``, or None and why they cannot be used."""
    if mapping.joints is None:
        return None, []
    values = mapping.joints.take(episode)
    column = mapping.joints.column
    if values is None:
        return None, [DamagedColumn(column, "is missing or has too few entries")]
    if values.shape[1] != count:
        return None, [DamagedColumn(column, f"holds {values.shape[1]} number(s) a row for {count} joints")]
    if not np.isfinite(values).all():
        return None, [DamagedColumn(column, "holds numbers that are not finite")]
    return values, []


def first_row_in_scalar_column(episode: LeRobotEpisode, mapping: DatasetMap, count: int) -> FloatArray | None:
    """Return the joints of frame 0 from a column that was flattened by mistake, or None.

    Some exports of DROID hold the ``count`` joints of the first frame in the first rows and repeat the last one.
    Whether they are that has to be checked against the first pose.
    """
    values = None if mapping.joints is None else episode.columns.get(mapping.joints.column)
    if values is None or values.ndim != 1 or len(values) <= count or not np.isfinite(values).all():
        return None
    return values[:count].copy() if (values[count:] == values[count - 1]).all() else None


def gripper_column(episode: LeRobotEpisode, mapping: DatasetMap) -> tuple[str, FloatArray | None, list[DamagedColumn]]:
    """Return the name and values ``float64 [N]`` of the first usable gripper column.

    A column that never changes while another one does is damaged. Where none changes the first is right.
    """
    damages: list[DamagedColumn] = []
    usable: list[tuple[str, FloatArray]] = []
    for entry in mapping.gripper:
        values = entry.take(episode)
        if values is None:
            damages.append(DamagedColumn(entry.column, "is missing"))
        elif values.shape[1] != 1:
            damages.append(DamagedColumn(entry.column, f"holds {values.shape[1]} numbers a row for one gripper"))
        elif not np.isfinite(values).all():
            damages.append(DamagedColumn(entry.column, "holds numbers that are not finite"))
        else:
            usable.append((entry.column, values[:, 0]))
    moving = [entry for entry in usable if np.ptp(entry[1]) > 0]
    for name, values in usable:
        if moving and np.ptp(values) == 0:
            damages.append(DamagedColumn(name, f"is {values[0]:g} in every row while {moving[0][0]} changes"))
    if not usable:
        return "", None, damages
    return *(moving or usable)[0], damages


def _joint_name(name: str) -> str:
    # LeRobot's own robots write shoulder_pan.pos
    return name.removesuffix(".pos")
