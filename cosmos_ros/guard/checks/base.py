"""What a check is, what it is given and what it gives back.

A limit is one file: a subclass of ``Limit`` in this folder, or named by an entry point in the group
``cosmos_ros.guard_limits``. It declares its settings, says what cures its violations, and makes itself for a robot.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, ClassVar, Protocol

from cosmos_ros.errors import GuardError
from cosmos_ros.guard.checking_settings import CheckingSettings
from cosmos_ros.guard.context import GuardContext
from cosmos_ros.guard.motion.joint_motion import Motion
from cosmos_ros.guard.motion.sampler import Sampler, Samples
from cosmos_ros.guard.surroundings import Surroundings
from cosmos_ros.guard.verdict import Violation
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.limits import RobotLimits
from cosmos_ros.types import FloatArray, JointTrajectory


class Cure(Enum):
    """What makes a violation go away.

    Attributes:
        NONE: Nothing: the trajectory is rejected.
        SLOWING: Running the same path more slowly: derivatives with respect to time.
        STOPPING: Stopping before it: what depends on the configuration alone.
        RESTING: Ending at rest, which every response does.
        SHORTENING: Stopping earlier.
    """

    NONE = "none"
    SLOWING = "slowing"
    STOPPING = "stopping"
    RESTING = "resting"
    SHORTENING = "shortening"


class InverseDynamics(Protocol):
    """Torques of a motion."""

    joint_names: tuple[str, ...]

    def efforts(self, positions: FloatArray, velocities: FloatArray, accelerations: FloatArray) -> FloatArray:
        """Return efforts ``[M, J]`` (Nm, N) of joint states ``[M, J]``."""
        ...


@dataclass(frozen=True)
class GuardedRobot:
    """What a guard knows of its robot.

    Attributes:
        limits: Limits of joints and tools, as the robot has them.
        model: Kinematics; needed for what concerns the tool and the arm's own shape.
        surroundings: Where its links may be, and its shape.
        controllers: Joints of each controller; a trajectory names all joints of one or none.
        dynamics: What motion costs in torque, where it does not come from the setting ``urdf``.
        grippers: Joints that an object may stop, so that they need not follow their command.
    """

    limits: RobotLimits
    model: RobotModel | None = None
    surroundings: Surroundings = field(default_factory=Surroundings)
    controllers: tuple[tuple[str, ...], ...] = ()
    dynamics: InverseDynamics | None = None
    grippers: frozenset[str] = frozenset()

    @property
    def tools(self) -> tuple[str, ...]:
        """Links with limits on their speed or acceleration."""
        return tuple(tool.tool_link for tool in self.limits.cartesian)

    def model_for(self, check: str) -> RobotModel:
        """Return the model for a check that needs one.

        Raises:
            GuardError: There is none.
        """
        if self.model is None:
            raise GuardError(f"{check}: no robot model", hint="Give the guard the robot's URDF, or switch this off.")
        return self.model

    @property
    def links(self) -> tuple[str, ...]:
        """Links that are held against regions and singularities."""
        return self.surroundings.links or self.tools


@dataclass(frozen=True)
class Case:
    """One motion under judgement and what is known beside it."""

    motion: Motion
    context: GuardContext
    checking: CheckingSettings
    sampler: Sampler | None = None

    @cached_property
    def _samples(self) -> Samples:
        if self.sampler is None:
            raise GuardError("this check needs a robot model", hint="Give the guard one, or switch the check off.")
        return self.sampler.samples(self.motion, self.context.measured)

    def kinematics(self) -> Samples:
        """Return the kinematics along the motion, shared by all checks.

        Raises:
            GuardError: There is no robot model.
        """
        return self._samples


@dataclass(frozen=True)
class NoSettings:
    """The settings of a check that has none."""


class Check(ABC):
    """Something that every trajectory is held against. Its docstring's first line describes its switch.

    Attributes:
        name: Name of its switch ``check.NAME``, and of its violations.
        order: Where it stands among the checks: of violations at the same time the lower one is named first.
        on: Whether it is switched on by default.
        cure: What makes its violations go away.
        settings_type: Frozen subclass of ``cosmos_ros.settings.DeclaredSettings`` with the settings it owns. Two
            checks may share one.
        uses_kinematics: It calls ``Case.kinematics``, so the guard needs a robot model where there is one to make.
    """

    name: ClassVar[str]
    order: ClassVar[int] = 1000
    on: ClassVar[bool] = True
    cure: ClassVar[Cure] = Cure.NONE
    settings_type: ClassVar[type] = NoSettings
    uses_kinematics: ClassVar[bool] = False

    def __init__(self, settings: Any) -> None:
        """Make the check.

        Args:
            settings: Of the type ``settings_type``.
        """
        self.settings = settings

    @classmethod
    def for_robot(cls, robot: GuardedRobot, settings: Any) -> Sequence[Check]:
        """Return the check for a robot; empty where the robot has nothing to be checked.

        Args:
            robot: The robot.
            settings: Of the type ``settings_type``.

        Raises:
            GuardError: Something that it needs cannot be had.
        """
        return (cls(settings),)

    @classmethod
    def cures(cls) -> Mapping[str, Cure]:
        """Return what cures each kind of violation that it finds."""
        return {cls.name: cls.cure}

    @classmethod
    def tighten(cls, limits: RobotLimits, settings: Any) -> RobotLimits:
        """Return the robot's limits as the guard uses them, with this check's share or margin taken off."""
        return limits


class Precondition(Check):
    """A check that must pass before there is a motion to look at; it ends the judgement."""

    @abstractmethod
    def refuse(self, trajectory: JointTrajectory, context: GuardContext, checking: CheckingSettings) -> list[Violation]:
        """Return why the trajectory cannot be judged any further; empty when it can."""


class Limit(Check):
    """A limit on the motion that the controller will run, between its points as well."""

    @abstractmethod
    def __call__(self, case: Case) -> list[Violation]:
        """Return this limit's violations, at most one a joint."""
