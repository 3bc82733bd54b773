"""A scripted expert behind the world-model protocol. It predicts nothing: it reads the simulator's scene and plans.

Its policy answers carry the actions of a pick-and-place plan and images of that plan, rendered from a private copy of
the scene; its forward dynamics steps that copy. Everything it returns says ``scripted``.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from cosmos_ros.embodiment import RecordedStates
from cosmos_ros.errors import ConfigError, CosmosRosError, InputError, ModelError
from cosmos_ros.kinematics import InverseKinematics, ResidualGate, chunk_to_trajectory
from cosmos_ros.sim.imagination import Imagination, step_times_ns
from cosmos_ros.sim.pick_and_place import Pace, PickAndPlacePolicy, ToolState
from cosmos_ros.sim.rendering import CAN_RENDER, INSTALL_HINT, mujoco
from cosmos_ros.sim.tabletop import Tabletop
from cosmos_ros.sim.task import Task as PutOn, parse_instruction
from cosmos_ros.types import FloatArray, Mode, Observation, Request, Rollout, UInt8Array
from cosmos_ros.world_models.backends.expert import ExpertOptions, capabilities, drivable_embodiment
from cosmos_ros.world_models.protocol import check_request
from cosmos_ros.world_models.sampler_settings import check_settings

# Share of what the action normaliser can express that a plan may use.
_HEADROOM = 0.97


class Expert:
    """Puts one named thing on another, by script."""

    name = "expert"

    def __init__(self, options: ExpertOptions) -> None:
        """Build; nothing is rendered yet.

        Raises:
            ConfigError: The embodiment cannot be driven by it.
        """
        self._options = options
        self.capabilities = capabilities(options)
        self._embodiment = drivable_embodiment(options)
        assert self._embodiment.robot is not None
        self._robot = self._embodiment.robot
        self._link = self._embodiment.layout.poses[0].link
        self._gripper = self._embodiment.layout.grips[0].gripper
        width = self._embodiment.spec.grippers[self._gripper].width
        assert width is not None
        self._stroke = width.open - width.closed
        self._objects = Tabletop().by_name
        self._imagination: Imagination | None = None
        self._solver: InverseKinematics | None = None
        self._tool_offset = np.eye(4)
        self._tool_link = ""

    def load(self) -> None:
        """Build the private copy of the scene.

        Raises:
            ConfigError: The robot has no simulator description, or frames are wanted and nothing can render.
        """
        if self._imagination is not None:
            return
        if self._options.frames and not CAN_RENDER:
            raise ConfigError(
                "no off-screen OpenGL was found to render the plan with", where="world_model expert", hint=INSTALL_HINT
            )
        self._imagination = Imagination(self._embodiment, self._options.frame_scale)
        self._solver = self._embodiment.solver()
        self._tool_link = self._imagination.world.tool_link
        home = self._embodiment.home
        link, tool = (self._robot.fk(home, name) for name in (self._link, self._tool_link))
        self._tool_offset = np.linalg.inv(link) @ tool

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
        task = parse_instruction(request.instruction, self._objects)
        steps, dt = request.chunk_size, 1.0 / request.fps
        state = self._tool_state(observation, task)
        pace = self._pace(request.fps)
        for _ in range(4):
            policy = PickAndPlacePolicy(task, self._stroke, pace)
            states, openings, phases = policy.plan(state, steps, dt)
            encoded = self._embodiment.encode(self._recorded(states, openings, state.opening))
            if not encoded.clamped.any():
                break
            # The observed motion is faster than the action space can say: brake within it.
            pace = replace(pace, speed=0.7 * pace.speed, turn=0.7 * pace.turn)
        planned = time.perf_counter()
        frames = self._render(request, observation, task, states) if self._options.frames else None
        return Rollout(
            frames=frames,
            actions=encoded.actions.astype(np.float32),
            provenance={
                "backend": self.name,
                "scripted": True,
                "note": "scripted plan from the simulator's scene; nothing was predicted",
                "task": f"{task.item.name} on {task.target.name}",
                "phases": phases,
                "clamped": int(encoded.clamped.sum()),
                "engine": f"mujoco {mujoco.__version__}",
            },
            latencies_ms={
                "plan": (planned - begin) * 1e3,
                "render": (time.perf_counter() - planned) * 1e3,
            },
        )

    def _pace(self, fps: float) -> Pace:
        """Return bounds that the action normaliser can express in any direction."""
        pace = Pace()
        normaliser = self._embodiment.normaliser
        if not normaliser.clamped:
            return pace
        ends = np.stack((normaliser.offset - normaliser.scale, normaliser.offset + normaliser.scale))
        reach = np.abs(ends).min(axis=0) * fps * _HEADROOM
        first = self._embodiment.layout.poses[0].start
        # Columns c0y, c0z, c1x, c1z of a rotation by a small angle are that angle.
        turn = reach[[first + 4, first + 5, first + 6, first + 8]].min()
        return replace(
            pace, speed=float(min(pace.speed, reach[first : first + 3].min())), turn=float(min(pace.turn, turn))
        )

    def _tool_state(self, observation: Observation, task: PutOn) -> ToolState:
        scene = observation.scene
        missing = [item.name for item in (task.item, task.target) if item.name not in scene]
        if missing:
            raise InputError(f"{missing} are not in the published scene", where="scene")
        assert observation.joints is not None or not self._embodiment.has_joints
        joints = observation.joints
        if joints is None:
            raise InputError("there is no joint state", where="joint_states")
        openings = self._embodiment.gripper_openings(observation)
        if self._gripper not in openings:
            raise InputError(f"gripper {self._gripper} is not observed", where="joint_states")
        pose = self._embodiment.tool_poses(observation)[self._link] @ self._tool_offset
        twist = np.zeros(6)
        if joints.velocities is not None:
            positions = dict(zip(joints.names, joints.positions.tolist(), strict=True))
            rates = dict(zip(joints.names, joints.velocities.tolist(), strict=True))
            names = self._robot.joint_names
            q = {name: positions[name] for name in names if name in positions}
            twist = self._robot.jacobian(q, self._tool_link) @ np.array([rates.get(name, 0.0) for name in names])
        return ToolState(
            pose=pose,
            velocity=twist[:3],
            turn_rate=twist[3:],
            opening=openings[self._gripper],
            item=np.array(scene[task.item.name]),
            target=np.array(scene[task.target.name]),
        )

    def _recorded(self, states: list[ToolState], openings: list[float], observed: float) -> RecordedStates:
        """Return the plan as the recording of a robot that follows it."""
        back = np.linalg.inv(self._tool_offset)
        poses = np.stack([state.pose @ back for state in states])
        commands = [*openings, openings[-1]] if self._embodiment.layout.grips[0].offset == 0 else [observed, *openings]
        return RecordedStates(
            tool_poses={self._link: poses}, gripper_openings={self._gripper: np.clip(np.array(commands), 0.0, 1.0)}
        )

    def _render(self, request: Request, observation: Observation, task: PutOn, states: list[ToolState]) -> UInt8Array:
        assert self._imagination is not None
        assert self._solver is not None
        assert observation.joints is not None
        back = np.linalg.inv(self._tool_offset)
        targets = np.stack([state.pose @ back for state in states[1:]])
        start = dict(zip(observation.joints.names, observation.joints.positions.tolist(), strict=True))
        solution = self._solver.solve({self._link: targets}, start)
        finger = self._embodiment.gripper_joints[self._gripper]
        postures = [
            {
                **dict(zip(solution.joint_names, row.tolist(), strict=True)),
                finger.joint: float(finger.position(s.opening)),
            }
            for row, s in zip(solution.positions, states[1:], strict=True)
        ]
        objects: list[dict[str, FloatArray]] = [{task.item.name: state.item} for state in states[1:]]
        return self._with_first(request, self._imagination.playback(observation, postures, objects))

    # Forward dynamics -----------------------------------------------------------------------------------------

    def _step(self, request: Request, observation: Observation) -> Rollout:
        assert self._imagination is not None
        begin = time.perf_counter()
        if request.actions is None or observation.joints is None:
            raise InputError("forward dynamics needs actions and a joint state", where="request")
        chunk = self._embodiment.decode_actions(
            np.asarray(request.actions, dtype=np.float64),
            self._embodiment.tool_poses(observation),
            stamp_ns=observation.stamp_ns,
        )
        trajectory, _ = chunk_to_trajectory(
            chunk, observation.joints, self._solver, self._embodiment.gripper_joints, ResidualGate()
        )
        times = step_times_ns(request.chunk_size, request.fps)
        frames = self._with_first(request, self._imagination.simulate(observation, trajectory, times))
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
