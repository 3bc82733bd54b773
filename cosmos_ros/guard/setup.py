"""Make a guard's surroundings and model-based checks from an embodiment."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from cosmos_ros.guard.checks.base import Check
from cosmos_ros.guard.config import Box, Capsule, GuardConfig, Surroundings

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment


def surroundings_of(embodiment: Embodiment, *, minimum_singular_value: float = 0.0) -> Surroundings:
    """Return box, table and capsules as the embodiment gives them."""
    spec = embodiment.spec
    workspace, collision = getattr(spec, "workspace", None), spec.collision
    box = None if workspace is None or workspace.box is None else workspace.box
    height = None if workspace is None else workspace.table_height
    capsules: tuple[Capsule, ...] = ()
    if collision is not None:
        capsules = tuple(
            Capsule(c.link, (c.xyz[0], c.xyz[1], c.xyz[2]), c.axis, c.radius, c.length) for c in collision.capsules
        )
    return Surroundings(
        links=tuple(embodiment.tool_links),
        workspace=None
        if box is None
        else Box((box.lower[0], box.lower[1], box.lower[2]), (box.upper[0], box.upper[1], box.upper[2])),
        minimum_z=-inf if height is None else float(height),
        minimum_singular_value=minimum_singular_value,
        capsules=capsules,
        collision_pairs=tuple(embodiment.collision_pairs()),
    )


def embodiment_checks(embodiment: Embodiment, config: GuardConfig) -> tuple[Check, ...]:
    """Return the checks that need the robot's kinematics."""
    del embodiment, config
    return ()
