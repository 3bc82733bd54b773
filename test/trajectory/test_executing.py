"""Which motion a new trajectory joins: the command while the robot follows it, else what is measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_ros.trajectory.executing import ExecutedMotion
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


NOW = NANOSECONDS + NANOSECONDS // 2


def test_the_command_is_followed_while_the_robot_is_near_it():
    motion, followed = ExecutedMotion.of(ramp()).start_of_next(
        NOW + 100_000_000, state([0.49, 0.5, 0.03], NOW), tolerance=0.05
    )
    assert followed
    assert of(motion)["a"] == pytest.approx((0.6, 1.0))
    assert of(motion)["finger"] == (0.03, 0.0)


def test_a_robot_that_is_elsewhere_is_joined_where_it_is_measured():
    motion, followed = ExecutedMotion.of(ramp()).start_of_next(
        NOW + 100_000_000, state([0.2, 0.5, 0.0], NOW, (0.5, 0.0, 0.0)), tolerance=0.05
    )
    assert not followed
    assert of(motion)["a"] == pytest.approx((0.25, 0.5))


@pytest.mark.parametrize("measured", [0.0, 0.5])
def test_a_gripper_is_where_it_was_commanded_whatever_blocks_it(measured):
    executed = ExecutedMotion.of(ramp(), ramp(("finger",)))
    motion, followed = executed.start_of_next(
        NOW, state([0.5, 0.5, measured], NOW, None), tolerance=0.05, blockable=["finger"]
    )
    assert followed
    assert of(motion)["finger"] == pytest.approx((0.5, 1.0))


def test_after_the_end_the_command_holds_though_the_arm_sags_below_it():
    late = 10 * NANOSECONDS
    sagging = state([0.92, 0.99, 0.0], late)
    motion, followed = ExecutedMotion.of(ramp()).start_of_next(late, sagging, tolerance=0.1)
    assert followed
    assert of(motion)["a"] == (1.0, 0.0)
    motion, followed = ExecutedMotion().start_of_next(late, sagging, tolerance=0.1)
    assert followed
    assert of(motion)["a"] == (0.92, 0.0)


@given(st.integers(0, 380), st.integers(600, 950))
def test_a_lag_is_found_and_does_not_count_as_an_error(lag_ms, at_ms):
    seen = (at_ms - lag_ms) / 1000
    tracking = ExecutedMotion.of(ramp()).tracking(state([seen, seen, 0.0], NANOSECONDS + at_ms * 1_000_000))
    assert tracking.lag == pytest.approx(lag_ms / 1000, abs=1e-3)
    assert tracking.worst()[1] < 1e-3


def test_a_lagging_arm_is_still_on_the_command_before_last():
    first = ramp()
    stop = JointTrajectory(("a", "b"), NOW, np.array([0, NANOSECONDS]), np.full((2, 2), 0.5), np.zeros((2, 2)))
    executed = ExecutedMotion.of(first, stop)
    tracking = executed.tracking(state([0.45, 0.45, 0.0], NOW + 100_000_000))
    assert tracking.lag == pytest.approx(0.15, abs=1e-3)
    assert executed.sample([NOW - 100_000_000, NOW])[0].tolist() == [pytest.approx([0.4, 0.4]), [0.5, 0.5]]


def test_commands_of_other_joints_stay_and_those_long_replaced_are_forgotten():
    executed = ExecutedMotion.of(ramp(("finger",), 1))
    for k in range(100):
        executed = executed.after(ramp(stamp=(1 + k) * NANOSECONDS))
    assert len(executed.commands) < 6
    assert set(executed.joint_names) == {"a", "b", "finger"}
    assert [command.trajectory.joint_names for command in executed.current] == [("a", "b"), ("finger",)]
    flood = ExecutedMotion.of(*(ramp(stamp=NANOSECONDS + k) for k in range(500)))
    assert len(flood.commands) < 50


def test_commands_of_unknown_joints_and_empty_ones_change_nothing():
    empty = JointTrajectory(("a",), 0, np.zeros(0, np.int64), np.zeros((0, 1)))
    assert not ExecutedMotion.of(empty)
    motion, followed = ExecutedMotion.of(ramp(("z",))).start_of_next(0, state([0.1, 0.2, 0.3], 0), tolerance=0.05)
    assert followed
    assert of(motion) == {"a": (0.1, 0.0), "b": (0.2, 0.0), "finger": (0.3, 0.0)}


def test_it_moves_until_its_last_moving_point_and_knows_its_knots():
    times = np.array([0, 1, 2]) * NANOSECONDS
    rest = JointTrajectory(("a",), NANOSECONDS, times, np.array([[0.0], [1.0], [1.0]]), np.zeros((3, 1)))
    executed = ExecutedMotion.of(rest)
    assert executed.rest_ns == 2 * NANOSECONDS
    assert executed.moving(2 * NANOSECONDS - 1)
    assert not executed.moving(2 * NANOSECONDS)
    assert executed.knots(NANOSECONDS, 3 * NANOSECONDS) == [2 * NANOSECONDS]
    assert ExecutedMotion().rest_ns is None


def test_a_continuous_joint_that_its_driver_wraps_is_followed():
    times = np.array([0, NANOSECONDS])
    turning = JointTrajectory(("a",), NANOSECONDS, times, np.array([[3.0], [4.0]]), np.ones((2, 1)))
    seen = state([3.5 - 2 * np.pi, 0.0, 0.0], NOW)
    executed = ExecutedMotion.of(turning)
    assert executed.tracking(seen, continuous=["a"]).worst()[1] < 1e-9
    assert executed.tracking(seen).worst()[1] > 5.0
