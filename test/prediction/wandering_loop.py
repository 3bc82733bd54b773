"""A robot in simulated time, driven by a model that changes its mind with every answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from lagging_robot import LaggingRobot
from wandering import Wanderer

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.prediction.pipeline import Pipeline, Prediction
from cosmos_ros.trajectory.joiner import JoinSettings
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import NANOSECONDS, JointTrajectory, Observation


@dataclass
class Seam:
    """How far an answer is from the executed motion where it takes over: rad, rad/s, of the worst joint."""

    position: float
    velocity: float


class Loop(LaggingRobot):
    """What was joined last is commanded, and measured ``lag`` seconds later."""

    def __init__(self, name: str, model: Wanderer, lag: float = 0.0, settings: JoinSettings | None = None) -> None:
        robot = load_embodiment(name)
        super().__init__(robot, robot.all_joints, lag)
        self.model, self.settings = model, settings or JoinSettings(committed_rows=True)
        self.pipeline = Pipeline(robot, model)
        self.seams: list[Seam] = []

    def observation(self) -> Observation:
        black = {view: np.zeros((18, 32, 3), np.uint8) for view in self.robot.views}
        return Observation(self.now, black, dict.fromkeys(black, self.now), self.measured(), "wander")

    def ask(self, latency: float) -> Prediction:
        """Ask about what is measured now; the answer takes over after the latency."""
        prediction = self.pipeline.predict(self.observation(), self.joiner, self.settings)
        self.run(latency)
        plan = prediction.trajectory
        assert plan is not None
        joined = self.joiner.join(plan, self.now, self.measured(), self.settings)
        assert joined.trajectory is not None, joined.reason
        self._note_seam(plan, joined.trajectory.stamp_ns)
        self.joiner.sent(joined.trajectory, self.now)
        return prediction

    def _note_seam(self, plan: JointTrajectory, join_ns: int) -> None:
        executed = self.joiner.executed
        begun, then = executed.at(plan.stamp_ns), executed.at(join_ns)
        if begun is None or then is None:
            return
        arm = [k for k, name in enumerate(plan.joint_names) if name in self.robot.joint_names]
        order = [then.joint_names.index(plan.joint_names[k]) for k in arm]
        seconds = (join_ns - plan.stamp_ns) / NANOSECONDS
        planned = piecewise(plan)
        moved = (planned(seconds) - plan.positions[0])[arm]
        apart = moved - (then.positions - begun.positions)[order]
        faster = planned.derivative()(seconds)[arm] - then.velocities[order]
        self.seams.append(Seam(float(np.abs(apart).max()), float(np.abs(faster).max())))
