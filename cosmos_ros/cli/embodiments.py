"""``cosmos-ros embodiments``: list, validate and show embodiment files, and their JSON schema."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tyro.conf import Positional

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment


@dataclass(frozen=True)
class List:
    """Print one line for each shipped embodiment.

    For example: cosmos-ros embodiments list
    """

    def run(self) -> int:
        """Print them."""
        from cosmos_ros.embodiment import list_embodiments, load_spec

        names = list_embodiments()
        width = max(len(name) for name in names)
        for name in names:
            spec = load_spec(name).spec
            domain = f"{spec.domain.name} ({spec.domain.id})"
            print(
                f"{name:{width}}  {domain:26}  {spec.action.dimension:2} columns  {spec.fps:g} Hz  {spec.description}"
            )
        return 0


@dataclass(frozen=True)
class Validate:
    """Check files against the schema and their URDFs; exit status 1 when one fails.

    For example: cosmos-ros embodiments validate my_arm.yaml

    Attributes:
        embodiments: Names or YAML files.
    """

    embodiments: Positional[tuple[str, ...]]

    def run(self) -> int:
        """Load each file and print what is wrong with it."""
        from cosmos_ros.embodiment import load_embodiment
        from cosmos_ros.errors import ConfigError, CosmosRosError

        if not self.embodiments:
            raise ConfigError("no embodiment was given", where="arguments")
        failed = 0
        for name in self.embodiments:
            try:
                embodiment = load_embodiment(name)
                embodiment.solver()
            except CosmosRosError as error:
                failed += 1
                print(f"wrong: {error}")
            else:
                print(f"valid: {embodiment.path} ({embodiment.config_hash[:16]})")
        return 1 if failed else 0


@dataclass(frozen=True)
class Show:
    """Print one embodiment with its columns, frames and limits.

    For example: cosmos-ros embodiments show franka

    Attributes:
        embodiment: Name or YAML file.
        urdf: Another URDF for the same robot.
        ur_calibration: Kinematics file of one UR arm.
        json: Print the resolved file as JSON.
    """

    embodiment: Positional[str]
    urdf: Path | None = None
    ur_calibration: Path | None = None
    json: bool = False

    def run(self) -> int:
        """Print it."""
        from cosmos_ros.embodiment import load_embodiment
        from cosmos_ros.schema import plain

        embodiment = load_embodiment(self.embodiment, self.urdf, self.ur_calibration)
        if self.json:
            print(json.dumps(plain(embodiment.spec), indent=2))
            return 0
        for title, lines in describe(embodiment):
            print(title)
            for line in lines:
                print(f"  {line}")
        return 0


@dataclass(frozen=True)
class Schema:
    """Print the JSON schema of embodiment files, for editors.

    For example: cosmos-ros embodiments schema --out embodiment.schema.json

    Attributes:
        out: Write it there instead of printing it.
    """

    out: Path | None = None

    def run(self) -> int:
        """Print or write it."""
        from cosmos_ros.embodiment import schema_text
        from cosmos_ros.files import write_text

        if self.out is None:
            print(schema_text(), end="")
        else:
            write_text(self.out, schema_text())
        return 0


def describe(embodiment: Embodiment) -> list[tuple[str, list[str]]]:
    """Return headed lines of text about one embodiment."""
    from cosmos_ros.embodiment import tier_size

    spec = embodiment.spec
    sections = [
        (
            f"{embodiment.name}: {spec.description}",
            [
                f"file         {embodiment.path}",
                f"config hash  {embodiment.config_hash}",
                f"domain       {spec.domain.name} ({spec.domain.id}), {spec.fps:g} Hz, {spec.chunk_size} rows a chunk",
                f"base frame   {embodiment.base_frame}",
            ],
        ),
        ("columns", _columns(embodiment)),
        ("grippers", _grippers(embodiment)),
    ]
    first = spec.cameras[embodiment.views[0]].max_size or (640, 480)
    height = sum(first[1] // spec.cameras[row[0]].divide for row in spec.canvas.rows)
    size = tier_size(height, first[0], spec.canvas.tier)
    rows = " / ".join(" | ".join(row) for row in spec.canvas.rows)
    canvas = [
        f"{rows}: {first[0]}x{height} of {first[0]}x{first[1]} images, tier {spec.canvas.tier}: "
        f"{size.content_width}x{size.content_height} on {size.width}x{size.height}",
        f"view point {spec.prompt.view_point}",
        *([spec.prompt.view_description] if spec.prompt.view_description else []),
    ]
    sections.append(("canvas", canvas))
    if embodiment.robot is not None:
        sections.append(("tool frames at home", _frames(embodiment)))
        sections.append(("controllers", [f"{topic}: {', '.join(joints)}" for topic, joints in embodiment.controllers]))
        sections.append(("joint limits", _limits(embodiment)))
    sections.append(("notes", list(spec.notes)))
    return [(title, lines) for title, lines in sections if lines]


def _columns(embodiment: Embodiment) -> list[str]:
    normaliser = embodiment.normaliser
    low, high = normaliser.offset - normaliser.scale, normaliser.offset + normaliser.scale
    unbounded = embodiment.spec.action.normaliser.kind != "quantile"
    lines = [
        f"{index:2}  {name:26}" + ("" if unbounded else f"  {low[index]: .6f} .. {high[index]: .6f}")
        for index, name in enumerate(embodiment.layout.names)
    ]
    spec = embodiment.spec.action.normaliser
    factor = f", scale {spec.scale:g}" if spec.kind == "translation_scale" else ""
    lines.append(f"normaliser {spec.kind}{factor}{', clamped' if spec.clamp else ''} ({spec.source})")
    frames = [f"tool frame of {b.link}: {b.tool_frame[:3].round(6).tolist()}" for b in embodiment.layout.poses]
    return lines + frames


def _grippers(embodiment: Embodiment) -> list[str]:
    lines = []
    for grip in embodiment.layout.grips:
        scale = grip.scale
        text = f"{grip.gripper}: column holds {scale.model.closed:g} closed to {scale.model.open:g} open"
        text += f" ({scale.model_unit}) of row {'k+1' if grip.offset else 'k'}"
        joint = embodiment.gripper_joints.get(grip.gripper)
        text += "" if joint is None else f"; joint {joint.joint} {joint.closed:g} to {joint.open:g}"
        text += "" if scale.width is None else f"; {scale.width.closed:g} to {scale.width.open:g} m"
        lines.append(text)
    return lines


def _frames(embodiment: Embodiment) -> list[str]:
    from cosmos_ros.se3 import quaternion_xyzw_from_matrix

    assert embodiment.robot is not None
    lines = []
    for link in embodiment.tool_links:
        pose = embodiment.robot.fk(embodiment.home, link)
        position = ", ".join(f"{v:.4f}" for v in pose[:3, 3])
        quaternion = ", ".join(f"{v:.4f}" for v in quaternion_xyzw_from_matrix(pose[:3, :3]))
        lines.append(f"{link}: xyz ({position}) m, quaternion xyzw ({quaternion})")
    return lines


def _limits(embodiment: Embodiment) -> list[str]:
    lines = []
    sources: list[str] = []
    for name, limit in embodiment.limits.joints.items():
        if limit.source not in sources:
            sources.append(limit.source)
        mimic = "" if limit.mimic is None else f"  follows {limit.mimic.source}"
        curve = "" if limit.position_dependent_velocity is None else "  velocity depends on position"
        lines.append(
            f"{name:32} {limit.lower: .4f} .. {limit.upper: .4f}  v {limit.velocity:g}  a {limit.acceleration:g}  "
            f"j {limit.jerk:g}  effort {limit.effort:g}  [{sources.index(limit.source) + 1}]{mimic}{curve}"
        )
    for cartesian in embodiment.limits.cartesian:
        if cartesian.source not in sources:
            sources.append(cartesian.source)
        lines.append(
            f"{cartesian.tool_link:32} linear {cartesian.linear_speed:g} m/s, {cartesian.linear_acceleration:g} m/s²; "
            f"angular {cartesian.angular_speed:g} rad/s, {cartesian.angular_acceleration:g} rad/s²  "
            f"[{sources.index(cartesian.source) + 1}]"
        )
    return lines + [f"[{index}] {source}" for index, source in enumerate(sources, 1)]


VERB = {"list": List, "validate": Validate, "show": Show, "schema": Schema}
