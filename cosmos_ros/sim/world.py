"""The simulated world: a robot at a table, stepped by MuJoCo. No ROS, no clock: time passes when it is stepped."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.kinematics import GripperJoint
from cosmos_ros.limits import RobotLimits
from cosmos_ros.sim.limit_monitor import LimitMonitor
from cosmos_ros.sim.mujoco_robot import ROBOT_BIT, load_robot
from cosmos_ros.sim.rendering import CameraRenderer, PinholeCamera, mujoco
from cosmos_ros.sim.sim_description import hand_frame
from cosmos_ros.sim.tabletop import Tabletop, add_tabletop, tabletop_for
from cosmos_ros.sim.task import Task, TaskState
from cosmos_ros.types import NANOSECONDS, FloatArray, JointState, UInt8Array

# Physics step.
TIMESTEP_NS = 2_000_000


@dataclass(frozen=True)
class WorldState:
    """What a renderer needs of one moment, copied so that physics may go on.

    Attributes:
        time_ns: Simulated time since construction or the last reset.
        positions: Generalised positions ``[nq]``.
        mocap_positions, mocap_quaternions: Poses of the pads.
    """

    time_ns: int
    positions: FloatArray
    mocap_positions: FloatArray
    mocap_quaternions: FloatArray


class SimWorld:
    """A robot and objects on a table. Deterministic: the same seed and setpoints give the same motion, bit for bit.

    The base frame of every pose is the robot's base link. One thread uses an instance at a time; rendering in
    another thread works on a ``WorldState`` and its own ``WorldRenderer``.

    Args:
        urdf: Robot kinematics.
        limits: Joint limits, for efforts and for the monitor.
        home: Joint name → position after a reset, rad or m; missing joints start at 0 clipped into their range.
        scene: What is on the table.
        seed: Seed of the object poses.

    Raises:
        ConfigError: URDF, description, home or scene do not fit together.
    """

    def __init__(
        self,
        urdf: Path,
        *,
        limits: RobotLimits,
        home: Mapping[str, float],
        scene: Tabletop | None = None,
        seed: int = 0,
    ) -> None:
        efforts = {name: limit.effort for name, limit in limits.joints.items()}
        robot = load_robot(urdf, efforts)
        self.description = robot.description
        self.scene = scene or tabletop_for(self.description.scene)
        add_tabletop(robot.spec, self.scene)
        option = robot.spec.option
        option.timestep = TIMESTEP_NS / NANOSECONDS
        option.integrator = mujoco.mjtIntegrator.mjINT_IMPLICITFAST
        option.cone, option.impratio = mujoco.mjtCone.mjCONE_ELLIPTIC, 10.0
        self.model: Any = robot.spec.compile()
        self._data: Any = mujoco.MjData(self.model)
        self.driven_joints: tuple[str, ...] = robot.joint_names
        self._mimics = robot.mimics
        followers = [name for name in robot.mimics if name in robot.own_joints]
        self.joint_names: tuple[str, ...] = (*robot.joint_names, *followers)
        self._qpos = np.array([self.model.joint(name).qposadr[0] for name in self.joint_names])
        self._qvel = np.array([self.model.joint(name).dofadr[0] for name in self.joint_names])
        self._ctrl = np.array([self.model.actuator(name).id for name in self.driven_joints])
        # The servo compares the setpoint at the end of a step with the joint at its start, one step of travel apart.
        self._feedforward = np.array(
            [robot.velocity_feedforward[name] - TIMESTEP_NS / NANOSECONDS for name in self.driven_joints]
        )
        unknown = sorted(set(home) - set(self.joint_names))
        if unknown:
            raise ConfigError(f"home names joints that the robot does not have: {unknown}", where=str(urdf))
        start = {**home, **self.description.start}
        self._home = np.array(
            [float(np.clip(start.get(name, 0.0), *robot.ranges[name])) for name in self.driven_joints]
        )
        self.monitor = LimitMonitor(limits, self.joint_names)
        self._seed = seed
        self.refused_setpoints = 0
        self.reset(seed)

    # Time and state -------------------------------------------------------------------------------------------

    @property
    def time_ns(self) -> int:
        """Simulated time since the last reset."""
        return self._steps * TIMESTEP_NS

    @property
    def seed(self) -> int:
        """Seed of the current object poses."""
        return self._seed

    @property
    def tool_link(self) -> str:
        """Link between the fingertips of the first hand."""
        return next(iter(self.description.hands.values())).link

    def grasp_pose(self, gripper: str | None = None) -> FloatArray:
        """Return the grasp frame ``[4, 4]`` of a hand (default: the first), in the base frame."""
        hands = self.description.hands
        hand = hands[gripper] if gripper is not None else next(iter(hands.values()))
        return self.pose_of(hand.link) @ hand_frame(hand)

    def reset(self, seed: int | None = None) -> None:
        """Put the robot home and the objects to where ``seed`` (default: the last one) says; clear the monitor."""
        self._seed = self._seed if seed is None else seed
        mujoco.mj_resetData(self.model, self._data)
        self._steps = 0
        self._write_joints(dict(zip(self.driven_joints, self._home, strict=True)))
        self._write_objects(self.scene.sample_poses(np.random.default_rng(self._seed)))
        self._reference = self._home.copy()
        self._data.ctrl[self._ctrl] = self._home
        mujoco.mj_forward(self.model, self._data)
        self.monitor.clear()

    def set_state(
        self,
        joints: Mapping[str, float],
        objects: Mapping[str, FloatArray],
        velocities: Mapping[str, float] | None = None,
    ) -> None:
        """Place robot and objects without stepping; objects stand still, the setpoint is where the joints are.

        Args:
            joints: Joint name → position; mimic joints follow their source, others keep their position.
            objects: Object name → pose ``[4, 4]`` in the base frame.
            velocities: Joint name → velocity; zero where not given.

        Raises:
            InputError: A joint or object is unknown, or a number is not finite.
        """
        self._write_joints(joints)
        self._write_objects(objects)
        self._data.qvel[:] = 0.0
        for name, velocity in (velocities or {}).items():
            self._data.qvel[self.model.joint(name).dofadr[0]] = velocity
            for follower, (source, ratio, _) in self._mimics.items():
                if source == name:
                    self._data.qvel[self.model.joint(follower).dofadr[0]] = ratio * velocity
        self._reference = self._data.qpos[self._qpos[: len(self.driven_joints)]].copy()
        self._data.ctrl[self._ctrl] = self._reference
        mujoco.mj_forward(self.model, self._data)

    def advance(self, positions: FloatArray, velocities: FloatArray) -> None:
        """Step the physics once per row of setpoints.

        Args:
            positions, velocities: ``[n, J]`` setpoints of ``driven_joints``. A row with a non-finite number is
                refused, as a drive would: the joints keep the last good setpoint and ``refused_setpoints`` counts it.
        """
        count, total = len(positions), len(self.joint_names)
        seen = np.empty((2, count, total))
        finite = np.asarray(np.isfinite(np.hstack((positions, velocities))).all(axis=1), dtype=np.bool_)
        for row in range(count):
            if finite[row]:
                self._reference = positions[row]
                self._data.ctrl[self._ctrl] = positions[row] + self._feedforward * velocities[row]
            else:
                self.refused_setpoints += 1
                self._data.ctrl[self._ctrl] = self._reference
            mujoco.mj_step(self.model, self._data)
            seen[0, row], seen[1, row] = self._data.qpos[self._qpos], self._data.qvel[self._qvel]
        self._steps += count
        self.monitor.observe(seen[0], seen[1])

    def advance_lean(self, positions: FloatArray, velocities: FloatArray, each: int) -> None:
        """Step the physics ``each`` times per row of setpoints, watching no limits: for mass-produced episodes.

        Args:
            positions, velocities: ``[n, J]`` finite setpoints of ``driven_joints``.
            each: Physics steps that a row is held for.
        """
        controls = positions + self._feedforward * velocities
        for row in controls:
            self._data.ctrl[self._ctrl] = row
            mujoco.mj_step(self.model, self._data, nstep=each)
        self._reference = positions[-1]
        self._steps += each * len(positions)

    def grasp_motion(self, gripper: str) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return a hand's grasp frame ``[4, 4]`` and its velocity and turn rate ``[3]`` in the base frame."""
        hand = self.description.hands[gripper]
        pose = self.grasp_pose(gripper)
        twist = np.zeros(6)
        body = self.model.body(hand.link).id
        mujoco.mj_objectVelocity(self.model, self._data, mujoco.mjtObj.mjOBJ_XBODY, body, twist, 0)
        arm = pose[:3, 3] - self._data.xpos[body]
        return pose, twist[3:] + np.cross(twist[:3], arm), twist[:3]

    def hold(self, steps: int) -> None:
        """Step with the last setpoint."""
        self.advance(np.tile(self._reference, (steps, 1)), np.zeros((steps, len(self._reference))))

    def joint_state(self, stamp_ns: int | None = None) -> JointState:
        """Return positions and velocities of all joints, mimic joints last, stamped (default: simulated time)."""
        return JointState(
            stamp_ns=self.time_ns if stamp_ns is None else stamp_ns,
            names=self.joint_names,
            positions=self._data.qpos[self._qpos].copy(),
            velocities=self._data.qvel[self._qvel].copy(),
        )

    def opening(self, joint: GripperJoint) -> float:
        """Return how far a gripper is open as measured, 0 closed to 1 open."""
        position = float(self._data.qpos[self.model.joint(joint.joint).qposadr[0]])
        return float(np.clip(joint.fraction(position), 0.0, 1.0))

    def object_poses(self) -> dict[str, FloatArray]:
        """Return object name → pose ``[4, 4]`` in the base frame."""
        return {item.name: self.pose_of(item.name) for item in self.scene.objects}

    def object_speed(self, name: str) -> float:
        """Return the linear speed of a movable object, m/s."""
        address = self.model.joint(name).dofadr[0]
        return float(np.linalg.norm(self._data.qvel[address : address + 3]))

    def touched(self, name: str) -> bool:
        """Return whether any part of the robot touches an object."""
        item = self.model.body(name).id
        contacts = self._data.contact
        bodies = self.model.geom_bodyid[contacts.geom]  # [n, 2]
        robot = self.model.geom_contype[contacts.geom] == ROBOT_BIT
        return bool(np.any((bodies == item).any(axis=1) & robot.any(axis=1))) if len(bodies) else False

    def task_state(self, task: Task) -> TaskState:
        """Return what judging a task needs of this moment."""
        hands = self.description.hands
        chosen = (task.hand,) if task.hand in hands else tuple(hands)
        moving = [self.grasp_motion(gripper) for gripper in chosen]
        return TaskState(
            item=self.pose_of(task.item.name),
            target=None if task.target is None else self.pose_of(task.target.name),
            item_speed=self.object_speed(task.item.name) if task.item.movable else 0.0,
            touched=self.touched(task.item.name),
            grasp_points=np.stack([pose[:3, 3] for pose, _, _ in moving]),
            tool_speed=max(float(np.linalg.norm(velocity)) for _, velocity, _ in moving),
            table=self.scene.height,
            scale=self.description.scene.scale,
        )

    def pose_of(self, body: str) -> FloatArray:
        """Return the pose ``[4, 4]`` of a link or an object in the base frame."""
        view = self._data.body(body)
        pose = np.eye(4)
        pose[:3, :3] = view.xmat.reshape(3, 3)
        pose[:3, 3] = view.xpos
        return pose

    def snapshot(self) -> WorldState:
        """Copy what a renderer needs."""
        data = self._data
        return WorldState(self.time_ns, data.qpos.copy(), data.mocap_pos.copy(), data.mocap_quat.copy())

    def cameras(self, sizes: Mapping[str, tuple[int, int]]) -> dict[str, PinholeCamera]:
        """Return cameras of the scene and the robot by view name.

        Args:
            sizes: View name → (width, height) in pixels.

        Raises:
            ConfigError: There is no such camera.
        """
        known = {**self.scene.cameras, **self.description.cameras}
        missing = sorted(set(sizes) - set(known))
        if missing:
            raise ConfigError(f"cameras {missing} do not exist; there are {sorted(known)}", where="cameras")
        return {name: PinholeCamera(name, width, height, known[name].fovy) for name, (width, height) in sizes.items()}

    # Internals ------------------------------------------------------------------------------------------------

    def _write_joints(self, joints: Mapping[str, float]) -> None:
        for name, position in joints.items():
            if name not in self.joint_names or not np.isfinite(position):
                raise InputError(f"joint {name} = {position} cannot be set", where="simulated world")
            if name in self._mimics:
                continue
            self._data.qpos[self.model.joint(name).qposadr[0]] = position
            for follower, (source, ratio, offset) in self._mimics.items():
                if source == name:
                    self._data.qpos[self.model.joint(follower).qposadr[0]] = ratio * position + offset

    def _write_objects(self, objects: Mapping[str, FloatArray]) -> None:
        known = self.scene.by_name
        for name, pose in objects.items():
            if name not in known or not np.isfinite(pose).all():
                raise InputError(f"object {name} cannot be placed", where="simulated world")
            quat = np.zeros(4)
            mujoco.mju_mat2Quat(quat, np.ascontiguousarray(pose[:3, :3]).ravel())
            if known[name].movable:
                address = self.model.joint(name).qposadr[0]
                self._data.qpos[address : address + 7] = [*pose[:3, 3], *quat]
            else:
                index = self.model.body(name).mocapid[0]
                self._data.mocap_pos[index], self._data.mocap_quat[index] = pose[:3, 3], quat


class WorldRenderer:
    """Renders snapshots of a world; used by one thread at a time.

    Raises:
        ConfigError: No off-screen OpenGL works here, or a camera does not exist.
    """

    def __init__(self, world: SimWorld, cameras: Mapping[str, PinholeCamera]) -> None:
        self._model = world.model
        self._data: Any = mujoco.MjData(world.model)
        self._renderer = CameraRenderer(world.model, cameras)
        self.cameras = dict(cameras)

    def load(self, snapshot: WorldState) -> None:
        """Take a moment to render."""
        self._data.qpos[:] = snapshot.positions
        self._data.mocap_pos[:] = snapshot.mocap_positions
        self._data.mocap_quat[:] = snapshot.mocap_quaternions
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)

    def bound(self) -> AbstractContextManager[None]:
        """Bind the GL context for several renderings."""
        return self._renderer.bound()

    def render(self, view: str) -> UInt8Array:
        """Return ``uint8 [H, W, 3]`` RGB of one view of the loaded moment."""
        return self._renderer.render(self._data, view)

    def close(self) -> None:
        """Free the GL context; may be called twice."""
        self._renderer.close()
