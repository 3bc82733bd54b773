"""Where the robot's links may be, and the arm's own shape."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING

from cosmos_ros.errors import ConfigError

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment
    from cosmos_ros.embodiment.spec_robot import BoxSpec


@dataclass(frozen=True)
class Box:
    """Axis-aligned box in the base frame, metres."""

    minimum: tuple[float, float, float]
    maximum: tuple[float, float, float]


@dataclass(frozen=True)
class Capsule:
    """A cylinder with round ends, fixed to a link.

    Attributes:
        link: Link name.
        xyz: Centre in the link frame, metres.
        axis: ``x``, ``y`` or ``z`` of the link frame.
        radius: Metres.
        length: Between the centres of the round ends, metres.
    """

    link: str
    xyz: tuple[float, float, float]
    axis: str
    radius: float
    length: float


@dataclass(frozen=True)
class Surroundings:
    """What the robot must keep to besides its joint limits. All metres in the base frame.

    Attributes:
        links: Links whose origin is held against box, keep-out boxes and plane, and whose Jacobian is kept away from
            singularities; empty: the tool links of the limits.
        workspace: The origins stay inside this box.
        keep_out: The origins stay outside these boxes.
        minimum_z: Height of the table plane; -inf for none.
        capsules: The arm's shape; none switches self-collision off.
        collision_pairs: Index pairs into ``capsules`` that are held apart.
    """

    links: tuple[str, ...] = ()
    workspace: Box | None = None
    keep_out: tuple[Box, ...] = ()
    minimum_z: float = -inf
    capsules: tuple[Capsule, ...] = ()
    collision_pairs: tuple[tuple[int, int], ...] = ()


def surroundings_of(embodiment: Embodiment) -> Surroundings:
    """Return boxes, table and capsules as an embodiment gives them."""
    workspace, collision = embodiment.spec.workspace, embodiment.spec.collision
    height = workspace.table_height
    capsules: tuple[Capsule, ...] = ()
    if collision is not None:
        capsules = tuple(
            Capsule(c.link, (c.xyz[0], c.xyz[1], c.xyz[2]), c.axis, c.radius, c.length) for c in collision.capsules
        )
    return Surroundings(
        links=tuple(embodiment.tool_links),
        workspace=None if workspace.box is None else _box(workspace.box),
        keep_out=tuple(_box(box) for box in workspace.keep_out),
        minimum_z=-inf if height is None else float(height),
        capsules=capsules,
        collision_pairs=tuple(embodiment.collision_pairs()),
    )


def _box(box: BoxSpec) -> Box:
    return Box((box.lower[0], box.lower[1], box.lower[2]), (box.upper[0], box.upper[1], box.upper[2]))


def parse_boxes(text: str) -> tuple[Box, ...]:
    """Return the boxes in a text: ``x0 y0 z0 x1 y1 z1`` each, in metres, separated by ``;``.

    Raises:
        ConfigError: A box has not six finite numbers, or a corner is not below the other.
    """
    boxes = []
    for part in text.split(";"):
        numbers = part.split()
        if not numbers:
            continue
        try:
            x0, y0, z0, x1, y1, z1 = (float(number) for number in numbers)
        except ValueError as error:
            raise ConfigError(
                f"'{part.strip()}' is not a box", where="keep_out", hint="Give six numbers: x0 y0 z0 x1 y1 z1."
            ) from error
        low, high = (x0, y0, z0), (x1, y1, z1)
        if not all(isfinite(a) and isfinite(b) and a < b for a, b in zip(low, high, strict=True)):
            raise ConfigError(
                f"'{part.strip()}' is no box",
                where="keep_out",
                hint="Give the smallest corner first, then the largest.",
            )
        boxes.append(Box(low, high))
    return tuple(boxes)
