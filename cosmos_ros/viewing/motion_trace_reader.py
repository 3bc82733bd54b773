"""Messages into a MotionTrace; takes those of rclpy and of recordings alike. Needs no ROS."""

from __future__ import annotations

import json
from typing import Any

from cosmos_ros.errors import CosmosRosError
from cosmos_ros.guard.surroundings import parse_boxes
from cosmos_ros.messages import joint_state_from_message, joint_trajectory_from_message
from cosmos_ros.types import JointState, JointTrajectory
from cosmos_ros.viewing.motion_trace import MotionTrace
from cosmos_ros.viewing.verdict_reader import parse_verdict


class MotionReader:
    """Adds joint states, candidates, guarded trajectories, verdicts and keep-out boxes to a trace.

    A message that cannot be read is left out and named in ``problem``; saying what is wrong with it is the guard's
    task. Subclasses may override the ``on_...`` methods, called with what was just added.

    Args:
        trace: Where they are added.

    Attributes:
        problem: The last message that could not be read, or an empty string.
    """

    def __init__(self, trace: MotionTrace) -> None:
        self.trace = trace
        self.problem = ""

    def on_joint_state(self, state: JointState) -> None:
        """A joint state that is worth showing was added."""

    def on_guarded(self, trajectory: JointTrajectory) -> None:
        """A guarded trajectory was added."""

    def on_verdict(self, verdict: dict[str, Any]) -> None:
        """A verdict was added."""

    def joint_state(self, message: Any) -> None:
        """Take a ``sensor_msgs/JointState``."""
        try:
            state = joint_state_from_message(message)
        except CosmosRosError as error:
            self.problem = str(error)
            return
        if self.trace.add_joint_state(state):
            self.on_joint_state(state)

    def candidate(self, message: Any) -> None:
        """Take a ``trajectory_msgs/JointTrajectory`` that the guard is to judge."""
        trajectory = self._read(message, "action_trajectory")
        if trajectory is not None:
            self.trace.add_candidate(trajectory)

    def guarded(self, message: Any) -> None:
        """Take a ``trajectory_msgs/JointTrajectory`` that was, or would have been, sent."""
        trajectory = self._read(message, "joint_trajectory")
        if trajectory is not None:
            self.trace.add_guarded(trajectory)
            self.on_guarded(trajectory)

    def verdict(self, message: Any) -> None:
        """Take a ``std_msgs/String`` of ``~/verdict_json``."""
        try:
            verdict = parse_verdict(message.data)
        except CosmosRosError as error:
            self.problem = str(error)
            return
        self.trace.add_verdict(verdict)
        self.on_verdict(verdict)

    def guard_settings(self, message: Any) -> None:
        """Take a ``std_msgs/String`` of the guard's ``~/settings``."""
        try:
            parameters = json.loads(message.data)["parameters"]
            self.trace.add_keep_out(parse_boxes(str(parameters.get("keep_out", ""))))
        except (ValueError, KeyError, TypeError, AttributeError, CosmosRosError) as error:
            self.problem = f"guard settings cannot be read: {error}"

    def _read(self, message: Any, topic: str) -> JointTrajectory | None:
        try:
            return joint_trajectory_from_message(message, topic=topic)
        except CosmosRosError as error:
            self.problem = str(error)
            return None
