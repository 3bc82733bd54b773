"""What the teacher is shown of an observation: one hand, its item and its target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.sim.hands import Hands, Jobs
from cosmos_ros.sim.scenes import vocabulary
from cosmos_ros.sim.simulated_robot import SimulatedHand, SimulatedRobot
from cosmos_ros.sim.tabletop import SceneObject
from cosmos_ros.sim.task import Task
from cosmos_ros.types import NANOSECONDS, FloatArray, Observation

# Fingers that stand still, open by at most this more than the item is wide, press on it; openings, openings a second.
_PRESSED, _STOPPED = 0.09, 0.03
# Moving fingers are taken to be commanded to where they will be this much later, s: servos lag.
_LAG = 0.1


def objects_of(robot: SimulatedRobot) -> dict[str, SceneObject]:
    """Return everything that can be named, at the size it has for a robot."""
    k = robot.description.scene.scale
    return {
        name: replace(item, size=(k * item.size[0], k * item.size[1], k * item.size[2]))
        for name, item in vocabulary().items()
    }


def observed_hand(robot: SimulatedRobot, hand: SimulatedHand, job: Jobs, observation: Observation, task: Task) -> Hands:
    """Return the teacher's input.

    The last command to the fingers is not observed. It is taken to be where the fingers are, ahead of them where they
    move, and further where they stand still at the item's sides: what is between them then is taken to be held.

    Raises:
        InputError: Joints, tool pose or gripper are not observed.
    """
    embodiment = robot.embodiment
    if embodiment.has_joints and observation.joints is None:
        raise InputError("there is no joint state", where="joint_states")
    openings = embodiment.gripper_openings(observation)
    if hand.gripper not in openings:
        raise InputError(f"gripper {hand.gripper} is not observed", where="joint_states")
    pose = embodiment.tool_poses(observation)[hand.link] @ hand.grasp
    velocity, turn_rate = _motion(robot, hand, pose, observation)
    item = np.array(observation.scene[task.item.name])
    target = np.array(observation.scene[(task.target or task.item).name])
    opening = openings[hand.gripper]
    offset = item[:3, 3] - pose[:3, 3]
    k = float(job.scale[0])
    between = np.linalg.norm(offset[:2]) < 0.022 * k and abs(offset[2]) < 0.024 * k
    rate = _opening_rate(hand, observation)
    pressed = between and opening <= job.width[0] + _PRESSED and abs(rate) < _STOPPED
    command = opening - float(job.squeeze[0]) if pressed else float(np.clip(opening + _LAG * rate, 0.0, 1.0))
    return Hands(
        pose=pose[None],
        velocity=velocity[None],
        turn_rate=turn_rate[None],
        opening=np.array([opening]),
        command=np.array([command]),
        item=item[None],
        target=target[None],
    )


def _opening_rate(hand: SimulatedHand, observation: Observation) -> float:
    """Return how fast the fingers open, openings a second; 0 where it is not observed."""
    joints = observation.joints
    if joints is None or joints.velocities is None or hand.joint.joint not in joints.names:
        return 0.0
    speed = float(np.nan_to_num(joints.velocities[joints.names.index(hand.joint.joint)]))
    return speed / (hand.joint.open - hand.joint.closed)


def _motion(
    robot: SimulatedRobot, hand: SimulatedHand, pose: FloatArray, observation: Observation
) -> tuple[FloatArray, FloatArray]:
    """Return velocity and turn rate of the grasp frame: from joint velocities, or from the pose a step before."""
    joints, previous = observation.joints, observation.previous
    if joints is not None:
        if joints.velocities is None:
            return np.zeros(3), np.zeros(3)
        positions = dict(zip(joints.names, joints.positions.tolist(), strict=True))
        rates = dict(zip(joints.names, joints.velocities.tolist(), strict=True))
        names = robot.model.joint_names
        q = {name: positions.get(name, 0.0) for name in names}
        twist = robot.model.jacobian(q, hand.link) @ np.array([rates.get(name, 0.0) for name in names])
        lever = pose[:3, 3] - robot.model.fk(q, hand.link)[:3, 3]
        return twist[:3] + np.cross(twist[3:], lever), twist[3:]
    if previous is None or hand.link not in previous.tool_poses or previous.stamp_ns >= observation.stamp_ns:
        return np.zeros(3), np.zeros(3)
    before = previous.tool_poses[hand.link] @ hand.grasp
    return (pose[:3, 3] - before[:3, 3]) * NANOSECONDS / (observation.stamp_ns - previous.stamp_ns), np.zeros(3)
