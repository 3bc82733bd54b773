"""``cosmos-ros actions``: decode action chunks to poses, and encode recorded motion to actions."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment
    from cosmos_ros.types import Finding, FloatArray

_FILES = "JSON (a nested list, or as servers answer), npz (array actions) or parquet (column actions)"


def add_parser(subparsers: Any) -> None:
    """Add the verb."""
    parser = subparsers.add_parser("actions", help="decode and encode action chunks")
    verbs = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    decode = verbs.add_parser("decode", help="model actions to tool poses, grippers and times")
    _common(decode)
    decode.add_argument("--actions", required=True, type=Path, metavar="FILE", help=_FILES)
    decode.add_argument("--column", help="array or column of the actions in npz and parquet")
    _scale(decode, "numbers in the file", "what the file says, else normalised")
    decode.add_argument(
        "--start",
        action="append",
        default=[],
        metavar="POSE",
        help="tool pose before the first row, [LINK=]x,y,z[,qx,qy,qz,qw] in metres; once for each tool "
        "(default: the home posture's)",
    )
    decode.add_argument(
        "--start-joints", metavar="Q", help="joint positions before the first row, rad, comma-separated, in their order"
    )
    decode.add_argument("--joint-space", action="store_true", help="rows are joint positions and gripper openings")
    decode.set_defaults(run=run_decode)
    encode = verbs.add_parser("encode", help="recorded states to model actions")
    _common(encode)
    encode.add_argument(
        "--states", required=True, type=Path, metavar="FILE", help="JSON as decode writes, npz, parquet"
    )
    encode.add_argument("--poses-column", help="npz, parquet: column with one tool pose a row")
    encode.add_argument(
        "--poses-format",
        default="xyz_quaternion_xyzw",
        choices=("xyz_quaternion_xyzw", "xyz_quaternion_wxyz", "xyz_euler"),
        help="numbers of that column; Euler angles are rad about the fixed axes x, y, z",
    )
    encode.add_argument("--joints-column", help="npz, parquet: column with the joint positions of each row")
    encode.add_argument(
        "--gripper-column",
        action="append",
        default=[],
        metavar="[GRIPPER=]COLUMN",
        help="npz, parquet: column of a gripper, in the data set's own scale",
    )
    _scale(encode, "numbers to write", "normalised")
    encode.set_defaults(run=run_encode)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--embodiment", required=True, metavar="NAME_OR_FILE")
    parser.add_argument("--urdf", type=Path, help="another URDF for the same robot")
    parser.add_argument("--ur-calibration", type=Path, metavar="FILE", help="kinematics file of one UR arm")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the result there (default: print it)")


def _scale(parser: argparse.ArgumentParser, what: str, default: str) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--normalised", action="store_true", help=f"{what} are the model's, normalised (default: {default})"
    )
    group.add_argument("--physical", action="store_true", help=f"{what} are physical, before the normaliser")


def run_decode(arguments: argparse.Namespace) -> int:
    """Decode a file of actions."""
    from cosmos_ros.embodiment import chunk_to_dict, load_embodiment, read_action_file
    from cosmos_ros.types import ActionSpace

    embodiment = load_embodiment(arguments.embodiment, arguments.urdf, arguments.ur_calibration)
    file = read_action_file(arguments.actions, arguments.column)
    asked = "physical" if arguments.physical else "normalised" if arguments.normalised else None
    file.check(embodiment.domain_name, asked)
    chunk = embodiment.decode_actions(
        file.rows,
        _start(embodiment, arguments.start, arguments.start_joints),
        space=ActionSpace.JOINT if arguments.joint_space else ActionSpace.MODEL,
        physical=(asked or file.scale) == "physical",
    )
    _write(chunk_to_dict(embodiment, chunk), arguments.json, chunk.findings)
    return 0


def run_encode(arguments: argparse.Namespace) -> int:
    """Encode a file of recorded states."""
    from cosmos_ros.embodiment import StateColumns, encoded_to_dict, load_embodiment, read_states

    embodiment = load_embodiment(arguments.embodiment, arguments.urdf, arguments.ur_calibration)
    columns = StateColumns(
        poses=arguments.poses_column,
        pose_format=arguments.poses_format,
        joints=arguments.joints_column,
        grippers=_named(arguments.gripper_column, tuple(embodiment.spec.grippers), "--gripper-column"),
    )
    encoded = embodiment.encode(read_states(embodiment, arguments.states, columns))
    _write(
        encoded_to_dict(embodiment, encoded, physical=arguments.physical),
        arguments.json,
        () if arguments.physical else encoded.findings,
    )
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
    from cosmos_ros.errors import InputError

    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            if len(names) != 1:
                raise InputError(f"write NAME=VALUE, NAME one of {', '.join(names) or 'none'}", where=where)
            name, value = names[0], text
        if name not in names:
            raise InputError(f"unknown {name!r}; allowed: {', '.join(names) or 'none'}", where=where)
        if name in found:
            raise InputError(f"{name} is given twice", where=where)
        found[name] = value
    return found


def _write(content: Mapping[str, Any], path: Path | None, findings: Sequence[Finding]) -> None:
    for finding in findings:
        print(f"{finding.level}: {finding.message} ({finding.where})", file=sys.stderr)
    text = json.dumps(content, indent=1, allow_nan=False)
    if path is not None:
        from cosmos_ros.files import write_text

        write_text(path, text + "\n")
        return
    try:
        print(text, flush=True)
    except BrokenPipeError:  # whoever read it, as head does, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
