"""Encoding against an independent implementation and against the files it once wrote."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import slow_reference as slow
from robots import POSE_NAMES, embodiment

from cosmos_ros.embodiment import RecordedStates

GOLDEN = Path(__file__).parent / "golden"


def states_of(name: str) -> RecordedStates:
    poses, openings = slow.motion(name)
    return RecordedStates(
        tool_poses={link: np.array(matrices) for link, matrices in poses.items()},
        gripper_openings={gripper: np.array(values) for gripper, values in openings.items()},
    )


def test_every_embodiment_has_a_reference_and_a_golden_file():
    assert sorted(slow.REFERENCE) == sorted(POSE_NAMES)
    assert sorted(path.stem for path in GOLDEN.glob("*.json")) == sorted(POSE_NAMES)


@pytest.mark.parametrize("name", POSE_NAMES)
def test_golden_file_is_what_the_slow_implementation_computes(name):
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    physical, normalised, clamped = slow.encode(name, *slow.motion(name))
    np.testing.assert_allclose(golden["physical"], physical, rtol=0, atol=1e-14)
    # Head rotations of the AgiBot have a range of 1e-6, so one part in 1e16 of a number is 1e-10 of the range.
    np.testing.assert_allclose(golden["normalised"], normalised, rtol=1e-12, atol=1e-9)
    np.testing.assert_allclose(golden["clamped"], clamped, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", POSE_NAMES)
def test_encoding_equals_the_golden_file(name):
    golden = json.loads((GOLDEN / f"{name}.json").read_text())
    encoded = embodiment(name).encode(states_of(name))
    # The published frame of the Google robot is a rotation only to ten digits; the package makes it exactly one.
    physical, normalised = (1e-10, 2e-8) if name == "google_robot" else (1e-13, 1e-9)
    np.testing.assert_allclose(encoded.physical, golden["physical"], rtol=0, atol=physical)
    np.testing.assert_allclose(encoded.unclamped, golden["normalised"], rtol=1e-12, atol=normalised)
    np.testing.assert_allclose(encoded.actions, golden["clamped"], rtol=0, atol=normalised)
    changed = np.abs(np.array(golden["normalised"]) - np.array(golden["clamped"])) > 1e-8
    np.testing.assert_array_equal(encoded.clamped, changed)


def test_recorded_bridge_states_give_the_reference_actions():
    """Bridge records another frame than any link; the reference turns and shifts it to gripper_link."""
    turn = slow.pose_matrix([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    shift = slow.pose_matrix(slow.UNIT, (-0.093575, 0, 0))
    recorded = [slow.euler_pose(0.3 + 0.01 * k, 0.02 * k, 0.2, 0.1 * k, -0.1, 0.05 * k) for k in range(4)]
    flange = [slow.product(slow.product(pose, turn), shift) for pose in recorded]
    action_frame = [slow.product(pose, slow.pose_matrix(slow.BRIDGE)) for pose in flange]
    deltas = [slow.product(slow.inverse(a), b) for a, b in itertools.pairwise(action_frame)]
    expected = [[d[0][3], d[1][3], d[2][3], d[0][0], d[1][0], d[2][0], d[0][1], d[1][1], d[2][1]] for d in deltas]
    states = RecordedStates(
        tool_poses={"ee_gripper_link": np.array([slow.product(pose, turn) for pose in recorded])},
        gripper_openings={"gripper": np.zeros(4)},
    )
    np.testing.assert_allclose(embodiment("widowx250s").encode(states).physical[:, :9], expected, atol=1e-14)


def test_joint_space_rows_are_the_next_positions_and_the_commanded_gripper():
    robot = embodiment("franka_joint")
    positions = np.linspace(0.0, 0.1, 4)[:, None] + np.array([robot.home[name] for name in robot.joint_names])
    openings = np.array([0.2, 0.4, 0.6, 0.8])
    encoded = robot.encode(RecordedStates(robot.joint_names, positions, gripper_openings={"gripper": openings}))
    np.testing.assert_array_equal(encoded.actions[:, :7], positions[1:])
    np.testing.assert_array_equal(encoded.actions[:, 7], openings[:-1])


def test_identity_motion_with_an_open_gripper_is_near_the_top_of_the_droid_range():
    robot = embodiment("franka")
    states = RecordedStates(
        tool_poses={"panda_link8": np.stack([np.eye(4)] * 2)}, gripper_openings={"gripper": np.ones(2)}
    )
    row = robot.encode(states).actions[0]
    np.testing.assert_allclose(row[[3, 7, 9]], 1.0, atol=1e-12)
    assert np.abs(row[:3]).max() < 0.09
