"""Whole episodes in virtual time, in one process and without ROS: to measure a model, and to make training data.

The chain is the live one: observation, pipeline, splice into the executed motion, guard, controllers, physics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosmos_ros.embodiment import Embodiment, RecordedStates
from cosmos_ros.errors import DecodeError, KinematicsError
from cosmos_ros.guard import Guard, GuardContext, Verdict
from cosmos_ros.prediction.pipeline import Pipeline, PipelineSettings
from cosmos_ros.sim.imagination import world_of
from cosmos_ros.sim.runtime import Due, OutputRates, SimRuntime
from cosmos_ros.sim.task import DEFAULT_INSTRUCTION
from cosmos_ros.sim.world import TIMESTEP_NS, SimWorld, WorldRenderer
from cosmos_ros.trajectory.joiner import Joiner, JoinSettings
from cosmos_ros.types import NANOSECONDS, Float32Array, FloatArray, JointTrajectory, Observation, UInt8Array
from cosmos_ros.world_models.protocol import WorldModel

_START_NS = NANOSECONDS
_BLACK = (18, 32, 3)  # a view where nothing is rendered: the pipeline needs an image


@dataclass(frozen=True)
class EpisodeSettings:
    """How an episode is run.

    Attributes:
        instruction: Task text.
        replan: Time between predictions, s; the observation of each is the newest one.
        latency: Time from an observation until its trajectory reaches the controllers, s.
        blend: Shortest time in which a new trajectory takes over, s.
        longest: The episode ends then, done or not, s.
        linger: It goes on this long after the task is done, s.
        committed_rows: Tell a model that can continue it what is executed until its answer takes over.
        image_size: Width and height of every view, or None to render nothing (the views are then black).
    """

    instruction: str = DEFAULT_INSTRUCTION
    replan: float = 0.5
    latency: float = 0.15
    blend: float = 0.3
    longest: float = 30.0
    linger: float = 0.5
    committed_rows: bool = False
    image_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class SimEpisode:
    """What happened, one observation per step of the embodiment's rate.

    Attributes:
        seed: Seed of the scene.
        observations: N observations, all views and joints stamped alike.
        openings: ``float64 [N]`` commanded gripper opening at each, 0 closed to 1 open, by gripper.
        trajectories: Every trajectory a controller was sent, in order.
        phases: What the model said it was doing, one entry a prediction; empty strings from models that say nothing.
        seconds: Time until the task was done, or None.
        status: The runtime's last status: limits broken, trajectories refused, and so on.
        rejections: Reasons for which controllers refused a trajectory.
        verdicts: What the guard said, one a trajectory; empty without a guard.
        failures: Why answers could not be decoded or reached; as in the predictor node, the robot goes on without them.
        scripted: The actions came from a script.
    """

    seed: int
    observations: tuple[Observation, ...]
    openings: Mapping[str, FloatArray]
    trajectories: tuple[JointTrajectory, ...]
    phases: tuple[str, ...]
    seconds: float | None
    status: Mapping[str, Any]
    rejections: tuple[str, ...]
    verdicts: tuple[Verdict, ...]
    failures: tuple[str, ...]
    scripted: bool

    def actions(self, embodiment: Embodiment) -> Float32Array:
        """Return the ``float32 [N-1, D]`` normalised actions that lead from each observation to the next.

        Poses are those that were reached, grippers those that were commanded, as in recorded robot data.
        """
        states = [o.joints for o in self.observations if o.joints is not None]
        recorded = RecordedStates(
            joint_names=embodiment.joint_names,
            joint_positions=np.array([[s.position_of(name) for name in embodiment.joint_names] for s in states]),
            gripper_openings=self.openings,
        )
        return embodiment.encode(recorded).actions.astype(np.float32)


def run_episode(
    embodiment: Embodiment,
    world_model: WorldModel,
    *,
    seed: int = 0,
    settings: EpisodeSettings | None = None,
    guard: Guard | None = None,
    world: SimWorld | None = None,
) -> SimEpisode:
    """Let a world model drive the simulated robot until the task is done.

    Deterministic: the same arguments give the same episode.

    Args:
        embodiment: The robot.
        world_model: Must have a policy mode; loaded or not.
        seed: Seed of the scene.
        settings: Task, times and image size.
        guard: Judges every trajectory before a controller gets it; None lets all of them pass.
        world: The robot's, as it is to begin; None makes the plain scene of the seed, the robot at home.

    Raises:
        CapabilityError, ModelError, InputError: As the pipeline.
        ConfigError: Images are wanted and nothing can render.
    """
    wanted = settings or EpisodeSettings()
    run = _EpisodeRun(embodiment, world_model, world or world_of(embodiment, seed=seed), wanted, guard)
    try:
        return run.to_end()
    finally:
        run.close()


class _EpisodeRun:
    def __init__(
        self,
        embodiment: Embodiment,
        model: WorldModel,
        world: SimWorld,
        settings: EpisodeSettings,
        guard: Guard | None,
    ) -> None:
        self._guard = guard
        self._verdicts: list[Verdict] = []
        self._last: JointTrajectory | None = None
        self._embodiment, self._model, self._settings = embodiment, model, settings
        rates = OutputRates(joint_states=embodiment.fps, cameras=embodiment.fps)
        self._runtime = SimRuntime(world, embodiment.controllers, start_ns=_START_NS, rates=rates)
        self._runtime.set_task(settings.instruction)
        self._pipeline = Pipeline(embodiment, model, PipelineSettings())
        self._renderer: WorldRenderer | None = None
        if settings.image_size is not None:
            cameras = world.cameras(dict.fromkeys(embodiment.views, settings.image_size))
            self._renderer = WorldRenderer(world, cameras)
        self._joiner = Joiner(embodiment.limits.joints, embodiment.gripper_speeds)
        # Nothing is on its way to a controller here.
        self._join = JoinSettings(
            join_lead=0.0, blend_time=settings.blend, shift_from_rest=False, committed_rows=settings.committed_rows
        )
        self._observations: list[Observation] = []
        self._openings: dict[str, list[float]] = {name: [] for name in embodiment.gripper_joints}
        self._sent: list[JointTrajectory] = []
        self._phases: list[str] = []
        self._rejections: list[str] = []
        self._failures: list[str] = []

    def close(self) -> None:
        if self._renderer is not None:
            self._renderer.close()

    def to_end(self) -> SimEpisode:
        settings, runtime = self._settings, self._runtime
        self._observe()
        end = _START_NS + _ns(settings.longest)
        done_ns: int | None = None
        next_plan = _START_NS
        pending: tuple[int, JointTrajectory] | None = None
        while runtime.now_ns < end and (done_ns is None or runtime.now_ns < done_ns + _ns(settings.linger)):
            if pending is None and runtime.now_ns >= next_plan:
                pending = self._predict()
                next_plan += _ns(settings.replan)
            until = min(end, next_plan if pending is None else pending[0])
            while due := runtime.advance(until):
                if Due.CAMERAS in due:
                    self._observe()
                if done_ns is None and runtime.task_done():
                    done_ns = runtime.now_ns
            if pending is not None and runtime.now_ns + TIMESTEP_NS > pending[0]:
                self._send(pending[1])
                pending = None
        return SimEpisode(
            seed=runtime.world.seed,
            observations=tuple(self._observations),
            openings={name: np.array(values) for name, values in self._openings.items()},
            trajectories=tuple(self._sent),
            phases=tuple(self._phases),
            seconds=None if done_ns is None else (done_ns - _START_NS) / NANOSECONDS,
            status=runtime.status(),
            rejections=tuple(self._rejections),
            verdicts=tuple(self._verdicts),
            failures=tuple(self._failures),
            scripted=self._model.capabilities.scripted,
        )

    def _observe(self) -> None:
        runtime, world = self._runtime, self._runtime.world
        now = runtime.now_ns
        views = self._embodiment.views
        images: dict[str, UInt8Array] = {view: np.zeros(_BLACK, np.uint8) for view in views}
        if self._renderer is not None:
            self._renderer.load(world.snapshot())
            images = {view: self._renderer.render(view) for view in views}
        # One step back only: a chain of all earlier observations would keep them alive for ever.
        previous = self._observations[-1] if self._observations else None
        self._observations.append(
            Observation(
                stamp_ns=now,
                images=images,
                image_stamps_ns=dict.fromkeys(views, now),
                joints=world.joint_state(now),
                instruction=self._settings.instruction,
                previous=None if previous is None else _without_past(previous),
                scene=world.object_poses(),
            )
        )
        positions, _ = runtime.commanded()
        for name, joint in self._embodiment.gripper_joints.items():
            command = float(positions[world.driven_joints.index(joint.joint)])
            self._openings[name].append(float(np.clip(joint.fraction(command), 0.0, 1.0)))

    def _predict(self) -> tuple[int, JointTrajectory] | None:
        """Ask about the newest observation; return when its trajectory arrives, and the trajectory."""
        try:
            prediction = self._pipeline.predict(self._observations[-1], self._joiner, self._join)
        except (DecodeError, KinematicsError) as error:
            self._failures.append(str(error))
            return None
        phases = prediction.rollout.provenance.get("phases", [""])
        self._phases.append(str(phases[0]))
        if prediction.trajectory is None:
            return None
        return self._runtime.now_ns + _ns(self._settings.latency), prediction.trajectory

    def _send(self, trajectory: JointTrajectory) -> None:
        runtime = self._runtime
        now = runtime.now_ns
        measured = runtime.world.joint_state(now)
        whole = self._joiner.join(trajectory, now, measured, self._join).trajectory
        if whole is None:
            return
        if self._guard is not None:
            verdict = self._guard.judge(whole, GuardContext(now, measured, self._last))
            self._verdicts.append(verdict)
            if verdict.trajectory is None:
                return
            whole = verdict.trajectory
        self._last = whole
        for topic, names in self._embodiment.controllers:
            part = whole.select(names)
            reason = runtime.receive(topic, part)
            if reason is not None:
                self._rejections.append(f"{topic}: {reason}")
                continue
            self._joiner.sent(part, now)
            self._sent.append(part)


def _without_past(observation: Observation) -> Observation:
    return replace(observation, previous=None)


def _ns(seconds: float) -> int:
    return round(seconds * NANOSECONDS)
