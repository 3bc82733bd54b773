"""What the simulator needs to know of a robot beyond its URDF: shapes, masses, servos; read from config/."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cosmos_ros.embodiment.loader import read_yaml
from cosmos_ros.errors import ConfigError
from cosmos_ros.resources import resource

Vector = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Rod(_Record):
    """A capsule or cylinder between two points of the link frame, metres."""

    start: Vector = Field(alias="from")
    end: Vector = Field(alias="to")
    radius: Positive


class Cone(_Record):
    """The convex hull of two spheres, metres."""

    start: Vector = Field(alias="from")
    end: Vector = Field(alias="to")
    radii: tuple[Positive, Positive]


class OrientedBox(_Record):
    """A box by its centre, full edge lengths (m) and fixed-axis roll, pitch, yaw (rad)."""

    centre: Vector
    size: tuple[Positive, Positive, Positive]
    rpy: Vector = (0.0, 0.0, 0.0)


class Sphere(_Record):
    """A sphere by centre and radius, metres."""

    centre: Vector
    radius: Positive


class Shape(_Record):
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

    @model_validator(mode="after")
    def _one_kind(self) -> Shape:
        given = [kind for kind in ("capsule", "cylinder", "cone", "box", "sphere") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(f"exactly one of capsule, cylinder, cone, box, sphere must be given, not {given}")
        return self


class LinkBody(_Record):
    """Shapes and mass (kg) of one link."""

    mass: Positive
    shapes: tuple[Shape, ...]


class Servo(_Record):
    """Joint servo: N·m/rad and N·m·s/rad (N/m and N·s/m for fingers); effort overrides the URDF's."""

    stiffness: Positive
    damping: Positive
    armature: Positive = 0.05
    effort: Positive | None = None


class MountedCamera(_Record):
    """A camera on a link (or in the base frame for ``link: null``): looks from position to look_at, metres."""

    link: str | None = None
    position: Vector
    look_at: Vector
    up: Vector = (0.0, 0.0, 1.0)
    fovy: Annotated[float, Field(gt=0.1, lt=2.6)]


class RobotDescription(_Record):
    """Everything of ``config/sim_<robot>.yaml``; see the comments there."""

    robot: str
    base_link: str
    hand_link: str
    tool_link: str
    palette: dict[str, tuple[float, float, float]]
    links: dict[str, LinkBody]
    servos: dict[str, Servo]
    stop_margin: Annotated[float, Field(ge=0.0)] = 0.05
    finger_stop_margin: Annotated[float, Field(ge=0.0)] = 0.001
    cameras: dict[str, MountedCamera] = {}
    schema_version: Literal[1] = 1

    @model_validator(mode="after")
    def _colours(self) -> RobotDescription:
        for link, body in self.links.items():
            for shape in body.shapes:
                if shape.colour not in self.palette:
                    raise ValueError(f"links.{link}: colour {shape.colour!r} is not in the palette")
        return self


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
        return RobotDescription.model_validate(read_yaml(file))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{field}: {first['msg']}", where=str(file)) from error
