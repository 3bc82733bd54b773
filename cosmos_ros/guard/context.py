"""What the guard knows when it is asked about a trajectory."""

from __future__ import annotations

from dataclasses import dataclass

from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory


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

    @property
    def state_age(self) -> float | None:
        """Seconds since the joint state's stamp; None without one."""
        return None if self.measured is None else (self.now_ns - self.measured.stamp_ns) / NANOSECONDS

    def moving_until_ns(self) -> int | None:
        """Absolute end of the executed trajectory, None without one."""
        executing = self.executing
        return None if executing is None else executing.stamp_ns + int(executing.times_ns[-1])
