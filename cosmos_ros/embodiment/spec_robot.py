"""Records of the robot part of an embodiment file: joints, limits, collision bodies, workspace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from cosmos_ros.embodiment.spec_base import Name, Number, Positive, Vector3
from cosmos_ros.schema import Constraint, Record, declare

Curve = Annotated[list[Number], Constraint(min_length=3, max_length=3)]


@dataclass(frozen=True, kw_only=True)
class Controller(Record):
    """One ros2_controllers JointTrajectoryController."""

    topic: Name = declare(description="Relative topic name the guard publishes to, e.g. joint_trajectory.")
    joints: list[Name] = declare(min_length=1, max_length=64, description="Joints it takes, in its order.")


@dataclass(frozen=True, kw_only=True)
class Robot(Record):
    """The robot itself. Left out for embodiments that are tracked by tool poses alone."""

    urdf: str = declare(min_length=1, max_length=300, description="URDF file, relative to the embodiment file.")
    ur_calibration: str | None = declare(
        default=None,
        min_length=1,
        max_length=300,
        description="Kinematics file of one particular UR arm, as its driver uses, relative to this file.",
    )
    base_frame: Name = declare(description="Link that poses are given in: the URDF's root link or one below it.")
    joints: list[Name] = declare(
        min_length=1, max_length=64, description="Joints that the inverse kinematics moves, in the robot's order."
    )
    home: dict[Name, Number] = declare(description="Home posture: every arm joint, and gripper joints; rad or m.")
    nominal: dict[Name, Number] = declare(
        default_factory=dict, description="Posture the redundant joints are pulled to; left out: home."
    )
    tool_links: list[Name] | None = declare(
        default=None,
        min_length=1,
        max_length=8,
        description="Links tool poses are given for, where the layout has joints only; left out: those of the layout.",
    )
    controllers: list[Controller] = declare(min_length=1, max_length=16, description="Where trajectories are sent.")


@dataclass(frozen=True, kw_only=True)
class PositionDependentVelocitySpec(Record):
    """Velocity bound that shrinks towards the position bound (FR3)."""

    upper: Curve = declare(description="[offset, gain, position]: v <= -offset + sqrt(gain (position - q)).")
    lower: Curve = declare(description="[offset, gain, position]: v >= offset - sqrt(gain (q - position)).")


@dataclass(frozen=True, kw_only=True)
class JointLimitSpec(Record):
    """Limits of one joint. What is left out is taken from the URDF, else there is none."""

    lower: Number | None = declare(None, description="Lowest position, rad or m.")
    upper: Number | None = declare(None, description="Highest position, rad or m.")
    velocity: Positive | None = declare(None, description="rad/s or m/s.")
    acceleration: Positive | None = declare(None, description="rad/s² or m/s².")
    jerk: Positive | None = declare(None, description="rad/s³ or m/s³.")
    effort: Positive | None = declare(None, description="Nm or N.")
    position_dependent_velocity: PositionDependentVelocitySpec | None = declare(
        default=None, description="Velocity bound as a function of position."
    )
    source: str = declare("", description="Where these numbers are from, where it differs from limits.source.")

    def check(self) -> None:
        """Check the fields against each other."""
        if self.lower is not None and self.upper is not None and not self.upper > self.lower:
            raise ValueError(f"upper {self.upper} must be above lower {self.lower}")


@dataclass(frozen=True, kw_only=True)
class CartesianLimitSpec(Record):
    """Limits of one link's motion in the base frame."""

    link: Name = declare(description="Link the limits hold for.")
    linear_speed: Positive | None = declare(None, description="m/s.")
    angular_speed: Positive | None = declare(None, description="rad/s.")
    linear_acceleration: Positive | None = declare(None, description="m/s².")
    angular_acceleration: Positive | None = declare(None, description="rad/s².")
    source: str = declare("", description="Where the numbers are from.")


@dataclass(frozen=True, kw_only=True)
class LimitsSpec(Record):
    """What the robot can follow."""

    source: str = declare(description="Where the numbers are from, unless a joint says otherwise.")
    joints: dict[Name, JointLimitSpec] = declare(default_factory=dict, description="By joint name.")
    cartesian: list[CartesianLimitSpec] = declare(default_factory=list, max_length=8, description="By link.")
    required_joints: list[Name] | None = declare(
        default=None, description="Joints every trajectory must carry; left out: the arm joints."
    )


@dataclass(frozen=True, kw_only=True)
class CapsuleSpec(Record):
    """A cylinder with round ends, fixed to a link."""

    link: Name = declare(description="Link it moves with.")
    xyz: Vector3 = declare(description="Its middle in the link frame, m.")
    axis: Literal["x", "y", "z"] = declare(description="Axis of the link frame that it lies along.")
    radius: Positive = declare(description="m.")
    length: Positive = declare(description="Of the cylinder between the two half spheres, m.")


@dataclass(frozen=True, kw_only=True)
class Collision(Record):
    """Bodies for the self-collision check."""

    capsules: list[CapsuleSpec] = declare(min_length=2, max_length=64, description="Bodies.")
    chains: list[Annotated[list[Name], Constraint(min_length=1, max_length=64)]] = declare(
        min_length=1,
        max_length=8,
        description="Links of each arm in chain order. Bodies of two arms are always checked against each other.",
    )
    ignore_closer_than: int = declare(
        default=3, ge=1, le=10, description="Pairs fewer than this many places apart in one chain are not checked."
    )
    source: str = declare("", description="Where the bodies are from.")

    def check(self) -> None:
        """Check the fields against each other."""
        links = [link for chain in self.chains for link in chain]
        for index, capsule in enumerate(self.capsules):
            if links.count(capsule.link) != 1:
                raise ValueError(f"capsules[{index}].link {capsule.link} must stand once in chains {self.chains}")

    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Return index pairs into ``capsules`` that are to be kept apart."""
        places = {link: (c, i) for c, chain in enumerate(self.chains) for i, link in enumerate(chain)}
        found = []
        for i, first in enumerate(self.capsules):
            for j in range(i + 1, len(self.capsules)):
                (chain, place), (other_chain, other_place) = places[first.link], places[self.capsules[j].link]
                if chain != other_chain or abs(place - other_place) >= self.ignore_closer_than:
                    found.append((i, j))
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class BoxSpec(Record):
    """An axis-aligned box in the base frame."""

    lower: Vector3 = declare(description="Smallest x, y, z in the base frame, m.")
    upper: Vector3 = declare(description="Largest x, y, z in the base frame, m.")

    def check(self) -> None:
        """Check the fields against each other."""
        for axis, low, high in zip("xyz", self.lower, self.upper, strict=True):
            if not high > low:
                raise ValueError(f"upper {axis} {high} must be above lower {axis} {low}")


@dataclass(frozen=True, kw_only=True)
class WorkspaceSpec(Record):
    """Where the tools may be. Belongs to the cell, not to the robot: set it for yours."""

    box: BoxSpec | None = declare(None, description="Box the tools must stay in. Left out: not checked.")
    keep_out: list[BoxSpec] = declare(
        default_factory=list, max_length=32, description="Boxes the tools must stay out of: fixtures, people's places."
    )
    table_height: Number | None = declare(
        default=None, description="Height of a table in the base frame, m; tools stay above it. Left out: not checked."
    )
