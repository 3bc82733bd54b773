"""Choose the checks for a robot, and read its surroundings from an embodiment."""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING

import numpy as np

from cosmos_ros.errors import GuardError
from cosmos_ros.guard.checks.acceleration import Acceleration
from cosmos_ros.guard.checks.base import Check
from cosmos_ros.guard.checks.end import Duration, EndVelocity
from cosmos_ros.guard.checks.jerk import Jerk
from cosmos_ros.guard.checks.mimic import Mimic
from cosmos_ros.guard.checks.position import Position
from cosmos_ros.guard.checks.region import KeepOut, Plane, Workspace
from cosmos_ros.guard.checks.self_collision import SelfCollision
from cosmos_ros.guard.checks.singularity import Singularity, Thresholds
from cosmos_ros.guard.checks.start import StartDiscontinuity
from cosmos_ros.guard.checks.tool_motion import CartesianAcceleration, CartesianSpeed, RotationalSpeed
from cosmos_ros.guard.checks.units import Uncertainty, Units
from cosmos_ros.guard.checks.velocity import Velocity
from cosmos_ros.guard.guard_settings import Box, Capsule, GuardConfig, Surroundings
from cosmos_ros.guard.motion.sampler import Sampler
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.limits import RobotLimits

if TYPE_CHECKING:
    from cosmos_ros.embodiment import Embodiment


def joint_checks() -> tuple[Check, ...]:
    """Return the checks that need no robot model."""
    return (
        Uncertainty(), Units(), StartDiscontinuity(), Duration(), Position(), Velocity(), Acceleration(), Jerk(),
        Mimic(), EndVelocity(),
    )  # fmt: skip


def model_checks(
    limits: RobotLimits, config: GuardConfig, model: RobotModel | None
) -> tuple[tuple[Check, ...], Sampler | None]:
    """Return the checks that need the robot's kinematics, as far as there is something to check, and the sampler.

    Raises:
        GuardError: Something is to be checked that needs a model, and there is none.
    """
    around = config.surroundings
    links = around.links or tuple(c.tool_link for c in limits.cartesian)
    checks: list[Check] = []
    if any(isfinite(c.linear_speed) for c in limits.cartesian):
        checks.append(CartesianSpeed(limits.cartesian))
    if any(isfinite(c.angular_speed) for c in limits.cartesian):
        checks.append(RotationalSpeed(limits.cartesian))
    if any(isfinite(c.linear_acceleration) or isfinite(c.angular_acceleration) for c in limits.cartesian):
        checks.append(CartesianAcceleration(limits.cartesian))
    if around.workspace is not None:
        checks.append(Workspace(links, around.workspace))
    if around.keep_out:
        checks.append(KeepOut(links, around.keep_out))
    if isfinite(around.minimum_z):
        checks.append(Plane(links, around.minimum_z))
    thresholds = Thresholds(
        around.minimum_singular_value,
        around.slow_singular_value,
        around.maximum_condition_number,
        around.slow_condition_number,
    )
    if thresholds.halts or thresholds.slows:
        checks += [Singularity(link, thresholds) for link in links if model is None or moves_freely(model, link)]
    checks = [check for check in checks if config.enabled(check.name)]
    collides = bool(around.collision_pairs) and config.enabled("self_collision")
    if not checks and not collides:
        return (), None
    if model is None:
        names = ", ".join(sorted({check.name for check in checks} | ({"self_collision"} if collides else set())))
        raise GuardError(f"{names}: no robot model", hint="Give the guard the robot's URDF, or switch these off.")
    if collides:
        checks.append(SelfCollision(model, around.capsules, around.collision_pairs))
    tools = [c.tool_link for c in limits.cartesian]
    return tuple(checks), Sampler(model, [*tools, *links], links, around.capsules if collides else ())


def moves_freely(model: RobotModel, link: str) -> bool:
    """Whether a link has six degrees of freedom somewhere; one with fewer (a head) is singular everywhere."""
    postures = np.random.default_rng(0).uniform(-1.0, 1.0, (8, len(model.joint_names)))
    return any(np.linalg.matrix_rank(model.jacobian(posture, link), tol=1e-6) == 6 for posture in postures)


def surroundings_of(embodiment: Embodiment) -> Surroundings:
    """Return box, table and capsules as the embodiment gives them; no thresholds of singularity."""
    workspace, collision = embodiment.spec.workspace, embodiment.spec.collision
    box, height = workspace.box, workspace.table_height
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
        capsules=capsules,
        collision_pairs=tuple(embodiment.collision_pairs()),
    )
