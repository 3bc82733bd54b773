"""A robot for MuJoCo: joints exactly as in the URDF, dressed with shapes, masses and servos."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from cosmos_ros.errors import ConfigError
from cosmos_ros.sim.rendering import mujoco
from cosmos_ros.sim.sim_description import (
    AddedLink,
    Cone,
    MountedCamera,
    OrientedBox,
    RobotDescription,
    Rod,
    Servo,
    Shape,
    load_description,
)
from cosmos_ros.types import FloatArray

# Contact bits: robot shapes meet the world but not each other; the world meets everything.
ROBOT_BIT, WORLD_BIT = 1, 2
_URDF_COMPILER = '<mujoco><compiler discardvisual="false" fusestatic="false"/></mujoco>'


@dataclass(frozen=True)
class RobotSpec:
    """A robot ready to be put into a scene.

    Attributes:
        spec: ``mujoco.MjSpec`` with the robot in its base frame = world.
        description: What it was dressed with.
        joint_names: Joints that have an own servo, in URDF order (mimic joints follow theirs).
        mimics: Following joint → (the joint it follows, multiplier, offset).
        own_joints: Joints of the URDF; the others were added for the simulation.
        ranges: Joint name → (lower, upper) of the URDF, before the physical stops were widened; rad or m.
        velocity_feedforward: Joint name → damping/stiffness, s.
    """

    spec: Any
    description: RobotDescription
    joint_names: tuple[str, ...]
    mimics: dict[str, tuple[str, float, float]]
    own_joints: frozenset[str]
    ranges: dict[str, tuple[float, float]]
    velocity_feedforward: dict[str, float]


def load_robot(urdf: Path, efforts: dict[str, float]) -> RobotSpec:
    """Build the robot from a URDF (kinematics) and the shipped description of its body.

    Args:
        urdf: The URDF; link frames, joint origins, axes, ranges and mimics are taken from it by MuJoCo's reader.
        efforts: Joint name → largest servo force, N·m or N.

    Raises:
        ConfigError: The file is unreadable, or the description does not fit it; names the file and the link or joint.
    """
    try:
        text = urdf.read_text(encoding="utf-8")
        # MuJoCo reads its own compiler settings from an element inside <robot>.
        start = text.index(">", text.index("<robot")) + 1
        body = load_description(ET.fromstring(text).get("name", ""))  # noqa: S314 - the robot of an embodiment
        end = text.rindex("</robot>")
        own = frozenset(j.name for j in mujoco.MjSpec.from_string(text[:start] + _URDF_COMPILER + text[start:]).joints)
        spec = mujoco.MjSpec.from_string(
            text[:start] + _URDF_COMPILER + text[start:end] + _added_xml(body.added) + text[end:]
        )
    except (OSError, ValueError, ET.ParseError) as error:
        raise ConfigError(f"cannot be read as a URDF: {error}", where=str(urdf)) from error
    where = f"description of {body.robot} for {urdf.name}"
    bodies = {b.name: b for b in spec.bodies}
    for link in [*body.links, body.base_link, *(hand.link for hand in body.hands.values())]:
        if link not in bodies:
            raise ConfigError(f"link {link} is not in the URDF", where=where)
    _dress(spec, bodies, body)
    joints = {j.name: j for j in spec.joints}
    ranges = {name: (float(j.range[0]), float(j.range[1])) for name, j in joints.items()}
    mimics = {}
    for equality in spec.equalities:
        if equality.type == mujoco.mjtEq.mjEQ_JOINT:
            mimics[equality.name1] = (equality.name2, float(equality.data[1]), float(equality.data[0]))
            if equality.data[1] != 1.0:
                equality.solref = [0.004, 1.0]  # fingers that turn against each other are geared, not tied
    driven = tuple(name for name in joints if name not in mimics)
    without = [name for name in driven if name not in body.servos]
    if without:
        raise ConfigError(f"joints {without} have no servo", where=where)
    sources = {source for source, _, _ in mimics.values()}
    for name, joint in joints.items():
        servo = body.servos[mimics[name][0] if name in mimics else name]
        finger = name in mimics or name in sources
        margin = body.finger_stop_margin if finger else body.stop_margin
        joint.range = [ranges[name][0] - margin, ranges[name][1] + margin]
        joint.armature = servo.armature
        joint.solref_limit = [0.004, 1.0]
    for name in driven:
        # Fingers on the same palm share the servo's force; what they carry follows by its gears alone.
        palm = joints[name].parent.parent.name
        followers = {
            n: ratio
            for n, (source, ratio, _) in mimics.items()
            if source == name and joints[n].parent.parent.name == palm
        }
        _add_servo(spec, name, followers, body.servos[name], efforts)
    for link in spec.bodies:
        link.gravcomp = 1.0
    for name, camera in body.cameras.items():
        add_camera(bodies[camera.link or body.base_link], name, camera)
    feedforward = {name: body.servos[name].damping / body.servos[name].stiffness for name in driven}
    return RobotSpec(spec, body, driven, mimics, own, ranges, feedforward)


def _added_xml(links: Sequence[AddedLink]) -> str:
    """Return the links that the URDF leaves out as URDF elements."""
    parts = []
    for link in links:
        joint = link.joint
        kind, name = ("fixed", f"{link.name}_mount") if joint is None else (joint.type, joint.name)
        parts.append(f"<link name={quoteattr(link.name)}/><joint name={quoteattr(name)} type='{kind}'>")
        parts.append(f"<parent link={quoteattr(link.parent)}/><child link={quoteattr(link.name)}/>")
        parts.append(f"<origin xyz='{_text(link.xyz)}' rpy='{_text(link.rpy)}'/>")
        if joint is not None:
            parts.append(f"<axis xyz='{_text(joint.axis)}'/>")
            parts.append(f"<limit lower='{joint.lower}' upper='{joint.upper}' velocity='10' effort='10'/>")
            if joint.follows is not None:
                ratio = f"multiplier='{joint.multiplier}' offset='{joint.offset}'"
                parts.append(f"<mimic joint={quoteattr(joint.follows)} {ratio}/>")
        parts.append("</joint>")
    return "".join(parts)


def _text(vector: Iterable[float]) -> str:
    return " ".join(f"{value:.17g}" for value in vector)


def _dress(spec: Any, bodies: dict[str, Any], description: RobotDescription) -> None:
    for name, colour in description.palette.items():
        shine = 0.25 if name in ("dark", "pad", "grey") else 0.45
        spec.add_material(name=name, rgba=[*colour, 1.0], specular=shine, shininess=0.4)
    for link, body in description.links.items():
        if not body.shapes:  # something light that carries others
            bodies[link].mass, bodies[link].inertia, bodies[link].explicitinertial = body.mass, [1e-3] * 3, True
        geoms = [_add_shape(spec, bodies[link], f"{link}_{i}", shape) for i, shape in enumerate(body.shapes)]
        volume = sum(_volume(shape) for shape in body.shapes)
        for geom in geoms:
            geom.density = body.mass / volume


def _add_shape(spec: Any, body: Any, name: str, shape: Shape) -> Any:
    kinds = mujoco.mjtGeom
    common: dict[str, Any] = {"name": name, "material": shape.colour, "group": 1}
    rod = shape.capsule or shape.cylinder
    if rod is not None:
        kind = kinds.mjGEOM_CAPSULE if shape.capsule else kinds.mjGEOM_CYLINDER
        geom = body.add_geom(type=kind, fromto=[*rod.start, *rod.end], size=[rod.radius, 0, 0], **common)
    elif shape.cone is not None:
        spec.add_mesh(name=name, uservert=_cone_vertices(shape.cone).ravel())
        geom = body.add_geom(type=kinds.mjGEOM_MESH, meshname=name, **common)
    elif shape.box is not None:
        half = [0.5 * edge for edge in shape.box.size]
        geom = body.add_geom(type=kinds.mjGEOM_BOX, pos=shape.box.centre, size=half, **common)
        geom.quat = _quaternion_from_rpy(shape.box)
    else:
        assert shape.sphere is not None
        geom = body.add_geom(
            type=kinds.mjGEOM_SPHERE, pos=shape.sphere.centre, size=[shape.sphere.radius, 0, 0], **common
        )
    geom.contype, geom.conaffinity = ROBOT_BIT, WORLD_BIT
    if shape.grip:
        geom.condim, geom.priority = 4, 1
        geom.friction = [1.2, 0.02, 0.0001]
        geom.solref, geom.solimp = [0.004, 1.0], [0.95, 0.99, 0.001, 0.5, 2.0]
    return geom


def _cone_vertices(cone: Cone) -> FloatArray:
    """Return points on two spheres, evenly spread (Fibonacci), whose hull is the rounded cone."""
    count = 80
    index = np.arange(count) + 0.5
    polar, azimuth = np.arccos(1.0 - 2.0 * index / count), np.pi * (1.0 + 5.0**0.5) * index
    unit = np.stack((np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)), axis=-1)
    return np.concatenate((np.array(cone.start) + cone.radii[0] * unit, np.array(cone.end) + cone.radii[1] * unit))


def _volume(shape: Shape) -> float:
    """Return a shape's volume in m³; a rounded cone counts as a frustum and two half spheres."""

    def length(rod: Rod | Cone) -> float:
        return float(np.linalg.norm(np.subtract(rod.end, rod.start)))

    if shape.box is not None:
        return float(np.prod(shape.box.size))
    if shape.cylinder is not None:
        return float(np.pi * shape.cylinder.radius**2 * length(shape.cylinder))
    if shape.capsule is not None:
        r = shape.capsule.radius
        return float(np.pi * r**2 * (length(shape.capsule) + 4.0 / 3.0 * r))
    if shape.cone is not None:
        a, b = shape.cone.radii
        return float(np.pi * (length(shape.cone) * (a * a + a * b + b * b) / 3.0 + 2.0 / 3.0 * (a**3 + b**3)))
    assert shape.sphere is not None
    return float(4.0 / 3.0 * np.pi * shape.sphere.radius**3)


def _quaternion_from_rpy(box: OrientedBox) -> FloatArray:
    quat = np.zeros(4)
    mujoco.mju_euler2Quat(quat, np.array(box.rpy, dtype=np.float64), "XYZ")  # capital: fixed axes
    return quat


def _add_servo(spec: Any, name: str, followers: dict[str, float], servo: Servo, efforts: dict[str, float]) -> None:
    effort = servo.effort or efforts.get(name)
    if effort is None or not np.isfinite(effort):
        raise ConfigError(f"joint {name} has no effort limit", where="simulated robot", hint="Give servos.*.effort.")
    actuator = spec.add_actuator(name=name)
    if followers:
        # One actuator on the mean of the fingers: both share the force, as with the spindle of a real hand.
        tendon = spec.add_tendon(name=f"{name}_tendon")
        for joint, ratio in {name: 1.0, **followers}.items():
            tendon.wrap_joint(joint, ratio / (1 + len(followers)))
        actuator.trntype, actuator.target = mujoco.mjtTrn.mjTRN_TENDON, f"{name}_tendon"
    else:
        actuator.trntype, actuator.target = mujoco.mjtTrn.mjTRN_JOINT, name
    actuator.gaintype, actuator.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
    actuator.gainprm[0] = servo.stiffness
    actuator.biasprm[1], actuator.biasprm[2] = -servo.stiffness, -servo.damping
    actuator.forcelimited, actuator.forcerange = mujoco.mjtLimited.mjLIMITED_TRUE, [-effort, effort]


def add_camera(body: Any, name: str, camera: MountedCamera) -> None:
    """Add a camera to a body: x right, y up, looking along -z, as MuJoCo and OpenGL have it."""
    position = np.array(camera.position)
    back = position - np.array(camera.look_at)
    back /= np.linalg.norm(back)
    right = np.cross(np.array(camera.up), back)
    if np.linalg.norm(right) < 1e-6:
        raise ConfigError("up is parallel to the line of sight", where=f"camera {name}")
    right /= np.linalg.norm(right)
    rotation = np.stack((right, np.cross(back, right), back), axis=-1)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, rotation.ravel())
    body.add_camera(name=name, pos=position, quat=quat, fovy=np.degrees(camera.fovy))
