"""Per-unit calibration of Universal Robots arms: the kinematics YAML that their ROS 2 driver writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml

from cosmos_ros.errors import ConfigError, KinematicsError
from cosmos_ros.kinematics.urdf import UrdfTree
from cosmos_ros.se3 import from_euler_xyz_extrinsic, pose_error, pose_from
from cosmos_ros.types import FloatArray

MAX_BYTES = 64 * 1024
# Calibration moves a link's origin by millimetres; the next robot size differs by centimetres.
MAX_SHIFT = 0.02
MAX_TURN = 0.1
# Metres and radians.
_LARGEST = 1e3
LINKS = ("shoulder", "upper_arm", "forearm", "wrist_1", "wrist_2", "wrist_3")
_FIELDS = ("x", "y", "z", "roll", "pitch", "yaw")


def read_ur_calibration(path: str | Path) -> dict[str, FloatArray]:
    """Return link → ``[4, 4]`` pose in its parent link, from the ``kinematics`` mapping of the YAML.

    Each of shoulder, upper_arm, forearm, wrist_1, wrist_2, wrist_3 holds x, y, z in metres and roll, pitch, yaw in
    radians (fixed axes), as ``ur_description`` reads them into its joint origins.

    Raises:
        ConfigError: Unreadable, too large, not YAML, or a field is missing or not a finite number.
    """
    file = Path(path)
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ConfigError(f"larger than {MAX_BYTES} bytes", where=str(file))
        content = yaml.safe_load(data)
    except OSError as error:
        raise ConfigError(f"cannot read the calibration ({error})", where=str(file)) from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"not YAML ({str(error)[:200]})", where=str(file)) from None
    kinematics = content.get("kinematics") if isinstance(content, Mapping) else None
    if not isinstance(kinematics, Mapping):
        raise ConfigError("no 'kinematics' mapping", where=str(file), hint="Use the file that ur_calibration wrote.")
    return {link: _pose(kinematics.get(link), f"{file}: kinematics.{link}") for link in LINKS}


def _pose(entry: object, where: str) -> FloatArray:
    if not isinstance(entry, Mapping):
        raise ConfigError("missing", where=where, hint=f"Give {', '.join(_FIELDS)}.")
    values = []
    for field in _FIELDS:
        value = entry.get(field)
        # Lists are not written out: aliases make them grow to any length.
        shown = repr(value)[:60] if value is None or isinstance(value, (str, bool, float)) else type(value).__name__
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < _LARGEST:
            raise ConfigError(f"{shown} is not a number below {_LARGEST:g}", where=f"{where}.{field}")
        values.append(float(value))
    return pose_from(values[:3], from_euler_xyz_extrinsic(values[3:]))


def calibrated_tree(tree: UrdfTree, calibration: Mapping[str, FloatArray], source: str) -> UrdfTree:
    """Return ``tree`` with the origins of the six arm joints replaced.

    The joints are found by their child links, ``[prefix]shoulder_link`` and so on.

    Raises:
        KinematicsError: A link is missing or there are several, or an origin is further from the nominal one than
            any calibration (20 mm, 0.1 rad): the file is of another robot type.
    """
    joints = list(tree.joints)
    for link, origin in calibration.items():
        matches = [i for i, joint in enumerate(joints) if joint.child.endswith(f"{link}_link") and joint.moves]
        if len(matches) != 1:
            raise KinematicsError(
                f"{len(matches)} links are called '{link}_link', expected one",
                where=source,
                hint="Apply a calibration to the model of one Universal Robots arm.",
            )
        joint = joints[matches[0]]
        shift, turn = pose_error(joint.origin, origin)
        if not (shift <= MAX_SHIFT and turn <= MAX_TURN):
            raise KinematicsError(
                f"{link} is {float(shift) * 1e3:.1f} mm and {np.degrees(float(turn)):.2f}° from {tree.name}'s nominal",
                where=source,
                hint="Use the calibration of this robot type.",
            )
        joints[matches[0]] = replace(joint, origin=origin)
    return replace(tree, joints=tuple(joints), source=f"{tree.source} calibrated by {source}")
