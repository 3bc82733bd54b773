"""Plain records of the kinematics room."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, radians

import numpy as np
import numpy.typing as npt

from cosmos_ros.types import FloatArray

# What counts as reached, m and rad.
POSITION_TOLERANCE = 1e-4
ROTATION_TOLERANCE = radians(0.05)


@dataclass(frozen=True)
class GripperJoint:
    """The joint that stands for a gripper: ``q = closed + fraction · (open - closed)``.

    Attributes:
        joint: Joint name in joint_states and in the trajectory.
        closed: Position when closed (fraction 0), rad or m.
        open: Position when open (fraction 1).
        max_velocity: What the commanded joint may do, rad/s or m/s; ``inf`` takes the joint's limit, if any is known.
    """

    joint: str
    closed: float
    open: float
    max_velocity: float = inf

    def position(self, fraction: npt.ArrayLike) -> FloatArray:
        """Return joint positions of opening fractions (0 = closed, 1 = open), clipped to that range."""
        return self.closed + np.clip(np.asarray(fraction, dtype=np.float64), 0.0, 1.0) * (self.open - self.closed)

    def fraction(self, position: npt.ArrayLike) -> FloatArray:
        """Return opening fractions of joint positions, not clipped."""
        return (np.asarray(position, dtype=np.float64) - self.closed) / (self.open - self.closed)


@dataclass(frozen=True)
class ResidualGate:
    """How far the tool may miss a pose before the whole chunk is refused.

    Attributes:
        position: Metres.
        rotation: Radians.
    """

    position: float = 1e-3
    rotation: float = radians(0.5)


@dataclass(frozen=True)
class IkOptions:
    """Settings of the inverse kinematics; the defaults suit arms of 0.5 to 2 m.

    Attributes:
        stop_position, stop_rotation: A step is done below these, m and rad.
        pull_to_start, pull_to_nominal: Share of the way to the start and to the nominal posture that a redundant
            arm goes in the null space each step.
    """

    stop_position: float = 1e-6
    stop_rotation: float = 1e-6
    pull_to_start: float = 0.02
    pull_to_nominal: float = 0.005


@dataclass(frozen=True)
class IkSolution:
    """Joint positions for a sequence of poses, and how well they reach them.

    Attributes:
        joint_names: The J joints that were moved.
        positions: ``float64 [T, J]``, inside the limits always.
        position_residuals: ``float64 [T]`` metres, the worst target of each step.
        rotation_residuals: ``float64 [T]`` radians, the worst target of each step.
        converged: ``bool [T]``: both residuals within POSITION_TOLERANCE and ROTATION_TOLERANCE.
        targets: The K target links.
        target_position_residuals, target_rotation_residuals: ``float64 [T, K]``.
        iterations: ``int64 [T]`` linear solves a step.
    """

    joint_names: tuple[str, ...]
    positions: FloatArray
    position_residuals: FloatArray
    rotation_residuals: FloatArray
    converged: npt.NDArray[np.bool_]
    targets: tuple[str, ...] = ()
    target_position_residuals: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    target_rotation_residuals: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    iterations: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
