"""Plain records of the kinematics room."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, radians

import numpy as np
import numpy.typing as npt

from cosmos_ros.types import FloatArray


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
        links: Other bounds for single target links (e.g. a head camera that only has to look).
    """

    position: float = 1e-3
    rotation: float = radians(0.5)
    links: Mapping[str, ResidualGate] = field(default_factory=dict)

    def of(self, link: str) -> ResidualGate:
        """Return the bounds that hold for ``link``."""
        return self.links.get(link, self)


@dataclass(frozen=True)
class IkOptions:
    """Settings of the inverse kinematics; the defaults suit arms of 0.5 to 2 m.

    Attributes:
        max_iterations: Linear solves a step at most.
        stop_position, stop_rotation: A step is done below these, m and rad.
        position_tolerance, rotation_tolerance: What ``converged`` means, m and rad.
        rotation_weight: Metres that one radian counts as.
        damping: λ² = damping · |error|² + 1e-10: strong far away, gone at the solution (Sugihara 2011).
        pull_to_start, pull_to_nominal: Share of the way to the start and to the nominal posture that a redundant
            arm goes in the null space each step.
        carry_on: Share of the last step's motion in the null space that the next step keeps.
        max_joint_step: Largest change of one joint in one linear solve, rad or m.
        max_turn: Largest change of one joint from one pose to the next where no times are given, rad or m.
        velocity_scale: Bound of the change from one pose to the next in units of velocity limit · time, where
            times are given. Above 1 because a chunk that is somewhat too fast is better slowed down by the guard
            than bent here; a jump through a singularity asks for ten times the limit and more. ``inf`` is off.
        limit_margin: Kept free inside every position limit, rad or m.
        search_seeds: Configurations tried at the last pose when the plain pass misses a pose; 0 turns the search off.
        search_paths: How many of their solutions are followed back to the start at most.
        target_weights: Link → weight of its error, for targets that matter less; 1 where absent.
    """

    max_iterations: int = 40
    stop_position: float = 1e-6
    stop_rotation: float = 1e-6
    position_tolerance: float = 1e-4
    rotation_tolerance: float = radians(0.05)
    rotation_weight: float = 0.3
    damping: float = 0.1
    pull_to_start: float = 0.02
    pull_to_nominal: float = 0.005
    carry_on: float = 0.8
    max_joint_step: float = 0.5
    max_turn: float = 1.0
    velocity_scale: float = 2.0
    limit_margin: float = 0.0
    search_seeds: int = 24
    search_paths: int = 6
    target_weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class IkSolution:
    """Joint positions for a sequence of poses, and how well they reach them.

    Attributes:
        joint_names: The J joints that were moved.
        positions: ``float64 [T, J]``, inside the limits always.
        position_residuals: ``float64 [T]`` metres, the worst target of each step.
        rotation_residuals: ``float64 [T]`` radians, the worst target of each step.
        converged: ``bool [T]``: both residuals within the solver's tolerances (0.1 mm, 0.05°).
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
