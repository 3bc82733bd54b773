"""An embodiment file, compiled: what encoding, decoding and building requests read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from cosmos_ros.embodiment.action_layout import Layout
from cosmos_ros.embodiment.loader import LoadedSpec
from cosmos_ros.embodiment.normaliser import Normaliser
from cosmos_ros.embodiment.robot import (
    check_opening,
    check_position,
    gripper_joints,
    load_robot,
    read_joints,
    robot_limits,
    tool_links,
)
from cosmos_ros.embodiment.spec import EmbodimentSpec
from cosmos_ros.errors import InputError
from cosmos_ros.kinematics import GripperJoint, InverseKinematics, RobotModel
from cosmos_ros.limits import RobotLimits
from cosmos_ros.schema import plain
from cosmos_ros.se3 import check_poses
from cosmos_ros.types import FloatArray, JointState, Mode, Observation


class CompiledEmbodiment:
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
        gripper_joints: Gripper name → the joint that moves it.
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

    @property
    def gripper_speeds(self) -> dict[str, float]:
        """Gripper joint → the most it may do, rad/s or m/s; ``inf`` where that is not known."""
        return {gripper.joint: gripper.max_velocity for gripper in self.gripper_joints.values()}

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

    @cached_property
    def continuous_joints(self) -> frozenset[str]:
        """Joints that wrap: their differences are modulo 2π."""
        joints = self.limits.joints if self.has_joints else {}
        return frozenset(name for name, limit in joints.items() if limit.continuous)

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
        return {} if sampler is None else dict(plain(sampler))

    def collision_pairs(self) -> tuple[tuple[int, int], ...]:
        """Return index pairs into ``spec.collision.capsules`` that are to be kept apart."""
        return () if self.spec.collision is None else self.spec.collision.pairs()

    def solver(self) -> InverseKinematics | None:
        """Return a new inverse-kinematics solver for the tool links; None without joints."""
        if self.robot is None:
            return None
        return InverseKinematics(
            self.robot, self.tool_links, self.joint_names, nominal=self.nominal, limits=self.limits.joints
        )

    def tool_poses(self, source: Observation | JointState) -> dict[str, FloatArray]:
        """Return tool link → pose ``float64 [4, 4]`` in the base frame, by forward kinematics or as tracked.

        Raises:
            InputError: A joint or tracked pose is missing, not finite or implausible.
        """
        if self.robot is None:
            tracked = source.tool_poses if isinstance(source, Observation) else {}
            missing = [link for link in self.tool_links if link not in tracked]
            if missing:
                raise InputError(
                    f"poses of {', '.join(missing)} are missing; there are {', '.join(tracked) or 'none'}",
                    where="tool_poses",
                    hint=f"Embodiment {self.name} has no joints: publish its tool poses.",
                )
            return {link: check_poses(tracked[link], f"tool_poses[{link}]") for link in self.tool_links}
        state = source.joints if isinstance(source, Observation) else source
        if state is None:
            raise InputError("there is no joint state", where="joint_states", hint="Check the joint_states topic.")
        joints = self.joint_positions(state)
        return {link: self.robot.fk(joints, link) for link in self.tool_links}

    def gripper_openings(self, source: Observation | JointState) -> dict[str, float]:
        """Return gripper → opening, 0 closed to 1 open, for the grippers that are observed.

        Raises:
            InputError: A gripper is in the wrong unit.
        """
        openings: dict[str, float] = {}
        state = source.joints if isinstance(source, Observation) else source
        widths = source.gripper_widths if isinstance(source, Observation) else {}
        for name, gripper in self.spec.grippers.items():
            joint = self.gripper_joints.get(name)
            if name in widths and gripper.width is not None:
                opening = gripper.width.fraction(float(widths[name]))
                check_opening(name, opening, f"{widths[name]:g} m", f"gripper_widths[{name}]")
            elif joint is not None and state is not None and joint.joint in state.names:
                position = state.position_of(joint.joint)
                check_position(joint.joint, position, self.limits.joints.get(joint.joint), "joint_states")
                opening = float(joint.fraction(position))
                check_opening(name, opening, f"{joint.joint} at {position:g}", "joint_states")
            else:
                continue
            openings[name] = min(1.0, max(0.0, opening))
        return openings

    def joint_positions(self, state: JointState) -> dict[str, float]:
        """Return arm joint → position, rad or m; InputError names what is missing or implausible."""
        return read_joints(state, self.joint_names, self.limits)

    def poses_of(self, names: Sequence[str], positions: FloatArray) -> dict[str, FloatArray]:
        """Return tool link → ``float64 [N, 4, 4]`` of joint positions ``float64 [N, J]`` in the order of names."""
        if self.robot is None:
            raise InputError(f"embodiment {self.name} has no joints", where="joints")
        full = np.zeros((len(positions), len(self.robot.joint_names)))
        for index, name in enumerate(self.robot.joint_names):
            if name in names:
                full[:, index] = positions[:, list(names).index(name)]
        return {link: self.robot.fk_batch(full, link) for link in self.tool_links}
