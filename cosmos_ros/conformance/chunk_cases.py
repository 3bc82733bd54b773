"""Worked cases of kind ``chunk``: rows of pose deltas and a gripper, as a world model gives them.

A row is ``[dx, dy, dz, rotation-6d (6), gripper]``, the pose of the next step in the current action frame. The action
frame is ``tip · tip_to_action_frame``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cosmos_ros.conformance.case_format import number, real, row
from cosmos_ros.conformance.trajectory_cases import Answer, robot_model
from cosmos_ros.errors import InputError
from cosmos_ros.guard.verdict import Violation, by_time
from cosmos_ros.kinematics import InverseKinematics, ResidualGate, RobotModel
from cosmos_ros.se3 import (
    conjugate,
    integrate_deltas,
    matrix_from_rotation_6d,
    pose_error,
    rotation_6d_residual,
    rotation_angle,
)
from cosmos_ros.types import FloatArray

# Largest deviation of rotation-6d columns from unit length and right angles: what a model may be off, and, for the
# domains whose files are recorded data, what rounding may be.
ROT6D_BOUND = 0.05
ROT6D_BOUND_OF_DATA = 0.01
DATA_DOMAINS = ("umi",)

# Tool speed and angular speed, m/s and rad/s (Franka control parameters; libfranka 0.21 rate_limiting.h).
TOOL_BOUNDS = {"panda": (1.7, 2.5), "fr3": (3.0, 2.5)}
_SLACK = 1e-6


def judge_chunk(case: Mapping[str, Any], shared: Mapping[str, Any]) -> Answer:
    """Check a case of kind ``chunk``: finite, rotations, tool speeds, reachable.

    Raises:
        InputError: The case is not of the format.
    """
    del shared
    rows = [row(given, f"actions {k}") for k, given in enumerate(case["actions"])]
    widths = sorted({len(given) for given in rows})
    if len(widths) != 1 or widths[0] < 9:
        raise InputError(f"{len(rows)} rows of {widths} values, expected rows of 10", where="actions")
    actions = np.array(rows, dtype=np.float64)
    fps = real(case["fps"], "fps")
    if not 0.0 < fps < np.inf:
        raise InputError(f"{fps} is no rate", where="fps")
    bad = np.argwhere(~np.isfinite(actions))
    if bad.size:
        step, column = (int(i) for i in bad[0])
        found = Violation("nonfinite", step=step, time=step / fps, message=f"column {column}")
        return Answer((found,), step=step)
    bound = ROT6D_BOUND_OF_DATA if case.get("embodiment") in DATA_DOMAINS else ROT6D_BOUND
    residual = rotation_6d_residual(actions[:, 3:9])
    over = np.flatnonzero(~(residual <= bound + _SLACK))
    if over.size:
        step = int(over[0])
        found = Violation("rot6d", step=step, time=step / fps, value=float(residual.max()), bound=bound)
        return Answer((found,), {"rot6d": (float(residual[step]),)}, step=step)
    deltas = np.tile(np.eye(4), (len(actions), 1, 1))
    deltas[:, :3, :3] = matrix_from_rotation_6d(actions[:, 3:9])
    deltas[:, :3, 3] = actions[:, :3]
    return _motion(case, deltas, fps)


def _motion(case: Mapping[str, Any], deltas: FloatArray, fps: float) -> Answer:
    """Check tool speeds and reachability of decoded deltas."""
    robot = case.get("robot")
    frame = np.array(case.get("tip_to_action_frame") or np.eye(4), dtype=np.float64)
    # Speeds are those of the tip, not of the action frame, where the two differ.
    of_tip = conjugate(deltas, frame)
    linear = np.linalg.norm(of_tip[:, :3, 3], axis=1) * fps
    angular = rotation_angle(of_tip[:, :3, :3]) * fps
    speed, turn = TOOL_BOUNDS.get(str(robot), (np.inf, np.inf))
    found: list[Violation] = []
    step_of: dict[str, int] = {}
    at_first: dict[str, tuple[float, ...]] = {}
    for name, size, bound in (
        ("cartesian_speed", linear, _bound(case, "trans_vel", speed)),
        ("rotational_speed", angular, _bound(case, "rot_vel", turn)),
    ):
        over = np.flatnonzero(~(size <= bound + _SLACK))
        if over.size:
            step_of[name] = int(over[0])
            at_first[name] = (float(size[over[0]]),)
            found.append(
                Violation(name, step=int(over[0]), time=over[0] / fps, value=float(size.max()), bound=float(bound))
            )
    details: dict[str, Any] = {"max_tip_speed": float(linear.max(initial=0.0))}
    if robot is not None and case.get("start_joints") is not None:
        missed = _follow(case, of_tip, details, fps)
        if missed is not None and not found:
            found.append(missed)
            step_of["ik"] = missed.step or 0
    violations = by_time(found)
    return Answer(violations, at_first, details, step_of[violations[0].limit] if violations else None)


def _follow(case: Mapping[str, Any], deltas: FloatArray, details: dict[str, Any], fps: float) -> Violation | None:
    """Integrate the tip's deltas from the start joints and solve them; return where they cannot be followed."""
    model: RobotModel = robot_model(str(case["robot"]))
    tip = str(case["tip"]).rsplit("/", 1)[-1]
    joints = model.supporting_joints(tip)
    start = np.array(row(case["start_joints"], "start_joints"))
    if len(start) != len(joints):
        raise InputError(f"{len(start)} start joints for {len(joints)}", where=f"case {case.get('id')}")
    values = {**dict.fromkeys(model.joint_names, 0.0), **dict(zip(joints, start, strict=True))}
    poses = integrate_deltas(model.fk(values, tip), deltas)
    details["final_tip_pose"] = poses[-1]
    wanted = poses[-len(deltas) :]
    solution = InverseKinematics(model, [tip], joints).solve({tip: wanted}, values)
    gate = ResidualGate()
    missed = (solution.position_residuals > gate.position) | (solution.rotation_residuals > gate.rotation)
    if not missed.any():
        return None
    step = int(np.argmax(missed))
    return Violation(
        "ik",
        step=step,
        time=step / fps,
        value=float(solution.position_residuals.max()),
        bound=gate.position,
        message="out of reach",
    )


def _bound(case: Mapping[str, Any], key: str, default: float) -> float:
    """Return the bound in force: the case's own limits, else the robot's."""
    cartesian = (case.get("limits") or {}).get("cartesian") or {}
    return default if cartesian.get(key) is None else number(cartesian[key], key)


def chunk_disagreements(expected: Mapping[str, Any], answer: Answer) -> list[str]:
    """Return how the decoded motion differs from what a case expects of it."""
    found = []
    pose = expected.get("final_tip_pose")
    if pose is not None and "final_tip_pose" in answer.details:
        metres, radians = pose_error(answer.details["final_tip_pose"], np.array(pose, dtype=np.float64))
        if metres > float(expected.get("position_tolerance_m", 1e-4)):
            found.append(f"final tip {metres:.6f} m away")
        if radians > float(expected.get("rotation_tolerance_rad", 1e-3)):
            found.append(f"final tip turned by {radians:.6f} rad")
    speed = expected.get("max_tip_speed")
    if speed is not None and abs(answer.details["max_tip_speed"] - float(speed)) > 1e-4:
        found.append(f"largest tip speed {answer.details['max_tip_speed']:.6f}, expected {speed}")
    return found
