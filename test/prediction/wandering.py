"""A robot in simulated time, driven by a model that changes its mind with every answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from cosmos_ros.embodiment import Embodiment, load_embodiment
from cosmos_ros.prediction.pipeline import Pipeline, Prediction
from cosmos_ros.trajectory.joiner import Joiner, JoinSettings
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory, Mode, Observation, Request, Rollout
from cosmos_ros.world_models import Capabilities, ModelBackend, NoOptions

STEP_NS = 2_000_000


class Wanderer:
    """Answers with a straight motion of every tool, in another direction each time.

    One that continues committed rows begins with them, and turns to its own motion in four rows.
    """

    name = "wanderer"

    def __init__(self, *, continues: bool, speed: float = 0.06, seed: int = 1, seconds: float = 0.0) -> None:
        self.capabilities = Capabilities(
            frozenset({Mode.POLICY}), returns_frames=False, takes_instruction=False, takes_committed=continues
        )
        self.requests: list[Request] = []
        self._speed, self._rng, self._seconds = speed, np.random.default_rng(seed), seconds

    def load(self) -> None:
        """Nothing to load."""

    def close(self) -> None:
        """Nothing to close."""

    def predict(self, request: Request) -> Rollout:
        self.requests.append(request)
        time.sleep(self._seconds)
        layout, hold = request.layout, request.hold_action
        assert layout is not None and hold is not None
        rows = np.repeat(hold[None].astype(np.float64), request.chunk_size, axis=0)
        for column in layout.pose_columns:
            way = self._rng.normal(size=3)
            way *= self._speed / request.fps / np.linalg.norm(way)
            rows[:, column : column + 3] = (way - layout.offset[column : column + 3]) / layout.scale[
                column : column + 3
            ]
        given = request.committed
        if given is not None:
            begin, ramp = len(given), np.linspace(0.0, 1.0, 5)[1:, None]
            rows[:begin] = given
            rows[begin : begin + 4] = (1.0 - ramp) * given[-1] + ramp * rows[begin : begin + 4]
        told = {"committed_rows": 0 if given is None else len(given)}
        return Rollout(frames=None, actions=rows.astype(np.float32), provenance=told)


BACKEND = ModelBackend(
    name="wanderer",
    summary="changes its mind with every answer, but continues what is executed",
    options=NoOptions,
    capabilities=lambda _: Wanderer(continues=True).capabilities,
    implementation="wandering:create",
)


def create(_: NoOptions) -> Wanderer:
    """Return one for the nodes: slow to answer, and it must not come far."""
    return Wanderer(continues=True, speed=0.03, seconds=0.3)


@dataclass
class Seam:
    """How far an answer is from the executed motion where it takes over: rad, rad/s, of the worst joint."""

    position: float
    velocity: float


@dataclass
class Loop:
    """Every joint is commanded what was joined last, and measured ``lag`` seconds later."""

    name: str
    model: Wanderer
    lag: float = 0.0
    settings: JoinSettings = field(default_factory=partial(JoinSettings, committed_rows=True))

    def __post_init__(self) -> None:
        self.robot: Embodiment = load_embodiment(self.name)
        self.pipeline = Pipeline(self.robot, self.model)
        self.joiner = Joiner(self.robot.limits.joints, self.robot.gripper_speeds)
        self.names = self.robot.all_joints
        self.now = NANOSECONDS
        self.command = np.array([self.robot.home[joint] for joint in self.names])
        self.commands = [self.command] * (1 + round(self.lag * NANOSECONDS / STEP_NS))
        self.delay = len(self.commands)
        self.seams: list[Seam] = []

    def measured(self) -> JointState:
        seen, before = self.commands[-self.delay], self.commands[max(-self.delay - 1, -len(self.commands))]
        return JointState(self.now, self.names, seen, (seen - before) * (NANOSECONDS / STEP_NS))

    def observation(self) -> Observation:
        black = {view: np.zeros((18, 32, 3), np.uint8) for view in self.robot.views}
        return Observation(self.now, black, dict.fromkeys(black, self.now), self.measured(), "wander")

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * NANOSECONDS / STEP_NS)):
            self.now += STEP_NS
            commanded = self.joiner.executed.at(self.now)
            if commanded is not None:
                self.command = self.command.copy()
                self.command[[self.names.index(name) for name in commanded.joint_names]] = commanded.positions
            self.commands.append(self.command)

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
