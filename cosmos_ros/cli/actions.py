"""``cosmos-ros actions``: decode action chunks to poses, and encode recorded motion to actions."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import UseAppendAction, create_mutex_group

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment
    from cosmos_ros.types import Finding, FloatArray

_SCALE = create_mutex_group(required=False, title="scale of the numbers")


@dataclass(frozen=True, kw_only=True)
class _Converting:
    """What both directions need.

    Attributes:
        embodiment: Name or YAML file.
        urdf: Another URDF for the same robot.
        ur_calibration: Kinematics file of one UR arm.
        json: Write the result there; without it, it is printed.
    """

    embodiment: str
    urdf: Path | None = None
    ur_calibration: Path | None = None
    json: Path | None = None

    def robot(self) -> Embodiment:
        """Load the embodiment."""
        from cosmos_ros.embodiment import load_embodiment

        return load_embodiment(self.embodiment, self.urdf, self.ur_calibration)


@dataclass(frozen=True, kw_only=True)
class Decode(_Converting):
    """Decode model actions to tool poses, grippers and times.

    For example: cosmos-ros actions decode --embodiment franka --actions chunk.json --start 0.4,0,0.5

    Attributes:
        actions: JSON (a nested list, or as servers answer), npz (array actions) or parquet (column actions).
        column: Array or column of the actions in npz and parquet.
        normalised: Numbers in the file are the model's, normalised. Without either, what the file says, else this.
        physical: Numbers in the file are physical, before the normaliser.
        start: Tool pose before the first row, [LINK=]x,y,z[,qx,qy,qz,qw] in metres; once for each tool. Without it the
            home posture's.
        start_joints: Joint positions before the first row, rad, comma-separated, in their order.
        joint_space: Rows are joint positions and gripper openings.
    """

    actions: Path
    column: str | None = None
    normalised: Annotated[bool, _SCALE] = False
    physical: Annotated[bool, _SCALE] = False
    start: UseAppendAction[tuple[str, ...]] = ()
    start_joints: str | None = None
    joint_space: bool = False

    def run(self) -> int:
        """Decode a file of actions."""
        from cosmos_ros.embodiment import chunk_to_dict, read_action_file
        from cosmos_ros.types import ActionSpace

        embodiment = self.robot()
        file = read_action_file(self.actions, self.column)
        asked = "physical" if self.physical else "normalised" if self.normalised else None
        file.check(embodiment.domain_name, asked)
        chunk = embodiment.decode_actions(
            file.rows,
            _start(embodiment, self.start, self.start_joints),
            space=ActionSpace.JOINT if self.joint_space else ActionSpace.MODEL,
            physical=(asked or file.scale) == "physical",
        )
        _write(chunk_to_dict(embodiment, chunk), self.json, chunk.findings)
        return 0


@dataclass(frozen=True, kw_only=True)
class Encode(_Converting):
    """Encode recorded states as model actions.

    For example: cosmos-ros actions encode --embodiment franka --states episode.parquet --poses-column pose

    Attributes:
        states: JSON as decode writes, npz or parquet.
        poses_column: npz, parquet: column with one tool pose a row.
        poses_format: Numbers of that column; Euler angles are rad about the fixed axes x, y, z.
        joints_column: npz, parquet: column with the joint positions of each row.
        gripper_column: npz, parquet: [GRIPPER=]COLUMN of a gripper, in the data set's own scale; once for each.
        normalised: Write the model's numbers, normalised: what is written without either.
        physical: Write physical numbers, before the normaliser.
    """

    states: Path
    poses_column: str | None = None
    poses_format: Literal["xyz_quaternion_xyzw", "xyz_quaternion_wxyz", "xyz_euler"] = "xyz_quaternion_xyzw"
    joints_column: str | None = None
    gripper_column: UseAppendAction[tuple[str, ...]] = ()
    normalised: Annotated[bool, _SCALE] = False
    physical: Annotated[bool, _SCALE] = False

    def run(self) -> int:
        """Encode a file of recorded states."""
        from cosmos_ros.embodiment import StateColumns, encoded_to_dict, read_states

        embodiment = self.robot()
        columns = StateColumns(
            poses=self.poses_column,
            pose_format=self.poses_format,
            joints=self.joints_column,
            grippers=_named(self.gripper_column, tuple(embodiment.spec.grippers), "--gripper-column"),
        )
        encoded = embodiment.encode(read_states(embodiment, self.states, columns))
        content = encoded_to_dict(embodiment, encoded, physical=self.physical)
        _write(content, self.json, () if self.physical else encoded.findings)
        return 0


def _start(embodiment: Embodiment, poses: Sequence[str], joints: str | None) -> Mapping[str, FloatArray]:
    """Return the start pose of each tool from the arguments; the home posture's where none is given."""
    import numpy as np

    from cosmos_ros.embodiment import parse_pose
    from cosmos_ros.errors import InputError
    from cosmos_ros.types import JointState

    if poses and joints is not None:
        raise InputError("give --start or --start-joints, not both", where="arguments")
    if poses:
        given = _named(poses, embodiment.tool_links, "--start")
        missing = [link for link in embodiment.tool_links if link not in given]
        if missing:
            raise InputError(f"no start pose for {', '.join(missing)}", where="--start")
        return {link: parse_pose(text, f"--start {link}") for link, text in given.items()}
    if not embodiment.has_joints:
        if joints is not None:
            raise InputError(f"{embodiment.name} has no joints", where="--start-joints")
        return {link: np.eye(4) for link in embodiment.tool_links}
    names = embodiment.joint_names
    home = embodiment.home
    values = [home[name] for name in names]
    if joints is not None:
        try:
            values = [float(part) for part in joints.split(",")]
        except ValueError:
            raise InputError(f"{joints!r} is not a list of numbers", where="--start-joints") from None
        if len(values) != len(names):
            raise InputError(
                f"{len(values)} numbers for {len(names)} joints {', '.join(names)}", where="--start-joints"
            )
    return embodiment.tool_poses(JointState(stamp_ns=0, names=names, positions=np.array(values)))


def _named(texts: Sequence[str], names: Sequence[str], where: str) -> dict[str, str]:
    """Split ``NAME=VALUE`` texts; a single name need not be written."""
    from cosmos_ros.named_values import named_values

    return named_values(texts, where=where, names=names, unnamed=names[0] if len(names) == 1 else "")


def _write(content: Mapping[str, Any], path: Path | None, findings: Sequence[Finding]) -> None:
    for finding in findings:
        print(f"{finding.level}: {finding.message} ({finding.where})", file=sys.stderr)
    text = json.dumps(content, indent=1, allow_nan=False)
    if path is not None:
        from cosmos_ros.files import write_text

        write_text(path, text + "\n")
        return
    print(text)


VERB = {"decode": Decode, "encode": Encode}
