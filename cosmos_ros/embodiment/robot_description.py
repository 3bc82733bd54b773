"""An embodiment beside the robot's own description: the tighter limits hold, and the robot's own kinematics.

The description (``robot_description``) is untrusted text: it is read as ``cosmos_ros.kinematics.urdf`` reads a URDF,
bounded and without DTDs, and one that is of another robot is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import degrees, inf
from xml.etree import ElementTree

from cosmos_ros.embodiment.adapter import Embodiment, load_embodiment
from cosmos_ros.errors import ConfigError, CosmosRosError
from cosmos_ros.kinematics.calibration import MAX_SHIFT, MAX_TURN
from cosmos_ros.kinematics.urdf import read_urdf
from cosmos_ros.limits import JointLimit, PositionDependentVelocity
from cosmos_ros.se3 import pose_error

# Posture beside home, by which a joint that turns the other way shows, rad or m.
_STEP = 0.1
_TOLD_SHIFT = 1e-5
_TOLD_TURN = 1e-5
_RELATIVE = 1e-6


@dataclass(frozen=True)
class DescribedRobot:
    """An embodiment in the limits and the kinematics of one robot.

    Attributes:
        embodiment: With the tighter limits of both, and the description's kinematics.
        differences: What differed, one line each; empty when both say the same.
    """

    embodiment: Embodiment
    differences: tuple[str, ...]


def with_robot_description(embodiment: str, xml: str, *, fps: float | None = None) -> DescribedRobot:
    """Return an embodiment as one robot describes itself.

    Args:
        embodiment: Name or path of the embodiment.
        xml: The URDF's text. Its link names may all have one prefix that the embodiment's lack, as drivers give them.
        fps: As in :func:`load_embodiment`.

    Raises:
        ConfigError: Not a URDF that can be trusted, or that of another robot: a joint or link is missing, or the tools
            are further from where the embodiment has them than any calibration moves them.
    """
    where = "robot_description"
    own = load_embodiment(embodiment, fps=fps)
    if own.robot is None:
        raise ConfigError(f"embodiment {own.name} has no robot", where=where, hint="Leave it out.")
    if not xml.lstrip("\ufeff \t\r\n").startswith("<"):
        raise ConfigError("is not XML", where=where, hint="Give the URDF that robot_state_publisher publishes.")
    try:
        tree = read_urdf(xml)
    except CosmosRosError as error:
        raise ConfigError(error.message, where=error.where, hint=error.hint) from None
    differences = []
    prefix = _link_prefix(tree.links, own.base_frame)
    if prefix:
        xml = _without_prefix(xml, prefix)
        differences.append(f"links have the prefix {prefix}")
    described = load_embodiment(embodiment, urdf=xml, fps=fps)
    differences += _compare_kinematics(own, described)
    assert described.robot is not None
    joints = {}
    for name, limit in own.limits.joints.items():
        joints[name], told = _tighter(name, limit, described.robot.limits.get(name))
        differences += told
    described.limits = replace(own.limits, joints=joints)
    described.gripper_joints = {
        name: replace(joint, max_velocity=min(joint.max_velocity, joints[joint.joint].velocity))
        for name, joint in own.gripper_joints.items()
    }
    return DescribedRobot(described, tuple(differences))


def _link_prefix(links: tuple[str, ...], base: str) -> str:
    """Return what stands before the embodiment's link names; empty where they are there as they are."""
    found = [link.removesuffix(base) for link in links if link.endswith(base)]
    return "" if "" in found or len(found) != 1 else found[0]


def _without_prefix(xml: str, prefix: str) -> str:
    # Read and found harmless before.
    root = ElementTree.fromstring(xml.lstrip("\ufeff \t\r\n"))  # noqa: S314
    for element in root.iter():
        attribute = {"link": "name", "parent": "link", "child": "link"}.get(element.tag, "")
        if attribute in element.attrib:
            element.set(attribute, element.attrib[attribute].removeprefix(prefix))
    return ElementTree.tostring(root, encoding="unicode")


def _compare_kinematics(own: Embodiment, described: Embodiment) -> Iterator[str]:
    """Yield how far the tools are from where the embodiment has them, over home and a step of each joint."""
    assert own.robot is not None
    assert described.robot is not None
    home = own.home
    postures = [home, *({**home, name: home[name] + _STEP} for name in own.joint_names)]
    for link in own.tool_links:
        errors = [pose_error(own.robot.fk(q, link), described.robot.fk(q, link)) for q in postures]
        shift, turn = max(float(s) for s, _ in errors), max(float(t) for _, t in errors)
        if not (shift <= MAX_SHIFT and turn <= MAX_TURN):
            raise ConfigError(
                f"{link} is up to {shift * 1e3:.0f} mm and {degrees(turn):.1f}° from where embodiment {own.name} has "
                "it: more than a calibration moves it",
                where="robot_description",
                hint="Take the embodiment of this robot.",
            )
        if shift > _TOLD_SHIFT or turn > _TOLD_TURN:
            yield f"{link} is up to {shift * 1e3:.2f} mm and {degrees(turn):.3f}° from the embodiment's: it holds"


def _tighter(name: str, own: JointLimit, other: JointLimit | None) -> tuple[JointLimit, list[str]]:
    """Return the tighter of two joints' limits, and a line for each that differs."""
    if other is None:
        return own, []
    limit = own
    told = []
    for field, tighter in (("lower", max), ("upper", min), ("velocity", min), ("effort", min)):
        mine, theirs = getattr(own, field), getattr(other, field)
        if abs(theirs) == inf or abs(theirs - mine) <= _RELATIVE * max(1.0, abs(mine)):
            continue
        value = tighter(mine, theirs)
        limit = replace(limit, **{field: value})
        told.append(f"{name}: {field} {mine:g} in the embodiment, {theirs:g} in the robot: {value:g} holds")
    if not limit.lower < limit.upper:
        raise ConfigError(
            f"joint {name}: {own.lower:g} to {own.upper:g} in the embodiment and {other.lower:g} to {other.upper:g} in "
            "the robot have nothing in common",
            where="robot_description",
            hint="Take the embodiment of this robot.",
        )
    curve = _tighter_curve(own.position_dependent_velocity, other.position_dependent_velocity)
    if curve != own.position_dependent_velocity:
        told.append(f"{name}: the velocity limits near the position limits differ: the tighter hold")
    bounded = own.continuous and not other.continuous and other.mimic is None
    source = f"{own.source}; robot_description" if told else own.source
    return (
        replace(
            limit,
            position_dependent_velocity=curve,
            continuous=own.continuous and not bounded,
            source=source,
        ),
        told,
    )


def _tighter_curve(
    own: PositionDependentVelocity | None, other: PositionDependentVelocity | None
) -> PositionDependentVelocity | None:
    """Return a bound that nowhere allows more than either: the bound falls with the offset and rises with the rest."""
    if own is None or other is None:
        return own or other
    return PositionDependentVelocity(
        max(own.upper_offset, other.upper_offset),
        min(own.upper_gain, other.upper_gain),
        min(own.upper_position, other.upper_position),
        max(own.lower_offset, other.lower_offset),
        min(own.lower_gain, other.lower_gain),
        max(own.lower_position, other.lower_position),
    )
