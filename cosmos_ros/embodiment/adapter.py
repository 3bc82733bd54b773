"""The adapter between one robot's own numbers and pictures and one world model's."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cosmos_ros.embodiment import canvas as canvas_module
from cosmos_ros.embodiment.action_layout import Layout
from cosmos_ros.embodiment.decoder import decode_rows
from cosmos_ros.embodiment.encoder import EncodedActions, RecordedStates, encode_states
from cosmos_ros.embodiment.loader import LoadedSpec, load_spec
from cosmos_ros.embodiment.normaliser import Normaliser
from cosmos_ros.embodiment.observed_state import gripper_openings, tool_poses
from cosmos_ros.embodiment.request_builder import RequestBuilder
from cosmos_ros.embodiment.robot import gripper_joints, load_robot, read_joints, robot_limits, tool_links
from cosmos_ros.embodiment.spec import EmbodimentSpec
from cosmos_ros.errors import ConfigError, DecodeError, InputError
from cosmos_ros.kinematics import GripperJoint, RobotModel
from cosmos_ros.limits import RobotLimits
from cosmos_ros.types import (
    ActionChunk,
    ActionSpace,
    FloatArray,
    JointState,
    Mode,
    Observation,
    Request,
    Rollout,
    UInt8Array,
)

if TYPE_CHECKING:
    from cosmos_ros.kinematics import InverseKinematics

Settings = Mapping[str, float | int | str | bool]


class Embodiment:
    """One robot in the conventions of one action domain. Immutable after construction.

    Attributes:
        name: Name of the embodiment.
        spec: The validated file.
        path: The file.
        config_hash: SHA-256 (hex) of the resolved file and the URDF.
        layout: Compiled action layout.
        normaliser: Physical numbers to the model's numbers.
        robot: Kinematics, or None for embodiments tracked by tool poses alone.
        limits: Limits of arm, gripper and mimic joints, with sources.
    """

    def __init__(
        self, loaded: LoadedSpec, urdf: str | Path | None = None, ur_calibration: str | Path | None = None
    ) -> None:
        """Build from a loaded file.

        Args:
            loaded: The file.
            urdf: Path or XML text of another URDF for the same robot, e.g. ``robot_description``; None takes the
                file's.
            ur_calibration: Kinematics file of one particular Universal Robots arm, as its driver uses.

        Raises:
            ConfigError: File and URDF do not fit each other.
        """
        self.spec: EmbodimentSpec = loaded.spec
        self.name = loaded.spec.name
        self._parts = canvas_module.Parts()
        self.path = loaded.path
        self.layout = Layout.from_spec(loaded.spec)
        self.normaliser = Normaliser.from_spec(loaded.spec.action)
        where = str(loaded.path)
        self.robot: RobotModel | None = load_robot(
            loaded.spec, urdf or loaded.urdf_path, where, ur_calibration or loaded.ur_calibration_path
        )
        self.config_hash = loaded.hash_with(urdf, ur_calibration)
        self.limits: RobotLimits = robot_limits(loaded.spec, self.robot, where)
        self.gripper_joints: dict[str, GripperJoint] = {
            name: replace(joint, max_velocity=min(joint.max_velocity, self.limits.joints[joint.joint].velocity))
            for name, joint in gripper_joints(loaded.spec).items()
        }
        self._builder = RequestBuilder(self)

    # What the file says, in the words of the other rooms.

    @property
    def domain_name(self) -> str:
        """Action domain, e.g. ``droid_lerobot``."""
        return self.spec.domain.name

    @property
    def domain_id(self) -> int:
        """Number of the action domain."""
        return self.spec.domain.id

    @property
    def fps(self) -> float:
        """Rate of frames and action rows, 1/s."""
        return self.spec.fps

    @property
    def chunk_size(self) -> int:
        """T, number of action rows of one chunk."""
        return self.spec.chunk_size

    @property
    def action_dim(self) -> int:
        """D, number of columns of one action row."""
        return self.layout.width

    @property
    def views(self) -> tuple[str, ...]:
        """View names, the primary first."""
        return tuple(self.spec.cameras)

    @property
    def has_joints(self) -> bool:
        """False for embodiments tracked by tool poses alone."""
        return self.spec.robot is not None

    @property
    def joint_names(self) -> tuple[str, ...]:
        """Arm joints (with waist and head where there are any), in the robot's order."""
        return tuple(self.spec.robot.joints) if self.spec.robot else ()

    @cached_property
    def all_joints(self) -> tuple[str, ...]:
        """Arm joints, then gripper joints."""
        return (*self.joint_names, *(joint.joint for joint in self.gripper_joints.values()))

    @property
    def base_frame(self) -> str:
        """Frame that poses are given in; ``world`` where nothing but tool poses is known."""
        return self.spec.robot.base_frame if self.spec.robot else "world"

    @cached_property
    def tool_links(self) -> tuple[str, ...]:
        """Links that tool poses are given for."""
        return tool_links(self.spec)

    @property
    def home(self) -> dict[str, float]:
        """Home posture, rad or m, of arm and gripper joints (grippers open unless the file says otherwise)."""
        if self.spec.robot is None:
            return {}
        opened = {joint.joint: joint.open for joint in self.gripper_joints.values()}
        return {**dict.fromkeys(self.all_joints, 0.0), **opened, **self.spec.robot.home}

    @property
    def nominal(self) -> dict[str, float]:
        """Posture that redundant joints are pulled to, rad."""
        home = self.home
        nominal = self.spec.robot.nominal if self.spec.robot else {}
        return {name: nominal.get(name, home[name]) for name in self.joint_names}

    @property
    def controllers(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """(topic, joint names) of each controller."""
        if self.spec.robot is None:
            return ()
        return tuple((c.topic, tuple(c.joints)) for c in self.spec.robot.controllers)

    def sampler_settings(self, mode: Mode) -> dict[str, float | int]:
        """Return the sampler settings recommended for a mode (steps, guidance, shift); empty when none are known."""
        sampler = getattr(self.spec.samplers, mode.value)
        return {} if sampler is None else dict(sampler.model_dump())

    def collision_pairs(self) -> tuple[tuple[int, int], ...]:
        """Return index pairs into ``spec.collision.capsules`` that are to be kept apart."""
        return () if self.spec.collision is None else self.spec.collision.pairs()

    def solver(self) -> InverseKinematics | None:
        """Return a new inverse-kinematics solver for the tool links; None without joints."""
        if self.robot is None:
            return None
        from cosmos_ros.kinematics import InverseKinematics

        return InverseKinematics(
            self.robot, self.tool_links, self.joint_names, nominal=self.nominal, limits=self.limits.joints
        )

    # What is observed.

    def tool_poses(self, source: Observation | JointState) -> dict[str, FloatArray]:
        """Return tool link → pose ``float64 [4, 4]`` in the base frame, by forward kinematics or as tracked.

        Raises:
            InputError: A joint or tracked pose is missing, not finite or implausible.
        """
        return tool_poses(self, source)

    def gripper_openings(self, source: Observation | JointState) -> dict[str, float]:
        """Return gripper → opening, 0 closed to 1 open, for the grippers that are observed.

        Raises:
            InputError: A gripper is in the wrong unit.
        """
        return gripper_openings(self, source)

    def joint_positions(self, state: JointState) -> dict[str, float]:
        """Return arm joint → position, rad or m; InputError names what is missing or implausible."""
        return read_joints(state, self.joint_names, self.limits)

    # Pictures.

    def compose(self, images: Mapping[str, UInt8Array]) -> UInt8Array:
        """Return the canvas ``uint8 [H, W, 3]`` of one set of views, not padded; InputError names a missing view."""
        return canvas_module.compose(images, self.spec.cameras, self.spec.canvas.rows, self._parts)

    def prepare(self, view: str, image: UInt8Array) -> None:
        """Scale one view ahead of ``compose``, in any thread; the picture must not be changed any more.

        Only saves time: the canvas is the same without. Side views need the size of the primary one, which the last
        canvas tells.
        """
        canvas_module.prepare(view, image, self.spec.cameras, self.spec.canvas.rows, self._parts)

    def compose_video(self, videos: Mapping[str, UInt8Array]) -> UInt8Array:
        """Return the canvases ``uint8 [N, H, W, 3]`` of views that are each ``uint8 [N, H, W, 3]``."""
        lengths = {view: len(frames) for view, frames in videos.items()}
        if not lengths or len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise InputError(f"views need equal numbers of frames, got {lengths}", where="videos")
        count = next(iter(lengths.values()))
        return np.stack([self.compose({view: frames[i] for view, frames in videos.items()}) for i in range(count)])

    # Requests and answers.

    def build_request(
        self,
        observation: Observation,
        mode: Mode,
        *,
        seed: int = 0,
        chunk_size: int | None = None,
        settings: Settings | None = None,
        actions: FloatArray | None = None,
        video: UInt8Array | None = None,
        negative_prompt: str = "",
        needs_observation: bool = False,
    ) -> Request:
        """Put an observation into the model's own terms.

        Args:
            observation: What was seen; its ``previous`` gives the previous canvas and the past action.
            mode: What is asked.
            seed: Seed of the sampler.
            chunk_size: T; None takes the embodiment's own.
            settings: Sampler overrides, passed on as they are (see ``sampler_settings`` for recommended ones).
            actions: ``[T, D]`` normalised actions, for forward_dynamics only.
            video: ``uint8 [T+1, H, W, 3]`` canvases, for inverse_dynamics only.
            negative_prompt: Text to steer away from.
            needs_observation: Put the observation itself into the request.

        Raises:
            InputError: A view, joint or array is missing or wrong; names it.
            DecodeError: ``actions`` have the wrong width or are not finite.
        """
        return self._builder.build(
            observation,
            mode,
            seed=seed,
            chunk_size=chunk_size,
            settings=settings,
            actions=actions,
            video=video,
            negative_prompt=negative_prompt,
            needs_observation=needs_observation,
        )

    def decode(self, rollout: Rollout, observation: Observation) -> ActionChunk:
        """Turn a rollout's actions into tool poses, grippers and times.

        Row i is due at ``(i + 1) / fps`` after the observation, for poses and grippers alike.

        Raises:
            DecodeError: No actions, wrong width, a non-finite number, rotation columns that are no rotation.
            InputError: The observation lacks what the start poses need.
        """
        if rollout.actions is None:
            raise DecodeError("the rollout has no actions", where="actions")
        chunk = self.decode_actions(
            np.asarray(rollout.actions, dtype=np.float64),
            self.tool_poses(observation),
            space=rollout.action_space,
            stamp_ns=observation.stamp_ns,
            thorough=False,
        )
        return chunk if rollout.uncertainty is None else replace(chunk, uncertainty=rollout.uncertainty)

    def decode_actions(
        self,
        actions: FloatArray,
        start: Mapping[str, FloatArray],
        *,
        space: ActionSpace = ActionSpace.MODEL,
        physical: bool = False,
        stamp_ns: int = 0,
        thorough: bool = True,
    ) -> ActionChunk:
        """Turn action rows into tool poses, grippers and times.

        Args:
            actions: ``[T, D]``.
            start: Tool link → ``float64 [4, 4]`` pose before the first row.
            space: ``joint`` for rows of joint positions and gripper openings.
            physical: The rows are physical numbers already, not the model's.
            stamp_ns: Stamp of the start.
            thorough: Compare with the other embodiments' statistics at the slightest doubt, not only when the
                rotations are far off; for recorded data, which is exact. Reads their files once.

        Raises:
            DecodeError, InputError: As ``decode``.
        """
        return decode_rows(self, actions, start, space=space, physical=physical, stamp_ns=stamp_ns, thorough=thorough)

    def encode(self, states: RecordedStates | Sequence[JointState] | Sequence[Observation]) -> EncodedActions:
        """Turn T + 1 recorded states, one every 1/fps, into T normalised action rows.

        Raises:
            InputError: Something is missing, implausible, or in the wrong unit; names it and the row.
        """
        return encode_states(self, states)

    def poses_of(self, names: Sequence[str], positions: FloatArray) -> dict[str, FloatArray]:
        """Return tool link → ``float64 [N, 4, 4]`` of joint positions ``float64 [N, J]`` in the order of names."""
        if self.robot is None:
            raise InputError(f"embodiment {self.name} has no joints", where="joints")
        full = np.zeros((len(positions), len(self.robot.joint_names)))
        for index, name in enumerate(self.robot.joint_names):
            if name in names:
                full[:, index] = positions[:, list(names).index(name)]
        return {link: self.robot.fk_batch(full, link) for link in self.tool_links}


def load_embodiment(
    name_or_path: str | Path,
    urdf: str | Path | None = None,
    ur_calibration: str | Path | None = None,
    *,
    fps: float | None = None,
) -> Embodiment:
    """Load a shipped embodiment by name, or a file of one's own.

    Args:
        name_or_path: ``franka``, or the path of a YAML file.
        urdf: Another URDF for the same robot (path, or XML text such as ``robot_description``).
        ur_calibration: Kinematics file of one particular Universal Robots arm, as its driver uses.
        fps: Rate of frames and action rows (1/s) instead of the file's, for data of another rate.

    Raises:
        ConfigError: Names the file, the field and what is allowed.
    """
    loaded = load_spec(name_or_path)
    if fps is not None and fps != loaded.spec.fps:
        if not 0.0 < fps <= 1000.0:
            raise ConfigError(f"a rate of {fps} frames a second is not in (0, 1000]", where="fps")
        digest = hashlib.sha256(f"{loaded.config_hash} fps {float(fps)!r}".encode()).hexdigest()
        loaded = replace(loaded, spec=loaded.spec.model_copy(update={"fps": float(fps)}), config_hash=digest)
    return Embodiment(loaded, urdf, ur_calibration)
