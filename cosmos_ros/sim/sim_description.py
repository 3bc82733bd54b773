"""What the simulator needs to know of a robot beyond its URDF: shapes, masses, servos; read from config/."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from scipy.spatial.transform import Rotation

from cosmos_ros.embodiment.loader import read_yaml
from cosmos_ros.errors import ConfigError
from cosmos_ros.resources import resource
from cosmos_ros.schema import Constraint, Record, RecordError, declare, read
from cosmos_ros.types import FloatArray

Vector = tuple[float, float, float]
Positive = Annotated[float, Constraint(gt=0.0)]


@dataclass(frozen=True, kw_only=True)
class Rod(Record):
    """A capsule or cylinder between two points of the link frame, metres."""

    start: Vector = declare(key="from")
    end: Vector = declare(key="to")
    radius: Positive


@dataclass(frozen=True, kw_only=True)
class Cone(Record):
    """The convex hull of two spheres, metres."""

    start: Vector = declare(key="from")
    end: Vector = declare(key="to")
    radii: tuple[Positive, Positive]


@dataclass(frozen=True, kw_only=True)
class OrientedBox(Record):
    """A box by its centre, full edge lengths (m) and fixed-axis roll, pitch, yaw (rad)."""

    centre: Vector
    size: tuple[Positive, Positive, Positive]
    rpy: Vector = (0.0, 0.0, 0.0)


@dataclass(frozen=True, kw_only=True)
class Sphere(Record):
    """A sphere by centre and radius, metres."""

    centre: Vector
    radius: Positive


@dataclass(frozen=True, kw_only=True)
class Shape(Record):
    """One primitive of a link with its colour; exactly one kind is given.

    Attributes:
        colour: Name in the palette.
        grip: It is a finger pad: high friction and a stiffer contact.
    """

    capsule: Rod | None = None
    cylinder: Rod | None = None
    cone: Cone | None = None
    box: OrientedBox | None = None
    sphere: Sphere | None = None
    colour: str
    grip: bool = False

    def check(self) -> None:
        """Check the fields against each other."""
        given = [kind for kind in ("capsule", "cylinder", "cone", "box", "sphere") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of capsule, cylinder, cone, box, sphere must be given, not {given}")


@dataclass(frozen=True, kw_only=True)
class LinkBody(Record):
    """Shapes and mass (kg) of one link."""

    mass: Positive
    shapes: tuple[Shape, ...]


@dataclass(frozen=True, kw_only=True)
class Servo(Record):
    """Joint servo: N·m/rad and N·m·s/rad (N/m and N·s/m for fingers); effort overrides the URDF's."""

    stiffness: Positive
    damping: Positive
    armature: Positive = 0.05
    effort: Positive | None = None


@dataclass(frozen=True, kw_only=True)
class MountedCamera(Record):
    """A camera on a link (or in the base frame for ``link: null``): looks from position to look_at, metres."""

    link: str | None = None
    position: Vector
    look_at: Vector
    up: Vector = (0.0, 0.0, 1.0)
    fovy: Annotated[float, Constraint(gt=0.1, lt=2.6)]


@dataclass(frozen=True, kw_only=True)
class AddedJoint(Record):
    """A joint of the simulated robot that the embodiment's URDF leaves out; rad or m, rad/s or m/s, N·m or N."""

    name: str
    type: Literal["revolute", "prismatic"]
    axis: Vector
    lower: float
    upper: float
    follows: str | None = None
    multiplier: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True, kw_only=True)
class AddedLink(Record):
    """A link that the embodiment's URDF leaves out, such as a gripper's finger; fixed where it has no joint.

    Attributes:
        name: Name of the link.
        parent: Link of the URDF, or one added before.
        xyz, rpy: Origin in the parent's frame; m and rad, fixed axes.
        joint: Its joint.
    """

    name: str
    parent: str
    xyz: Vector = (0.0, 0.0, 0.0)
    rpy: Vector = (0.0, 0.0, 0.0)
    joint: AddedJoint | None = None


@dataclass(frozen=True, kw_only=True)
class Finger(Record):
    """The joint that opens a hand, where the embodiment names none; its positions closed and open, rad or m."""

    joint: str
    closed: float
    open: float


@dataclass(frozen=True, kw_only=True)
class Hand(Record):
    """Where a hand grips.

    Attributes:
        link: A link that moves with the hand.
        xyz, rpy: Origin of the grasp frame in it (m, rad, fixed axes): between the fingertips, z out of the hand, y
            along which the fingers close.
        stroke: Distance between the finger pads when fully open, m.
        openings: Measured opening (0 closed, 1 open) → distance between the pads as a share of the stroke, as pairs;
            empty where it is proportional.
        squeeze: How much further than contact the fingers are commanded to grip, in openings.
        arm: Joints that carry the hand; empty: all of the embodiment.
        finger: What opens it, for embodiments without joints.
        tilt: Angle between straight down and the direction in which the hand approaches, away from the base, rad.
        lowest: Least height of the grasp frame above the table at which closed fingers, which may reach further than
            open ones, do not touch it, m.
        word: What an instruction calls it, such as ``left``; empty where there is one hand.
    """

    link: str
    xyz: Vector = (0.0, 0.0, 0.0)
    rpy: Vector = (0.0, 0.0, 0.0)
    stroke: Positive
    openings: tuple[tuple[float, float], ...] = ()
    squeeze: Positive = 0.07
    arm: tuple[str, ...] = ()
    finger: Finger | None = None
    tilt: float = 0.0
    lowest: float = 0.0
    word: str = ""


@dataclass(frozen=True, kw_only=True)
class SceneLayout(Record):
    """Where the table stands before the robot, in the base frame; metres.

    Attributes:
        height: Height of the table's top.
        table: x minimum, x maximum, y minimum, y maximum of the table.
        areas: Hand's gripper → x minimum, x maximum, y minimum, y maximum within which its objects are placed.
        scale: Size of objects and clearances relative to those for a Franka.
        turned, yaw: Objects are turned by this, and at random by at most the second to either side, rad.
        cameras: Fixed cameras, by view name.
    """

    height: float = 0.0
    table: tuple[float, float, float, float]
    areas: dict[str, tuple[float, float, float, float]]
    scale: Positive = 1.0
    turned: float = 0.0
    yaw: Positive = 3.141592653589793
    cameras: dict[str, MountedCamera] = declare(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PaceBounds(Record):
    """Largest speed (m/s) and acceleration (m/s²) of the tool, turning (rad/s, rad/s²), gripper openings a second."""

    speed: Positive = 0.2
    acceleration: Positive = 0.5
    turn: Positive = 0.45
    turn_acceleration: Positive = 1.2
    grip: Positive = 1.2


@dataclass(frozen=True, kw_only=True)
class RobotDescription(Record):
    """Everything of ``config/sim_<robot>.yaml``; see the comments there.

    Attributes:
        robot: Name attribute of the URDF.
        urdf: URDF beside the embodiments, for embodiments that are tracked by poses and have none of their own.
        base_link: Frame of every pose.
        hands: The embodiment's gripper → where it grips.
        added: Links that the URDF leaves out.
        start: Joint → position after a reset in place of the embodiment's home, rad or m.
        pace: How fast a script moves it.
    """

    robot: str
    urdf: str | None = None
    base_link: str
    hands: dict[str, Hand]
    scene: SceneLayout
    added: tuple[AddedLink, ...] = ()
    start: dict[str, float] = declare(default_factory=dict)
    pace: PaceBounds = PaceBounds()
    palette: dict[str, tuple[float, float, float]]
    links: dict[str, LinkBody]
    servos: dict[str, Servo]
    stop_margin: Annotated[float, Constraint(ge=0.0)] = 0.05
    finger_stop_margin: Annotated[float, Constraint(ge=0.0)] = 0.001
    cameras: dict[str, MountedCamera] = declare(default_factory=dict)
    schema_version: Literal[1] = 1

    def check(self) -> None:
        """Check the fields against each other."""
        if not self.hands or set(self.hands) != set(self.scene.areas):
            raise ValueError(f"scene.areas {sorted(self.scene.areas)} must name the hands {sorted(self.hands)}")
        for link, body in self.links.items():
            for shape in body.shapes:
                if shape.colour not in self.palette:
                    raise ValueError(f"links.{link}: colour {shape.colour!r} is not in the palette")


@lru_cache(maxsize=16)
def load_description(robot: str, path: Path | None = None) -> RobotDescription:
    """Read the simulator's description of a robot.

    Args:
        robot: Name attribute of the URDF, e.g. ``panda``.
        path: Another file than the shipped ``config/sim_<robot>.yaml``.

    Raises:
        ConfigError: There is none, or it is wrong; names the file and the field.
    """
    file = path or resource("config") / f"sim_{robot}.yaml"
    if not file.is_file():
        raise ConfigError(
            f"robot {robot} cannot be simulated: {file.name} is missing",
            where=str(file.parent),
            hint="Write one after config/sim_panda.yaml.",
        )
    try:
        return read(RobotDescription, read_yaml(file))
    except RecordError as error:
        raise ConfigError(str(error), where=str(file)) from error


@lru_cache(maxsize=64)
def hand_frame(hand: Hand) -> FloatArray:
    """Return the grasp frame ``[4, 4]`` in the frame of the hand's link."""
    frame: FloatArray = np.eye(4)
    frame[:3, :3] = Rotation.from_euler("xyz", hand.rpy).as_matrix()
    frame[:3, 3] = hand.xyz
    frame.setflags(write=False)
    return frame
