"""A scripted expert behind the world-model protocol. It predicts nothing: it reads the simulator's scene and plans.

Its policy answers carry the actions of a plan and images of that plan, rendered from a private copy of
the scene; its forward dynamics steps that copy. Everything it returns says ``scripted``.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from cosmos_ros.embodiment import RecordedStates
from cosmos_ros.errors import ConfigError, CosmosRosError, InputError, ModelError
from cosmos_ros.kinematics import ResidualGate, chunk_to_trajectory
from cosmos_ros.sim.imagination import Imagination, step_times_ns
from cosmos_ros.sim.observed_hand import objects_of, observed_hand
from cosmos_ros.sim.rendering import CAN_RENDER, INSTALL_HINT, mujoco
from cosmos_ros.sim.scenes import hand_words, vocabulary
from cosmos_ros.sim.simulated_robot import SimulatedHand, SimulatedRobot, simulated_robot
from cosmos_ros.sim.task import Task, parse_instruction
from cosmos_ros.sim.teacher import Phase
from cosmos_ros.sim.teacher_pace import hand_for, job_for, pace_for
from cosmos_ros.sim.teacher_plan import Plans, plan
from cosmos_ros.types import FloatArray, JointState, Mode, Observation, Request, Rollout, UInt8Array
from cosmos_ros.world_models.backends.expert import ExpertOptions, capabilities, drivable_embodiment
from cosmos_ros.world_models.protocol import check_request
from cosmos_ros.world_models.sampler_settings import check_settings


class Expert:
    """Reaches, pushes, puts and lifts what it is told to, by script."""

    name = "expert"

    def __init__(self, options: ExpertOptions) -> None:
        """Build; nothing is rendered yet.

        Raises:
            ConfigError: The embodiment cannot be driven by it.
        """
        self._options = options
        self.capabilities = capabilities(options)
        self._embodiment = drivable_embodiment(options)
        self._robot: SimulatedRobot | None = None
        self._imagination: Imagination | None = None

    def load(self) -> None:
        """Build the private copy of the robot.

        Raises:
            ConfigError: The robot has no simulator description, or frames are wanted and nothing can render.
        """
        if self._robot is not None:
            return
        if self._options.frames and not CAN_RENDER:
            raise ConfigError(
                "no off-screen OpenGL was found to render the plan with", where="world_model expert", hint=INSTALL_HINT
            )
        self._robot = simulated_robot(self._embodiment)

    def predict(self, request: Request) -> Rollout:
        """Answer one request.

        Raises:
            ModelError: The instruction is not one it knows, or the scene or joint state is incomplete.
            CapabilityError: The mode, domain or a setting is not supported.
        """
        check_request(self, request)
        check_settings("world_model expert", request.settings, frozenset())
        self.load()
        observation = request.observation
        if observation is None:
            raise ModelError("the request carries no observation", where="world_model expert")
        try:
            if request.mode is Mode.FORWARD_DYNAMICS:
                return self._step(request, observation)
            return self._plan(request, observation)
        except ModelError:
            raise
        except CosmosRosError as error:
            raise ModelError(error.message, where=f"world_model expert, {error.where}", hint=error.hint) from error

    def close(self) -> None:
        """Free the renderer; may be called twice."""
        if self._imagination is not None:
            self._imagination.close()
            self._imagination = None

    # Policy ---------------------------------------------------------------------------------------------------

    def _plan(self, request: Request, observation: Observation) -> Rollout:
        begin = time.perf_counter()
        assert self._robot is not None
        robot, scene = self._robot, observation.scene
        task = parse_instruction(request.instruction, objects_of(robot), hand_words(robot.description))
        missing = [item.name for item in task.objects if item.name not in scene]
        if missing:
            raise InputError(f"{missing} are not in the published scene", where="scene")
        hand = hand_for(robot, task, float(scene[task.item.name][1, 3]))
        job = job_for(robot, hand, task)
        hands = observed_hand(robot, hand, job, observation, task)
        steps, dt = request.chunk_size, 1.0 / request.fps
        pace = pace_for(self._embodiment)
        for _ in range(4):
            plans = plan(job, hands, steps, dt, pace)
            encoded = self._embodiment.encode(self._recorded(observation, hand, plans))
            if not encoded.clamped.any():
                break
            # The observed motion is faster than the action space can say: brake within it.
            pace = replace(pace, speed=0.7 * pace.speed, turn=0.7 * pace.turn)
        planned = time.perf_counter()
        frames = self._render(request, observation, hand, task, plans) if self._options.frames else None
        return Rollout(
            frames=frames,
            actions=encoded.actions.astype(np.float32),
            provenance={
                "backend": self.name,
                "scripted": True,
                "note": "scripted plan from the simulator's scene; nothing was predicted",
                "task": " ".join((task.verb.value, *(item.name for item in task.objects))),
                "phases": [Phase(phase).name.lower() for phase in plans.phases[0].tolist()],
                "clamped": int(encoded.clamped.sum()),
                "engine": f"mujoco {mujoco.__version__}",
            },
            latencies_ms={
                "plan": (planned - begin) * 1e3,
                "render": (time.perf_counter() - planned) * 1e3,
            },
        )

    def _recorded(self, observation: Observation, hand: SimulatedHand, plans: Plans) -> RecordedStates:
        """Return the plan as the recording of a robot that follows it; everything but the hand stands still."""
        layout = self._embodiment.layout
        instants = plans.poses.shape[1]
        poses = {
            link: np.repeat(pose[None], instants, axis=0)
            for link, pose in self._embodiment.tool_poses(observation).items()
        }
        poses[hand.link] = plans.poses[0] @ np.linalg.inv(hand.grasp)
        openings = {}
        for grip in layout.grips:
            observed = self._embodiment.gripper_openings(observation)[grip.gripper]
            values = np.full(instants, observed)
            if grip.gripper == hand.gripper:
                planned = plans.openings[0]
                values = np.append(planned, planned[-1]) if grip.offset == 0 else np.insert(planned, 0, observed)
            openings[grip.gripper] = np.clip(values, 0.0, 1.0)
        return RecordedStates(tool_poses=poses, gripper_openings=openings)

    def _render(
        self, request: Request, observation: Observation, hand: SimulatedHand, task: Task, plans: Plans
    ) -> UInt8Array:
        assert self._robot is not None
        targets = plans.poses[0, 1:] @ np.linalg.inv(hand.grasp)
        imagination = self._imagine(observation)
        start = imagination.posture(observation)
        solution = self._robot.solver(hand).solve({hand.link: targets}, start)
        postures = [
            {
                **start,
                **dict(zip(solution.joint_names, row.tolist(), strict=True)),
                hand.joint.joint: float(hand.joint.position(np.clip(opening, 0.0, 1.0))),
            }
            for row, opening in zip(solution.positions, plans.openings[0], strict=True)
        ]
        objects: list[dict[str, FloatArray]] = [{task.item.name: pose} for pose in plans.items[0, 1:]]
        return self._with_first(request, imagination.playback(observation, postures, objects))

    def _imagine(self, observation: Observation) -> Imagination:
        """Return the private copy of the scene with the objects that are observed."""
        assert self._robot is not None
        known = vocabulary()
        names = tuple(sorted(name for name in observation.scene if name in known))
        if self._imagination is None or self._imagination.objects != names:
            self.close()
            self._imagination = Imagination(self._embodiment, self._options.frame_scale, names)
        return self._imagination

    # Forward dynamics -----------------------------------------------------------------------------------------

    def _step(self, request: Request, observation: Observation) -> Rollout:
        begin = time.perf_counter()
        assert self._robot is not None
        if request.actions is None:
            raise InputError("forward dynamics needs actions", where="request")
        chunk = self._embodiment.decode_actions(
            np.asarray(request.actions, dtype=np.float64),
            self._embodiment.tool_poses(observation),
            stamp_ns=observation.stamp_ns,
        )
        imagination = self._imagine(observation)
        start = imagination.posture(observation)
        names = tuple(start)
        state = JointState(observation.stamp_ns, names, np.array([start[n] for n in names]), np.zeros(len(names)))
        if observation.joints is not None:
            state = observation.joints
        trajectory, _ = chunk_to_trajectory(
            chunk, state, self._robot.whole_solver(), self._robot.gripper_joints(), ResidualGate()
        )
        times = step_times_ns(request.chunk_size, request.fps)
        frames = self._with_first(request, imagination.simulate(observation, trajectory, times))
        return Rollout(
            frames=frames,
            actions=None,
            provenance={
                "backend": self.name,
                "scripted": True,
                "note": "stepped in the simulator; nothing was predicted",
                "engine": f"mujoco {mujoco.__version__}",
            },
            latencies_ms={"simulate": (time.perf_counter() - begin) * 1e3},
        )

    @staticmethod
    def _with_first(request: Request, frames: UInt8Array) -> UInt8Array:
        """Put the observed canvas in front of the imagined ones."""
        if request.image is None or request.image.shape != frames.shape[1:]:
            shape = None if request.image is None else list(request.image.shape)
            raise InputError(f"the observed canvas has shape {shape}, the imagined ones {list(frames.shape[1:])}")
        return np.concatenate((request.image[None], frames))
