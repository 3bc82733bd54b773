"""Reading URDF, which is untrusted text: bounded, without DTDs or entities, checked link by link."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from cosmos_ros.errors import ConfigError, KinematicsError
from cosmos_ros.limits import JointLimit, MimicRule, PositionDependentVelocity
from cosmos_ros.se3 import from_euler_xyz_extrinsic, pose_from
from cosmos_ros.types import FloatArray

MAX_BYTES = 8 * 1024 * 1024
MAX_LINKS = 2000
_MOVING = ("revolute", "continuous", "prismatic")
_FORBIDDEN = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)


@dataclass(frozen=True)
class UrdfJoint:
    """One joint of a URDF.

    Attributes:
        name: Joint name.
        type: ``revolute``, ``continuous``, ``prismatic`` or ``fixed``.
        parent: Parent link.
        child: Child link.
        origin: ``float64 [4, 4]`` pose of the joint frame in the parent link.
        axis: ``float64 [3]`` unit vector in the joint frame.
        limit: Limits with their mimic rule; None for fixed joints.
    """

    name: str
    type: str
    parent: str
    child: str
    origin: FloatArray
    axis: FloatArray
    limit: JointLimit | None

    @property
    def moves(self) -> bool:
        """True unless fixed."""
        return self.type != "fixed"


@dataclass(frozen=True)
class UrdfTree:
    """A kinematic tree, joints in depth-first order (document order among siblings).

    Attributes:
        name: Robot name.
        root: Root link.
        links: Link names, root first, parents before children.
        joints: Joints, parents before children.
        source: File name, or ``robot_description``.
    """

    name: str
    root: str
    links: tuple[str, ...]
    joints: tuple[UrdfJoint, ...]
    source: str


def read_urdf(path_or_xml: str | Path) -> UrdfTree:
    """Read a URDF file or string.

    Args:
        path_or_xml: A path, or the XML itself (recognised by its first character ``<``), e.g. the value of
            ``robot_description``.

    Raises:
        ConfigError: The file cannot be read.
        KinematicsError: Not a URDF this package can trust; names the element and what is wrong.
    """
    text, source = _text(path_or_xml)
    if _FORBIDDEN.search(text):
        raise KinematicsError("URDF holds a DTD or an entity", where=source, hint="Remove it; URDF needs none.")
    try:
        # A DTD, the way to entities, was refused above; the size is bounded.
        root = ElementTree.fromstring(text)  # noqa: S314
    except (ElementTree.ParseError, ValueError) as error:
        raise KinematicsError(f"not well-formed XML ({error})", where=source) from None
    if root.tag != "robot":
        raise KinematicsError(f"the root element is <{root.tag}>, not <robot>", where=source)
    if any("ros.org/wiki/xacro" in e.tag or e.tag.startswith("xacro") for e in root.iter()):
        raise KinematicsError("this is a xacro file", where=source, hint="Expand it first: xacro FILE > robot.urdf.")
    links = [_name(e, "link", source) for e in root.findall("link")]
    if len(links) > MAX_LINKS:
        raise KinematicsError(f"{len(links)} links, more than {MAX_LINKS}", where=source)
    joints = [_joint(e, source) for e in root.findall("joint")]
    return _tree(root.get("name", ""), links, joints, source)


def _text(path_or_xml: str | Path) -> tuple[str, str]:
    """Return the XML text and what to call it."""
    if isinstance(path_or_xml, str) and path_or_xml.lstrip("\ufeff \t\r\n").startswith("<"):
        if len(path_or_xml) > MAX_BYTES:
            raise KinematicsError(f"URDF text is longer than {MAX_BYTES} characters", where="robot_description")
        return path_or_xml.lstrip("\ufeff \t\r\n"), "robot_description"
    path = Path(path_or_xml)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read the URDF ({error})", where=str(path)[:200]) from None
    if len(data) > MAX_BYTES:
        raise KinematicsError(f"URDF file is larger than {MAX_BYTES} bytes", where=str(path))
    try:
        # Decoding here, and not in the XML parser, makes the check for DTDs see what the parser will see.
        return data.decode("utf-8-sig").lstrip(), str(path)
    except UnicodeDecodeError as error:
        raise KinematicsError(f"URDF is not UTF-8 ({error.reason})", where=str(path)) from None


def _name(element: ElementTree.Element, kind: str, source: str) -> str:
    name = element.get("name", "")
    if not name:
        raise KinematicsError(f"a <{kind}> has no name", where=source)
    return name


def _numbers(text: str, count: int, where: str) -> FloatArray:
    try:
        values = np.array([float(word) for word in text.split()])
    except ValueError:
        raise KinematicsError(f"'{text[:60]}' is not {count} numbers", where=where) from None
    if values.shape != (count,) or not np.isfinite(values).all():
        raise KinematicsError(f"'{text[:60]}' is not {count} finite numbers", where=where)
    return values


def _number(element: ElementTree.Element, attribute: str, default: float | None, where: str) -> float:
    text = element.get(attribute)
    if text is None:
        if default is None:
            raise KinematicsError(f"<{element.tag}> has no '{attribute}'", where=where, hint="Give the joint's limits.")
        return default
    return float(_numbers(text, 1, f"{where} {element.tag} {attribute}")[0])


def _joint(element: ElementTree.Element, source: str) -> UrdfJoint:
    name = _name(element, "joint", source)
    where = f"{source}: joint {name}"
    kind = element.get("type", "")
    if kind != "fixed" and kind not in _MOVING:
        raise KinematicsError(
            f"type '{kind}' is not supported", where=where, hint=f"Use one of fixed, {', '.join(_MOVING)}."
        )
    ends = []
    for tag in ("parent", "child"):
        node = element.find(tag)
        if node is None or not node.get("link"):
            raise KinematicsError(f"no <{tag} link=…>", where=where)
        ends.append(node.get("link", ""))
    node = element.find("origin")
    xyz = _numbers(node.get("xyz", "0 0 0") if node is not None else "0 0 0", 3, f"{where} origin xyz")
    rpy = _numbers(node.get("rpy", "0 0 0") if node is not None else "0 0 0", 3, f"{where} origin rpy")
    node = element.find("axis")
    axis = _numbers(node.get("xyz", "1 0 0") if node is not None else "1 0 0", 3, f"{where} axis")
    if kind == "fixed":
        axis, limit = np.array([1.0, 0.0, 0.0]), None
    else:
        length = float(np.linalg.norm(axis))
        if length < 1e-6:
            raise KinematicsError("the axis has no length", where=f"{where} axis")
        axis, limit = axis / length, _limit(element, kind, where)
    return UrdfJoint(name, kind, ends[0], ends[1], pose_from(xyz, from_euler_xyz_extrinsic(rpy)), axis, limit)


def _limit(element: ElementTree.Element, kind: str, where: str) -> JointLimit:
    """Read ``<limit>``, ``<mimic>`` and Franka's ``<position_based_velocity_limits>``."""
    mimic = _mimic(element.find("mimic"), where)
    node = element.find("limit")
    if node is None:
        # A mimic joint is bounded by its source, a continuous joint has no position bound.
        if mimic is None and kind != "continuous":
            raise KinematicsError(
                "no <limit>", where=where, hint="Give lower, upper and velocity; nothing may move without limits."
            )
        return JointLimit(continuous=kind == "continuous", mimic=mimic, source="URDF")
    lenient = math.inf if mimic is not None or kind == "continuous" else None
    velocity = _number(node, "velocity", lenient, where)
    effort = _number(node, "effort", math.inf, where)
    if kind == "continuous":
        lower, upper = -math.inf, math.inf
    else:
        lower = _number(node, "lower", None if mimic is None else -math.inf, where)
        upper = _number(node, "upper", None if mimic is None else math.inf, where)
    if lower > upper:
        raise KinematicsError(f"lower limit {lower:g} is above upper limit {upper:g}", where=where)
    if velocity <= 0.0:
        if mimic is None:
            raise KinematicsError(f"velocity limit is {velocity:g}", where=where, hint="Give the joint's real limit.")
        velocity = math.inf
    return JointLimit(
        lower=lower,
        upper=upper,
        velocity=velocity,
        effort=effort if effort > 0.0 else math.inf,
        continuous=kind == "continuous",
        position_dependent_velocity=_position_dependent(element, lower, upper, where),
        mimic=mimic,
        source="URDF",
    )


def _mimic(node: ElementTree.Element | None, where: str) -> MimicRule | None:
    if node is None:
        return None
    source = node.get("joint", "")
    if not source:
        raise KinematicsError("<mimic> names no joint", where=where)
    return MimicRule(source, _number(node, "multiplier", 1.0, where), _number(node, "offset", 0.0, where))


def _position_dependent(
    element: ElementTree.Element, lower: float, upper: float, where: str
) -> PositionDependentVelocity | None:
    """Read what libfranka ≥ 0.15 takes from the URDF that an FR3 itself serves (``joint_velocity_limits.h``)."""
    node = element.find("position_based_velocity_limits")
    if node is None:
        return None
    offset = _number(node, "velocity_offset", None, where)
    gain = 2.0 * _number(node, "deceleration_limit", None, where)
    return PositionDependentVelocity(offset, gain, upper, offset, gain, lower)


def _tree(name: str, links: list[str], joints: list[UrdfJoint], source: str) -> UrdfTree:
    """Check that links and joints form one tree, and bring them into depth-first order."""
    for kind, names in (("link", links), ("joint", [j.name for j in joints])):
        repeated = [n for n, count in Counter(names).items() if count > 1]
        if repeated:
            raise KinematicsError(f"{kind} '{repeated[0]}' is defined more than once", where=source)
    known = set(links)
    children: dict[str, list[UrdfJoint]] = {link: [] for link in links}
    parent_joint: dict[str, str] = {}
    for joint in joints:
        for end in (joint.parent, joint.child):
            if end not in known:
                raise KinematicsError(f"link '{end}' is not defined", where=f"{source}: joint {joint.name}")
        if joint.child in parent_joint:
            raise KinematicsError(
                f"link '{joint.child}' has two parents, joints {parent_joint[joint.child]} and {joint.name}",
                where=source,
            )
        parent_joint[joint.child] = joint.name
        children[joint.parent].append(joint)
    roots = [link for link in links if link not in parent_joint]
    if len(roots) != 1:
        raise KinematicsError(f"{len(roots)} root links ({', '.join(roots[:4])}), expected one", where=source)
    ordered = tuple(_depth_first(roots[0], children))
    if len(ordered) != len(joints):
        loose = sorted(known - {roots[0]} - {j.child for j in ordered})
        raise KinematicsError(f"link '{loose[0]}' hangs in a loop", where=source)
    _check_mimics({j.name: j for j in ordered}, source)
    return UrdfTree(name, roots[0], (roots[0], *(j.child for j in ordered)), ordered, source)


def _depth_first(root: str, children: Mapping[str, list[UrdfJoint]]) -> Iterator[UrdfJoint]:
    stack = list(reversed(children[root]))
    while stack:
        joint = stack.pop()
        yield joint
        stack.extend(reversed(children[joint.child]))


def _check_mimics(joints: Mapping[str, UrdfJoint], source: str) -> None:
    for joint in joints.values():
        if joint.limit is None or joint.limit.mimic is None:
            continue
        target = joints.get(joint.limit.mimic.source)
        if target is None or target.limit is None or target.limit.mimic is not None:
            raise KinematicsError(
                f"mimics '{joint.limit.mimic.source}', which is not a moving joint of its own",
                where=f"{source}: joint {joint.name}",
            )
