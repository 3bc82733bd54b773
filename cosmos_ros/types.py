"""The frozen records that flow between the stages. Nothing flows backwards.

Conventions: SI units and radians; float64 for kinematics; images are ``uint8 [H, W, 3]`` RGB; poses are
``float64 [4, 4]`` homogeneous matrices; times are integer nanoseconds, stamps on the node's clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from cosmos_ros.errors import InputError

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
UInt8Array = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]

NANOSECONDS = 1_000_000_000


class Mode(str, Enum):
    """What a world model is asked for (Cosmos3's own names)."""

    POLICY = "policy"
    FORWARD_DYNAMICS = "forward_dynamics"
    INVERSE_DYNAMICS = "inverse_dynamics"


@dataclass(frozen=True)
class JointState:
    """Joint state at one stamp.

    Attributes:
        stamp_ns: Header stamp.
        names: J joint names, in the order of the arrays.
        positions: ``float64 [J]``, rad or m.
        velocities: ``float64 [J]``, rad/s or m/s, or None where the driver publishes none.
    """

    stamp_ns: int
    names: tuple[str, ...]
    positions: FloatArray
    velocities: FloatArray | None = None

    @classmethod
    def now(cls, positions: Mapping[str, float], velocities: Mapping[str, float] | None = None) -> JointState:
        """Return a state stamped with the system's clock.

        Args:
            positions: Joint name → rad or m.
            velocities: Joint name → rad/s or m/s, for the same joints; None where they are not measured.
        """
        names = tuple(positions)
        speeds = None if velocities is None else np.array([velocities[name] for name in names], dtype=np.float64)
        return cls(time.time_ns(), names, np.array([positions[name] for name in names], dtype=np.float64), speeds)

    def position_of(self, name: str) -> float:
        """Return one joint's position; KeyError when it is not there."""
        try:
            return float(self.positions[self.names.index(name)])
        except ValueError:
            raise KeyError(name) from None


@dataclass(frozen=True)
class Observation:
    """Everything that was known at one reference stamp, synchronised as-of.

    Attributes:
        stamp_ns: Reference stamp: the stamp of the primary view's image.
        images: View name → ``uint8 [H, W, 3]`` RGB.
        image_stamps_ns: View name → header stamp, each ≤ stamp_ns.
        joints: Newest joint state at or before stamp_ns; None for embodiments without joints.
        tool_poses: Link name → ``float64 [4, 4]`` pose in the base frame, for embodiments that are tracked
            by pose instead of joints (hand-held grippers).
        gripper_widths: Gripper name → opening in metres where it comes on its own topic.
        instruction: Task text; may be empty.
        previous: The observation one control step (1/fps) earlier, when the buffers held one.
        scene: Object name → pose ``[4, 4]`` in the base frame; simulator only, for scripted experts.
    """

    stamp_ns: int
    images: Mapping[str, UInt8Array]
    image_stamps_ns: Mapping[str, int]
    joints: JointState | None
    instruction: str = ""
    previous: Observation | None = None
    tool_poses: Mapping[str, FloatArray] = field(default_factory=dict)
    gripper_widths: Mapping[str, float] = field(default_factory=dict)
    scene: Mapping[str, FloatArray] = field(default_factory=dict)

    @classmethod
    def now(
        cls,
        images: Mapping[str, UInt8Array],
        joints: JointState | Mapping[str, float] | None = None,
        instruction: str = "",
    ) -> Observation:
        """Return an observation stamped with the system's clock, or with the joint state's stamp where it has one.

        Args:
            images: View name → ``uint8 [H, W, 3]`` RGB.
            joints: Joint state, or joint name → rad or m; None for robots without joints.
            instruction: Task text.
        """
        state = joints if joints is None or isinstance(joints, JointState) else JointState.now(joints)
        stamp = time.time_ns() if state is None else state.stamp_ns
        return cls(stamp, images, dict.fromkeys(images, stamp), state, instruction)


@dataclass(frozen=True)
class ActionLayout:
    """How one normalised action row becomes physical numbers, as plain data; filled by the embodiment.

    A column's physical value is ``scale * normalised + offset`` (quantile normaliser: ``scale = (q99 - q01) / 2``,
    ``offset = (q99 + q01) / 2``). A pose block is nine columns: xyz in metres, then rotation-6d (first two columns
    of the rotation matrix), the pose of the next step in the current action frame.

    Attributes:
        scale, offset: ``float64 [D]``.
        pose_columns: First column of each pose block.
        gripper_columns: Columns that hold an absolute gripper opening.
        clamp: Normalised values are clamped to [-1, 1].
    """

    scale: FloatArray
    offset: FloatArray
    pose_columns: tuple[int, ...]
    gripper_columns: tuple[int, ...] = ()
    clamp: bool = True


@dataclass(frozen=True)
class Request:
    """One question to a world model, wholly in the model's own terms.

    Attributes:
        mode: What is asked.
        domain_name, domain_id: The action domain (e.g. ``droid_lerobot``, 8).
        fps: Rate of frames and action rows, 1/s.
        chunk_size: T, number of action rows; frames are T + 1.
        action_dim: D, width of a raw action row before the model's own padding.
        image: Canvas ``uint8 [H, W, 3]`` RGB (policy, forward_dynamics).
        video: ``uint8 [T+1, H, W, 3]`` RGB (inverse_dynamics).
        actions: ``float32 [T, D]``, normalised model space (forward_dynamics).
        state: ``float32 [D]`` state row for checkpoints that take one.
        previous_image: The canvas one control step before ``image``, when known.
        past_action: ``float32 [D]`` the normalised action that led from previous_image to image, when known.
        committed: ``float32 [k, D]`` normalised rows, k < T, that will be executed whatever the answer is; the answer
            begins with them and continues them (policy, models that declare ``takes_committed``).
        commanded: ``float32 [G]`` openings last commanded to the layout's grippers, 0 closed to 1 open, when known.
        instruction: Plain task text.
        prompt: The structured JSON caption the model was trained on; built by the embodiment.
        negative_prompt: Text to steer away from; empty for actions by default.
        view_point: ``ego_view``, ``third_person_view``, ``wrist_view`` or ``concat_view``.
        resolution_tier: 256, 480, 704 or 720.
        seed: Seed of the sampler.
        settings: Sampler overrides (num_inference_steps, guidance_scale, flow_shift …); backends refuse
            names they do not know.
        recommended_settings: What the embodiment recommends for this mode; backends without a sampler ignore it.
        hold_action: ``float32 [D]`` the row that decodes to "do not move, leave the grippers as they are".
        layout: What the columns of an action row mean, for models that compute with motion (the baselines).
        observation: The observation this was built from; only for models that declare ``needs_observation``.
    """

    mode: Mode
    domain_name: str
    domain_id: int
    fps: float
    chunk_size: int
    action_dim: int
    image: UInt8Array | None = None
    video: UInt8Array | None = None
    actions: Float32Array | None = None
    state: Float32Array | None = None
    previous_image: UInt8Array | None = None
    past_action: Float32Array | None = None
    committed: Float32Array | None = None
    commanded: Float32Array | None = None
    instruction: str = ""
    prompt: str = ""
    negative_prompt: str = ""
    view_point: str = "ego_view"
    resolution_tier: int = 480
    seed: int = 0
    settings: Mapping[str, float | int | str | bool] = field(default_factory=dict)
    recommended_settings: Mapping[str, float | int | str | bool] = field(default_factory=dict)
    hold_action: Float32Array | None = None
    layout: ActionLayout | None = None
    observation: Observation | None = None


class ActionSpace(str, Enum):
    """What the rows of ``Rollout.actions`` mean."""

    MODEL = "model"  # normalised pose deltas and gripper; only the embodiment turns them into metres
    JOINT = "joint"  # absolute joint positions (rad) and gripper opening (1 = open), as Policy-DROID speaks


@dataclass(frozen=True)
class Rollout:
    """A world model's answer: hypotheses about the next T steps.

    Attributes:
        frames: ``uint8 [T+1, H, W, 3]`` RGB, frame 0 at the observation; None when the model gives none.
        actions: ``float32 [T, D]``; None when the mode gives none.
        action_space: Meaning of the rows.
        uncertainty: ``float64 [T]`` spread per step in normalised units, when the model gives one.
        provenance: JSON-serialisable facts about how this was made (backend, model, revision, seed, …).
        latencies_ms: Stage name → milliseconds inside the backend.
    """

    frames: UInt8Array | None
    actions: Float32Array | None
    action_space: ActionSpace = ActionSpace.MODEL
    uncertainty: FloatArray | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    latencies_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """Something a check noticed that a user should read. ``level`` is ``info``, ``warning`` or ``error``."""

    level: str
    code: str
    message: str
    where: str = ""


@dataclass(frozen=True)
class ActionChunk:
    """A decoded rollout: where the tools should be, and when, in the robot's own numbers.

    Attributes:
        stamp_ns: Stamp of the observation; the tools are at ``start_poses`` then.
        times_ns: ``int64 [T]`` time_from_start of each row, strictly increasing, > 0.
        start_poses: Link name → ``float64 [4, 4]`` in the base frame at stamp_ns.
        poses: Link name → ``float64 [T, 4, 4]`` link poses in the base frame (not the model's action frame).
        grippers: Gripper name → ``float64 [T]`` opening as fraction, 0 = closed, 1 = open.
        gripper_widths: Gripper name → ``float64 [T]`` opening in metres, where the embodiment knows the stroke.
        joint_names, joint_positions: ``float64 [T, J]`` rad, only for joint-space policies; else () and None.
        findings: What the decoder's checks noticed.
        uncertainty: ``float64 [T]`` or None, passed through.
    """

    stamp_ns: int
    times_ns: Int64Array
    start_poses: Mapping[str, FloatArray]
    poses: Mapping[str, FloatArray]
    grippers: Mapping[str, FloatArray]
    gripper_widths: Mapping[str, FloatArray] = field(default_factory=dict)
    joint_names: tuple[str, ...] = ()
    joint_positions: FloatArray | None = None
    findings: tuple[Finding, ...] = ()
    uncertainty: FloatArray | None = None


@dataclass(frozen=True)
class JointTrajectory:
    """A time-stamped joint trajectory, as trajectory_msgs/JointTrajectory carries it.

    Attributes:
        joint_names: J names, the column order.
        stamp_ns: Absolute time of time_from_start zero; 0 means "now, at receipt".
        times_ns: ``int64 [N]`` time_from_start.
        positions: ``float64 [N, J]``.
        velocities: ``float64 [N, J]`` or None.
        accelerations: ``float64 [N, J]`` or None (then velocities are needed too).

    A ros2_controllers JointTrajectoryController runs it as a quintic when accelerations are present, a cubic
    when velocities are, else linearly. This record validates nothing: what arrives from outside is judged by
    the guard, which must be able to hold it first.
    """

    joint_names: tuple[str, ...]
    stamp_ns: int
    times_ns: Int64Array
    positions: FloatArray
    velocities: FloatArray | None = None
    accelerations: FloatArray | None = None

    @classmethod
    def from_seconds(
        cls,
        joint_names: Sequence[str],
        times: npt.ArrayLike,
        positions: npt.ArrayLike,
        velocities: npt.ArrayLike | None = None,
    ) -> JointTrajectory:
        """Return a trajectory that begins when it is received.

        Args:
            joint_names: J names, the column order.
            times: ``[N]`` time_from_start, s.
            positions: ``[N, J]``, rad or m.
            velocities: ``[N, J]``, rad/s or m/s; None for straight lines between the points.
        """
        return cls(
            tuple(joint_names),
            0,
            np.round(np.asarray(times, dtype=np.float64) * NANOSECONDS).astype(np.int64),
            np.asarray(positions, dtype=np.float64),
            None if velocities is None else np.asarray(velocities, dtype=np.float64),
        )

    def select(self, names: Sequence[str]) -> JointTrajectory:
        """Return the same motion of some joints only, in this order.

        Raises:
            InputError: A joint is not in it.
        """
        missing = [name for name in names if name not in self.joint_names]
        if missing:
            raise InputError(f"joints {missing} are not in the trajectory", where="trajectory")
        columns = [self.joint_names.index(name) for name in names]
        return replace(self._each(lambda values: values[:, columns]), joint_names=tuple(names))

    def first(self, count: int) -> JointTrajectory:
        """Return the first points."""
        return replace(self._each(lambda values: values[:count]), times_ns=self.times_ns[:count])

    def _each(self, pick: Callable[[FloatArray], FloatArray]) -> JointTrajectory:
        return replace(
            self,
            positions=pick(self.positions),
            velocities=None if self.velocities is None else pick(self.velocities),
            accelerations=None if self.accelerations is None else pick(self.accelerations),
        )
