"""Subscriptions that tell a MotionStory what moves and what the guard says; shared by the nodes that show it."""

from __future__ import annotations

from typing import Any

from sensor_msgs.msg import JointState
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from cosmos_ros.embodiment import Embodiment
from cosmos_ros.errors import CosmosRosError, InputError
from cosmos_ros.messages import joint_state_from_message, joint_trajectory_from_message
from cosmos_ros.nodes import qos
from cosmos_ros.types import JointState as JointStateRecord
from cosmos_ros.types import JointTrajectory as TrajectoryRecord
from cosmos_ros.visualization.motion import MotionStory
from cosmos_ros.visualization.verdicts import parse_verdict


class MotionInput:
    """Listens to joint states, candidates, guarded trajectories and verdicts.

    A message that cannot be read is left out and named in ``problem``; saying what is wrong with it is the guard's
    task. Subclasses may override the ``on_...`` methods, called with what was just added to the story.

    Args:
        node: Owner of the subscriptions.
        embodiment: Names the controllers.
        story: Is told.

    Attributes:
        problem: The last message that could not be read, or an empty string.
    """

    def __init__(self, node: Any, embodiment: Embodiment, story: MotionStory) -> None:
        self.story = story
        self.problem = ""
        node.create_subscription(JointState, "joint_states", self._joint_state, qos.sensor(20))
        node.create_subscription(JointTrajectory, "action_trajectory", self._candidate, qos.reliable(5))
        node.create_subscription(JointTrajectory, "would_send", self._guarded, qos.reliable(5))
        for topic, _ in embodiment.controllers:
            node.create_subscription(JointTrajectory, topic, self._guarded, qos.reliable(5))
        node.create_subscription(String, "verdict_json", self._verdict, qos.reliable(10))

    def on_joint_state(self, state: JointStateRecord) -> None:
        """A joint state that is worth showing was added."""

    def on_guarded(self, trajectory: TrajectoryRecord) -> None:
        """A guarded trajectory was added."""

    def on_verdict(self, verdict: dict[str, Any]) -> None:
        """A verdict was added."""

    def _joint_state(self, message: JointState) -> None:
        try:
            state = joint_state_from_message(message)
        except CosmosRosError as error:
            self.problem = str(error)
            return
        if self.story.add_joint_state(state):
            self.on_joint_state(state)

    def _candidate(self, message: JointTrajectory) -> None:
        trajectory = self._read(message, "action_trajectory")
        if trajectory is not None:
            self.story.add_candidate(trajectory)

    def _guarded(self, message: JointTrajectory) -> None:
        trajectory = self._read(message, "joint_trajectory")
        if trajectory is not None:
            self.story.add_guarded(trajectory)
            self.on_guarded(trajectory)

    def _read(self, message: JointTrajectory, topic: str) -> TrajectoryRecord | None:
        try:
            return joint_trajectory_from_message(message, topic=topic)
        except CosmosRosError as error:
            self.problem = str(error)
            return None

    def _verdict(self, message: String) -> None:
        try:
            verdict = parse_verdict(message.data)
        except InputError as error:
            self.problem = str(error)
            return
        self.story.add_verdict(verdict)
        self.on_verdict(verdict)
