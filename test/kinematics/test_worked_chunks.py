"""Worked cases of an independent reference: from model-space deltas to joints, or to a refusal."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cosmos_ros.errors import DecodeError, KinematicsError
from cosmos_ros.kinematics import InverseKinematics, ResidualGate, RobotModel, chunk_to_trajectory
from cosmos_ros.resources import resource
from cosmos_ros.se3 import conjugate, integrate_deltas, matrix_from_pose9d, pose_error, rotation_6d_residual
from cosmos_ros.types import ActionChunk, JointState

DEFAULT = Path(__file__).resolve().parents[3] / "shared" / "data" / "limit_cases.json"


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    file = Path(os.environ.get("COSMOS_ROS_LIMIT_CASES", DEFAULT))
    if not file.is_file():
        pytest.skip(f"worked cases not found at {file}; set COSMOS_ROS_LIMIT_CASES")
    return {case["id"]: case for case in json.loads(file.read_text())["cases"]}


def decode_and_solve(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the last wanted and the last reached pose of the tip."""
    model = RobotModel.from_urdf(resource("embodiments", "urdf", f"{case['robot']}.urdf"))
    joints = model.supporting_joints(case["tip"])
    start = np.array(case["start_joints"], dtype=np.float64)
    home = model.fk(dict(zip(joints, start, strict=True)), case["tip"])
    deltas = matrix_from_pose9d(np.array(case["actions"])[:, :9])
    poses = integrate_deltas(home, conjugate(deltas, case["tip_to_action_frame"]))
    times = np.round(np.arange(1, len(poses) + 1) * 1e9 / case["fps"]).astype(np.int64)
    chunk = ActionChunk(0, times, {case["tip"]: home}, {case["tip"]: poses}, {})
    trajectory, _ = chunk_to_trajectory(
        chunk,
        JointState(0, joints, start, np.zeros(len(joints))),
        InverseKinematics(model, [case["tip"]], joints),
        {},
        ResidualGate(1e-4, np.radians(0.05)),
    )
    reached = model.fk(dict(zip(joints, trajectory.positions[len(poses)], strict=True)), case["tip"])
    return poses[-1], reached


def test_real_chunk_ends_where_the_robot_was_recorded(cases: dict[str, Any]) -> None:
    case = cases["droid_real_ok"]
    expected = np.array(case["expected"]["final_tip_pose"])
    for pose in decode_and_solve(case):
        distance, angle = pose_error(pose, expected)
        assert distance < 1e-6
        assert angle < 2e-6


def test_unreachable_chunk_is_refused(cases: dict[str, Any]) -> None:
    with pytest.raises(KinematicsError, match="panda_link8 misses its pose"):
        decode_and_solve(cases["ik_unreachable"])


def test_parallel_columns_are_refused_at_their_step(cases: dict[str, Any]) -> None:
    case = cases["rot6d_parallel"]
    with pytest.raises(DecodeError, match=f"index {case['expected']['step']}: .*parallel"):
        decode_and_solve(case)


def test_residual_finds_actions_in_the_wrong_units(cases: dict[str, Any]) -> None:
    case = cases["umi_normalised_as_raw"]
    residual = rotation_6d_residual(np.array(case["actions"])[:, 3:9])
    assert int(np.argmax(residual > case["expected"]["bound"])) == case["expected"]["step"]
    assert residual.max() == pytest.approx(case["expected"]["value"], abs=1e-6)
    assert rotation_6d_residual(np.array(cases["droid_real_ok"]["actions"])[:, 3:9]).max() < 1e-3
