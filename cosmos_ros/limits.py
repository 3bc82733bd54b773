"""What a robot can follow: limits per joint and for the tool, as plain data with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import inf


@dataclass(frozen=True)
class PositionDependentVelocity:
    """Velocity bound that shrinks towards a position bound (FR3, libfranka ``rate_limiting.h``).

    ``upper(q) = min(vmax, max(0, -upper_offset + sqrt(max(0, upper_gain * (upper_position - q)))))`` and
    ``lower(q) = max(-vmax, min(0, lower_offset - sqrt(max(0, lower_gain * (q - lower_position)))))``.
    Gains are 2·deceleration in rad/s²; offsets rad/s; positions rad, both in the joint's own sign.
    """

    upper_offset: float
    upper_gain: float
    upper_position: float
    lower_offset: float
    lower_gain: float
    lower_position: float


@dataclass(frozen=True)
class MimicRule:
    """``q = multiplier · q_source + offset``."""

    source: str
    multiplier: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class JointLimit:
    """Limits of one joint; rad or m, and their time derivatives. ``inf`` means that none is known.

    ``continuous`` joints have no position bound and wrap. ``source`` says where the numbers are from.
    """

    lower: float = -inf
    upper: float = inf
    velocity: float = inf
    acceleration: float = inf
    jerk: float = inf
    effort: float = inf
    continuous: bool = False
    position_dependent_velocity: PositionDependentVelocity | None = None
    mimic: MimicRule | None = None
    source: str = ""


@dataclass(frozen=True)
class CartesianLimits:
    """Limits of the tool link in the base frame: m/s, rad/s, m/s², rad/s². ``inf`` means none."""

    tool_link: str = ""
    linear_speed: float = inf
    angular_speed: float = inf
    linear_acceleration: float = inf
    angular_acceleration: float = inf
    source: str = ""


@dataclass(frozen=True)
class RobotLimits:
    """Everything the guard knows about a robot's limits, keyed by joint name."""

    joints: Mapping[str, JointLimit]
    cartesian: tuple[CartesianLimits, ...] = ()
    required_joints: tuple[str, ...] = field(default=())


def scaled(limits: RobotLimits, **scales: float) -> RobotLimits:
    """Return limits with some of the joints' bounds scaled, by field: ``velocity=0.5``.

    A velocity bound that depends on position is scaled as a whole: ``s · bound(q)`` has the same form.
    """
    joints = {}
    for name, joint in limits.joints.items():
        law, share = joint.position_dependent_velocity, scales.get("velocity", 1.0)
        if law is not None:
            law = replace(
                law,
                upper_offset=share * law.upper_offset,
                upper_gain=share**2 * law.upper_gain,
                lower_offset=share * law.lower_offset,
                lower_gain=share**2 * law.lower_gain,
            )
        bounds = {field: scale * getattr(joint, field) for field, scale in scales.items()}
        joints[name] = replace(joint, position_dependent_velocity=law, **bounds)
    return replace(limits, joints=joints)
