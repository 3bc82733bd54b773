"""Which motion a new trajectory joins: the command while the robot follows it, else what is measured."""

from __future__ import annotations

import numpy as np
import pytest

from cosmos_ros.trajectory.executing import ExecutingMotion
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory

NAMES = ("a", "b", "finger")


def ramp(names=("a", "b"), stamp=NANOSECONDS) -> JointTrajectory:
    """One second from 0 to 1 at 1 rad/s (a straight cubic)."""
    ones = np.ones((2, len(names)))
    return JointTrajectory(names, stamp, np.array([0, NANOSECONDS]), ones * [[0.0], [1.0]], ones)


def state(positions, stamp, velocities=(0.0, 0.0, 0.0)) -> JointState:
    return JointState(stamp, NAMES, np.array(positions), None if velocities is None else np.array(velocities))


def of(motion) -> dict:
    return {n: (p, v) for n, p, v in zip(motion.joint_names, motion.positions, motion.velocities, strict=True)}


def test_the_command_is_followed_while_the_robot_is_near_it():
    executing = ExecutingMotion()
    executing.update("joint_trajectory", ramp())
    now = NANOSECONDS + NANOSECONDS // 2
    motion, followed = executing.at(now + 100_000_000, state([0.49, 0.5, 0.03], now), tolerance=0.05)
    assert followed == ("joint_trajectory",)
    assert of(motion)["a"] == pytest.approx((0.6, 1.0))
    assert of(motion)["finger"] == (0.03, 0.0)


def test_a_robot_that_is_elsewhere_is_joined_where_it_is_measured():
    executing = ExecutingMotion()
    executing.update("joint_trajectory", ramp())
    now = NANOSECONDS + NANOSECONDS // 2
    motion, followed = executing.at(now + 100_000_000, state([0.2, 0.5, 0.0], now, (0.5, 0.0, 0.0)), tolerance=0.05)
    assert followed == ()
    assert of(motion)["a"] == pytest.approx((0.25, 0.5))


def test_each_controller_is_judged_by_itself():
    executing = ExecutingMotion()
    executing.update("joint_trajectory", ramp())
    executing.update("gripper_trajectory", ramp(("finger",)))
    now = NANOSECONDS + NANOSECONDS // 2
    motion, followed = executing.at(now, state([0.0, 0.0, 0.5], now, None), tolerance=0.05)
    assert followed == ("gripper_trajectory",)
    assert of(motion) == {"a": (0.0, 0.0), "b": (0.0, 0.0), "finger": pytest.approx((0.5, 1.0))}


def test_after_the_end_the_command_holds_and_clear_forgets_it():
    executing = ExecutingMotion()
    executing.update("joint_trajectory", ramp())
    late = 10 * NANOSECONDS
    motion, followed = executing.at(late, state([1.01, 0.99, 0.0], late), tolerance=0.05)
    assert followed == ("joint_trajectory",)
    assert of(motion)["a"] == (1.0, 0.0)
    executing.clear()
    assert executing.at(late, state([1.01, 0.99, 0.0], late), tolerance=0.05)[1] == ()


def test_a_controller_of_unknown_joints_and_an_empty_trajectory_are_ignored():
    executing = ExecutingMotion()
    executing.update("other", ramp(("z",)))
    executing.update("empty", JointTrajectory(("a",), 0, np.zeros(0, np.int64), np.zeros((0, 1))))
    assert executing.at(0, state([0.1, 0.2, 0.3], 0), tolerance=0.05)[1] == ()
    assert "empty" not in executing.sent
