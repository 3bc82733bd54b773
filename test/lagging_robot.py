"""A robot in simulated time that is commanded exactly what a joiner was told was sent, and measured a while later."""

from __future__ import annotations

import numpy as np

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.trajectory.joiner import Joiner
from cosmos_ros.types import NANOSECONDS, JointState

STEP_NS = 2_000_000


class LaggingRobot:
    """At home at first.

    Args:
        robot: Which.
        names: Its joints, in the order of ``commands``.
        lag: Seconds after which it is where it was commanded to be.
    """

    def __init__(self, robot: Embodiment, names: tuple[str, ...], lag: float) -> None:
        self.robot, self.names = robot, names
        self.joiner = Joiner(robot.limits.joints, robot.gripper_speeds)
        self.now = NANOSECONDS
        self.command = np.array([robot.home[joint] for joint in names])
        self.commands = [self.command] * (1 + round(lag * NANOSECONDS / STEP_NS))
        self._delay = len(self.commands)

    def measured(self) -> JointState:
        """Where it is now, and how fast."""
        seen, before = self.commands[-self._delay], self.commands[max(-self._delay - 1, -len(self.commands))]
        return JointState(self.now, self.names, seen, (seen - before) * (NANOSECONDS / STEP_NS))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        for _ in range(round(seconds * NANOSECONDS / STEP_NS)):
            self.now += STEP_NS
            commanded = self.joiner.executed.at(self.now)
            if commanded is not None:
                self.command = self.command.copy()
                self.command[[self.names.index(name) for name in commanded.joint_names]] = commanded.positions
            self.commands.append(self.command)
