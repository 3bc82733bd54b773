"""What the guard knows when it is asked about a trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, JointTrajectory


@dataclass(frozen=True)
class GuardContext:
    """The world at the moment of judgement.

    Attributes:
        now_ns: Time on the node's clock.
        measured: Newest joint state; None when none ever came.
        executing: The trajectory that was sent last, as long as the controller has it; None after start or a reset.
        uncertainty: Spread of the prediction behind the trajectory, when it carries one.
    """

    now_ns: int
    measured: JointState | None = None
    executing: JointTrajectory | None = None
    uncertainty: float | None = None

    @classmethod
    def now(cls, measured: JointState | Mapping[str, float]) -> GuardContext:
        """Return the context of a robot that executes nothing, at the joint state's stamp.

        Args:
            measured: Joint state, or joint name → rad or m.
        """
        state = measured if isinstance(measured, JointState) else JointState.now(measured)
        return cls(state.stamp_ns, state)

    @property
    def state_age(self) -> float | None:
        """Seconds since the joint state's stamp; None without one."""
        return None if self.measured is None else (self.now_ns - self.measured.stamp_ns) / NANOSECONDS

    def moving_until_ns(self) -> int | None:
        """Absolute time at which the executed trajectory comes to rest for good, None without one."""
        executing = self.executing
        return None if executing is None else executing.stamp_ns + rest_from(executing)


def in_order(state: JointState, names: tuple[str, ...]) -> tuple[FloatArray, FloatArray | None]:
    """Return a state's positions and velocities (None without them) in an order of joints that it has."""
    if state.names == names:
        return state.positions, state.velocities
    order = [state.names.index(name) for name in names]
    return state.positions[order], None if state.velocities is None else state.velocities[order]


def rest_from(trajectory: JointTrajectory) -> int:
    """Return the time_from_start from which on a trajectory stands still, nanoseconds."""
    away = np.any(trajectory.positions != trajectory.positions[-1], axis=1)
    if trajectory.velocities is not None:
        away |= np.any(trajectory.velocities != 0.0, axis=1)
    moving = np.flatnonzero(away)
    last = min(int(moving[-1]) + 1, len(away) - 1) if moving.size else 0
    return int(trajectory.times_ns[last])
