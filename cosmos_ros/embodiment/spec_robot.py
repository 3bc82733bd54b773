"""Models of the robot part of an embodiment file: joints, limits, collision bodies, workspace."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cosmos_ros.embodiment.spec_base import Model, Name, Number, Positive, Vector3

Curve = Annotated[list[Number], Field(min_length=3, max_length=3)]


class Controller(Model):
    """One ros2_controllers JointTrajectoryController."""

    topic: Name = Field(description="Relative topic name the guard publishes to, e.g. joint_trajectory.")
    joints: list[Name] = Field(min_length=1, max_length=64, description="Joints it takes, in its order.")


class Robot(Model):
    """The robot itself. Left out for embodiments that are tracked by tool poses alone."""

    urdf: str = Field(min_length=1, max_length=300, description="URDF file, relative to the embodiment file.")
    ur_calibration: str | None = Field(
        default=None,
        min_length=1,
        max_length=300,
        description="Kinematics file of one particular UR arm, as its driver uses, relative to this file.",
    )
    base_frame: Name = Field(description="Link that poses are given in: the URDF's root link or one below it.")
    joints: list[Name] = Field(
        min_length=1, max_length=64, description="Joints that the inverse kinematics moves, in the robot's order."
    )
    home: dict[Name, Number] = Field(description="Home posture: every arm joint, and gripper joints; rad or m.")
    nominal: dict[Name, Number] = Field(
        default_factory=dict, description="Posture the redundant joints are pulled to; left out: home."
    )
    tool_links: list[Name] | None = Field(
        default=None,
        min_length=1,
        max_length=8,
        description="Links tool poses are given for, where the layout has joints only; left out: those of the layout.",
    )
    controllers: list[Controller] = Field(min_length=1, max_length=16, description="Where trajectories are sent.")


class PositionDependentVelocitySpec(Model):
    """Velocity bound that shrinks towards the position bound (FR3)."""

    upper: Curve = Field(description="[offset, gain, position]: v <= -offset + sqrt(gain (position - q)).")
    lower: Curve = Field(description="[offset, gain, position]: v >= offset - sqrt(gain (q - position)).")


class JointLimitSpec(Model):
    """Limits of one joint. What is left out is taken from the URDF, else there is none."""

    lower: Number | None = Field(default=None, description="Lowest position, rad or m.")
    upper: Number | None = Field(default=None, description="Highest position, rad or m.")
    velocity: Positive | None = Field(default=None, description="rad/s or m/s.")
    acceleration: Positive | None = Field(default=None, description="rad/s² or m/s².")
    jerk: Positive | None = Field(default=None, description="rad/s³ or m/s³.")
    effort: Positive | None = Field(default=None, description="Nm or N.")
    position_dependent_velocity: PositionDependentVelocitySpec | None = Field(
        default=None, description="Velocity bound as a function of position."
    )
    source: str = Field(default="", description="Where these numbers are from, where it differs from limits.source.")

    @model_validator(mode="after")
    def _check(self) -> JointLimitSpec:
        if self.lower is not None and self.upper is not None and not self.upper > self.lower:
            raise ValueError(f"upper {self.upper} must be above lower {self.lower}")
        return self


class CartesianLimitSpec(Model):
    """Limits of one link's motion in the base frame."""

    link: Name = Field(description="Link the limits hold for.")
    linear_speed: Positive | None = Field(default=None, description="m/s.")
    angular_speed: Positive | None = Field(default=None, description="rad/s.")
    linear_acceleration: Positive | None = Field(default=None, description="m/s².")
    angular_acceleration: Positive | None = Field(default=None, description="rad/s².")
    source: str = Field(default="", description="Where the numbers are from.")


class LimitsSpec(Model):
    """What the robot can follow."""

    source: str = Field(description="Where the numbers are from, unless a joint says otherwise.")
    joints: dict[Name, JointLimitSpec] = Field(default_factory=dict, description="By joint name.")
    cartesian: list[CartesianLimitSpec] = Field(default_factory=list, max_length=8, description="By link.")
    required_joints: list[Name] | None = Field(
        default=None, description="Joints every trajectory must carry; left out: the arm joints."
    )


class CapsuleSpec(Model):
    """A cylinder with round ends, fixed to a link."""

    link: Name = Field(description="Link it moves with.")
    xyz: Vector3 = Field(description="Its middle in the link frame, m.")
    axis: Literal["x", "y", "z"] = Field(description="Axis of the link frame that it lies along.")
    radius: Positive = Field(description="m.")
    length: Positive = Field(description="Of the cylinder between the two half spheres, m.")


class Collision(Model):
    """Bodies for the self-collision check."""

    capsules: list[CapsuleSpec] = Field(min_length=2, max_length=64, description="Bodies.")
    chains: list[Annotated[list[Name], Field(min_length=1, max_length=64)]] = Field(
        min_length=1,
        max_length=8,
        description="Links of each arm in chain order. Bodies of two arms are always checked against each other.",
    )
    ignore_closer_than: int = Field(
        default=3, ge=1, le=10, description="Pairs fewer than this many places apart in one chain are not checked."
    )
    source: str = Field(default="", description="Where the bodies are from.")

    @model_validator(mode="after")
    def _check(self) -> Collision:
        links = [link for chain in self.chains for link in chain]
        for index, capsule in enumerate(self.capsules):
            if links.count(capsule.link) != 1:
                raise ValueError(f"capsules[{index}].link {capsule.link} must stand once in chains {self.chains}")
        return self

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


class BoxSpec(Model):
    """An axis-aligned box in the base frame."""

    lower: Vector3 = Field(description="Smallest x, y, z in the base frame, m.")
    upper: Vector3 = Field(description="Largest x, y, z in the base frame, m.")

    @model_validator(mode="after")
    def _check(self) -> BoxSpec:
        for axis, low, high in zip("xyz", self.lower, self.upper, strict=True):
            if not high > low:
                raise ValueError(f"upper {axis} {high} must be above lower {axis} {low}")
        return self


class WorkspaceSpec(Model):
    """Where the tools may be. Belongs to the cell, not to the robot: set it for yours."""

    box: BoxSpec | None = Field(default=None, description="Box the tools must stay in. Left out: not checked.")
    keep_out: list[BoxSpec] = Field(
        default_factory=list, max_length=32, description="Boxes the tools must stay out of: fixtures, people's places."
    )
    table_height: Number | None = Field(
        default=None, description="Height of a table in the base frame, m; tools stay above it. Left out: not checked."
    )
