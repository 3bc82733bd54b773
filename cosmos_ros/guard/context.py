"""What the guard knows when it is asked about a trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cosmos_ros.trajectory.executing import ExecutedMotion
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, JointTrajectory


@dataclass(frozen=True)
class GuardContext:
    """The world at the moment of judgement.

    Attributes:
        now_ns: Time on the node's clock.
        measured: Newest joint state; None when none ever came.
        executing: What the controllers were sent, or the last trajectory alone; None after start or a reset.
        uncertainty: Spread of the prediction behind the trajectory, when it carries one.
    """

    now_ns: int
    measured: JointState | None = None
    executing: ExecutedMotion | JointTrajectory | None = None
    uncertainty: float | None = None

    @classmethod
    def now(cls, measured: JointState | Mapping[str, float]) -> GuardContext:
        """Return the context of a robot that executes nothing, at the joint state's stamp.

        Args:
            measured: Joint state, or joint name → rad or m.
        """
        state = measured if isinstance(measured, JointState) else JointState.now(measured)
        return cls(state.stamp_ns, state)

    @cached_property
    def executed(self) -> ExecutedMotion:
        """What the controllers were sent; empty when nothing was."""
        if isinstance(self.executing, JointTrajectory):
            return ExecutedMotion.of(self.executing)
        return self.executing or ExecutedMotion()

    @property
    def moving(self) -> bool:
        """Whether something that was sent still moves the robot, or will."""
        return self.executed.moving(self.now_ns)

    @property
    def state_age(self) -> float | None:
        """Seconds since the joint state's stamp; None without one."""
        return None if self.measured is None else (self.now_ns - self.measured.stamp_ns) / NANOSECONDS


def in_order(state: JointState, names: tuple[str, ...]) -> tuple[FloatArray, FloatArray]:
    """Return a state's positions and velocities in an order of joints that it has.

    Velocities that are not measured (none at all, or NaN for a joint whose hardware exports none) are zero.
    """
    order = slice(None) if state.names == names else [state.names.index(name) for name in names]
    positions = state.positions[order]
    if state.velocities is None:
        return positions, np.zeros_like(positions)
    return positions, np.nan_to_num(state.velocities[order], nan=0.0, posinf=np.inf, neginf=-np.inf)
