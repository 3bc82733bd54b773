"""State-level results as plain JSON: tool poses in metres, joints in radians, seams, and the trajectory."""

from __future__ import annotations

from typing import Any

from cosmos_ros.embodiment import Embodiment, chunk_to_dict
from cosmos_ros.errors import KinematicsError
from cosmos_ros.kinematics import ResidualGate, chunk_to_trajectory
from cosmos_ros.prediction.state_api import StateRollout
from cosmos_ros.types import NANOSECONDS, Observation


def result_to_dict(embodiment: Embodiment, result: StateRollout, start: Observation | None) -> dict[str, Any]:
    """Return a result as JSON-serialisable data.

    ``actions`` are the model's rows; ``decoded`` the tool poses (m, unit quaternions x y z w), grippers and times (s);
    ``trajectory`` the joint trajectory (rad, m, s) that inverse kinematics finds from the start state.
    ``trajectory_error`` says why there is none.
    """
    trajectory, error = None, ""
    if result.chunk is not None and start is not None and start.joints is not None and embodiment.has_joints:
        try:
            trajectory = _trajectory(embodiment, result, start)
        except KinematicsError as problem:
            error = str(problem)
    return {
        "embodiment": embodiment.name,
        "fps": result.fps,
        "steps": len(result.actions),
        "seams": list(result.seams),
        "action_space": result.action_space.value,
        "actions": result.actions.astype(float).tolist(),
        "frames": None if result.frames is None else list(result.frames.shape),
        "decoded": None if result.chunk is None else chunk_to_dict(embodiment, result.chunk),
        "trajectory": trajectory,
        "trajectory_error": error,
    }


def _trajectory(embodiment: Embodiment, result: StateRollout, start: Observation) -> dict[str, Any]:
    assert result.chunk is not None
    assert start.joints is not None
    found, ik = chunk_to_trajectory(
        result.chunk,
        start.joints,
        embodiment.solver(),
        embodiment.gripper_joints,
        ResidualGate(),
        limits=embodiment.limits.joints,
    )
    return {
        "joint_names": list(found.joint_names),
        "times": (found.times_ns / NANOSECONDS).tolist(),
        "positions": found.positions.tolist(),
        "velocities": None if found.velocities is None else found.velocities.tolist(),
        "position_residual": None if ik is None else float(ik.position_residuals.max()),
        "rotation_residual": None if ik is None else float(ik.rotation_residuals.max()),
    }
