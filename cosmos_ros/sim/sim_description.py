"""What the simulator needs to know of a robot beyond its URDF: shapes, masses, servos; read from config/."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from cosmos_ros.embodiment.loader import read_yaml
from cosmos_ros.errors import ConfigError
from cosmos_ros.resources import resource
from cosmos_ros.schema import Constraint, Record, RecordError, declare, read

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
class RobotDescription(Record):
    """Everything of ``config/sim_<robot>.yaml``; see the comments there."""

    robot: str
    base_link: str
    hand_link: str
    tool_link: str
    palette: dict[str, tuple[float, float, float]]
    links: dict[str, LinkBody]
    servos: dict[str, Servo]
    stop_margin: Annotated[float, Constraint(ge=0.0)] = 0.05
    finger_stop_margin: Annotated[float, Constraint(ge=0.0)] = 0.001
    cameras: dict[str, MountedCamera] = declare(default_factory=dict)
    schema_version: Literal[1] = 1

    def check(self) -> None:
        """Check the fields against each other."""
        for link, body in self.links.items():
            for shape in body.shapes:
                if shape.colour not in self.palette:
                    raise ValueError(f"links.{link}: colour {shape.colour!r} is not in the palette")


@lru_cache(maxsize=8)
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
