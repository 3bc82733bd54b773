"""What the controllers are executing, as far as their commands show; the motion that a new trajectory joins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cosmos_ros.trajectory.splice import MotionState, measured_motion, merge, motion_at
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory


class ExecutingMotion:
    """The last trajectory sent to each controller."""

    def __init__(self) -> None:
        self._sent: dict[str, JointTrajectory] = {}

    def update(self, controller: str, trajectory: JointTrajectory) -> None:
        """Note what a controller was sent; replaces what it was sent before."""
        if len(trajectory.times_ns):
            self._sent[controller] = trajectory

    def clear(self) -> None:
        """Forget everything, e.g. when the clock was reset."""
        self._sent.clear()

    @property
    def sent(self) -> Mapping[str, JointTrajectory]:
        """Controller → the trajectory it was sent last."""
        return dict(self._sent)

    def at(self, time_ns: int, measured: JointState, tolerance: float) -> tuple[MotionState, tuple[str, ...]]:
        """Return where the joints will be commanded to be at an absolute time.

        A controller's command is believed while the robot is measured within ``tolerance`` of it; otherwise (it was
        never sent, the robot is driven by something else, the command was cancelled) the measured state is taken,
        moved on at its measured velocity.

        Args:
            time_ns: Absolute time, at or a little after the measurement.
            measured: Newest joint state; must hold every joint.
            tolerance: rad or m.

        Returns:
            The motion, and the controllers whose command it follows.
        """
        base = measured_motion(measured)
        seconds = (time_ns - measured.stamp_ns) / NANOSECONDS
        coasting = MotionState(base.joint_names, base.positions + seconds * base.velocities, base.velocities)
        overrides, followed = [], []
        for controller, trajectory in self._sent.items():
            if not set(trajectory.joint_names) <= set(measured.names):
                continue
            expected = motion_at(trajectory, measured.stamp_ns)
            actual = np.array([measured.position_of(name) for name in trajectory.joint_names])
            if np.max(np.abs(expected.positions - actual)) <= tolerance:
                overrides.append(motion_at(trajectory, time_ns))
                followed.append(controller)
        return merge(coasting, *overrides), tuple(followed)
