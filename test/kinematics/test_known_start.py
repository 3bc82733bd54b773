"""A redundant arm that is on its way already goes on in the posture in which it is being moved."""

from __future__ import annotations

import numpy as np
import pytest

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.kinematics.known_start import solve_after
from cosmos_ros.types import NANOSECONDS

ROBOT = load_embodiment("franka")
TIMES = (np.arange(1, 9) * (NANOSECONDS // 15)).astype(np.int64)
FREE = np.full(7, np.nan)


def motion() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Eight configurations that turn every joint, the redundancy too, and the poses that they reach."""
    home = np.array([ROBOT.home[name] for name in ROBOT.joint_names])
    joints = home + np.linspace(0.0, 1.0, 9)[1:, None] * np.array([0.1, -0.05, -0.1, 0.05, 0.08, 0.05, 0.1])
    return joints, ROBOT.poses_of(ROBOT.joint_names, joints)


def solve(known: np.ndarray, joints: np.ndarray, poses: dict[str, np.ndarray]):
    solver = ROBOT.solver()
    assert solver is not None
    return solve_after(solver, poses, ROBOT.home, TIMES, FREE, known), solver


def test_known_configurations_are_kept_and_gone_on_from():
    joints, poses = motion()
    found, solver = solve(joints[:5], joints, poses)
    assert np.array_equal(found.positions[:5], joints[:5])
    assert found.converged.all() and found.positions.shape == joints.shape
    assert len(found.position_residuals) == len(found.iterations) == 8
    steps = np.abs(np.diff(found.positions, axis=0))
    assert steps[4].max() < 1.5 * steps[:4].max()
    # Without them it comes to the same poses in another posture.
    plain = solver.solve(poses, ROBOT.home, TIMES, FREE)
    assert np.abs(plain.positions[4] - joints[4]).max() > 5.0 * np.abs(found.positions[5] - joints[5]).max()


@pytest.mark.parametrize("wrong", ["misses", "beyond a limit", "all of them"])
def test_configurations_that_cannot_be_kept_are_not(wrong):
    joints, poses = motion()
    known = joints[:5].copy()
    if wrong == "misses":
        known[2, 0] += 0.01
    elif wrong == "beyond a limit":
        known[:, 3] = 0.5
    else:
        known = joints
    found, solver = solve(known, joints, poses)
    plain = solver.solve(poses, ROBOT.home, TIMES, FREE)
    assert np.array_equal(found.positions, plain.positions)
