"""The rate limiters behind the controllers agree with what the guard lets through, also at hand-overs and stops.

First that the ports limit at all; then whole runs of motions, joins and stops at 1 kHz: ros2_control's limiter and
libfranka's (Research 3), fed back, change nothing above 1e-5 rad. The hostile chains are given to them too.
"""

from __future__ import annotations

import numpy as np
import pytest
from closed_loop import MS, S, World
from feasible import feasible
from limiter_ports import (
    CYCLE,
    libfranka_changes,
    libfranka_velocity_bounds,
    ros2_control_changes,
    ros2_control_point_changes,
    side_by_side,
)

from cosmos_ros.types import JointTrajectory

FR3_HOME = np.array([0.0, -np.pi / 4, 0.0, -3 * np.pi / 4, 0.0, np.pi / 2, np.pi / 4])
CHANGE = 1e-5


def ramp(acceleration: float, speed: float, joint: int = 0, seconds: float = 0.6) -> np.ndarray:
    """From rest at the home posture at a constant acceleration up to a speed, ``[M, 7]`` at 1 kHz."""
    t = np.arange(round(seconds / CYCLE)) * CYCLE
    until = speed / acceleration
    moved = np.where(t < until, 0.5 * acceleration * t**2, 0.5 * speed * until + speed * (t - until))
    return FR3_HOME + moved[:, None] * (np.arange(7) == joint)


def test_libfranka_limits_speed_acceleration_and_jerk() -> None:
    assert np.abs(libfranka_changes(ramp(4.9, 1.0))).max() < 1e-9  # steps of acceleration of 4.9 in a cycle: below 5
    dead_stop = np.vstack((ramp(9.0, 2.0, seconds=0.1), np.tile(ramp(9.0, 2.0, seconds=0.1)[-1], (50, 1))))
    assert np.abs(libfranka_changes(dead_stop)).max() > 10 * CHANGE  # from 0.9 rad/s
    assert np.abs(libfranka_changes(ramp(12.0, 1.0))).max() > 10 * CHANGE
    reversal = ramp(9.0, 2.0, seconds=0.1)
    t = np.arange(1, 101) * CYCLE
    back = reversal[-1, 0] + 0.891 * t - 4.5 * t**2
    reversal = np.vstack((reversal, np.column_stack((back, np.tile(FR3_HOME[1:], (100, 1))))))
    assert 0.2 * CHANGE < np.abs(libfranka_changes(reversal)).max() < 100 * CHANGE  # acceleration turns round: jerk
    assert np.abs(libfranka_changes(ramp(4.9, 2.7, seconds=0.9))).max() > 10 * CHANGE
    upper, lower = libfranka_velocity_bounds(FR3_HOME)
    assert upper == pytest.approx([2.619, 2.619, 2.619, 2.619, 5.259, 4.179, 5.259])
    assert (upper + lower)[[0, 2, 4]] == pytest.approx(0.0)
    near = FR3_HOME.copy()
    near[0] = 2.7
    assert libfranka_velocity_bounds(near)[0][0] == pytest.approx(np.sqrt(12.0 * 0.0501) - 0.301)


@pytest.mark.parametrize("changes", [ros2_control_changes, ros2_control_point_changes])
def test_ros2_control_limits_position_speed_and_acceleration(changes: object) -> None:
    limits = World("franka_fr3").embodiment.limits
    names = tuple(f"fr3_joint{k}" for k in range(1, 8))
    assert np.abs(changes(ramp(9.9, 1.0), names, limits)).max() < 1e-12
    assert np.abs(changes(ramp(12.0, 1.0), names, limits)).max() > 10 * CHANGE
    assert np.abs(changes(ramp(9.9, 2.7, seconds=0.9), names, limits)).max() > 10 * CHANGE
    assert np.abs(changes(ramp(9.9, 2.0, joint=0, seconds=2.0), names, limits)[-1, 0]) > 0.1  # beyond the bound


def run(embodiment: str, number: int) -> np.ndarray:
    """Commands ``[M, J]`` of motions that join and stop."""
    rng = np.random.default_rng((number, 77))
    world = World(embodiment)
    assert world.arm()[0]
    for _ in range(3):
        world.candidate(feasible(rng, world))
        world.run(float(rng.uniform(0.1, 0.9)))
    what = number % 3
    if what == 0:
        world.e_stop()
    elif what == 1:
        world.disarm()
    else:  # rejected: the guard brakes
        world.candidate(JointTrajectory(world.names, world.now, np.zeros(1, np.int64), world.position[None] + 9.0))
    world.run(1.5)
    return world.stream()[1]


@pytest.mark.parametrize("embodiment", ["franka_joint", "franka_fr3", "ur5e", "widowx250s"])
def test_limiters_change_nothing(embodiment: str) -> None:
    world = World(embodiment)
    q = side_by_side([run(embodiment, number) for number in range(9)])
    names, limits = world.names, world.embodiment.limits
    assert np.abs(ros2_control_changes(q, names, limits)).max() < CHANGE
    assert np.abs(ros2_control_point_changes(q, names, limits)).max() < CHANGE
    if embodiment == "franka_fr3":
        worst = np.abs(libfranka_changes(q[..., :7])).max(axis=(0, 2))
        assert worst.max() < CHANGE, worst


@pytest.mark.parametrize("order", ["quick", "late"])
def test_brisk_starts_and_reversals_are_smooth_enough_for_libfranka(order: str) -> None:
    """A policy that says 'at this speed from here on', at 1 rad/s and back: the case of public reports."""
    world = World("franka_fr3")
    assert world.arm()[0]
    times = np.round(np.arange(17) / 15 * S).astype(np.int64)
    for number in range(6):
        speed = 1.0 if number % 2 == 0 else -1.0
        position, velocity, _ = world.commanded()
        if order == "late" and number:  # as it was observed
            before = world.stream()[1][-101:]
            position, velocity = before[0], (before[1] - before[0]) / CYCLE
        q, v = np.tile(position, (17, 1)), np.zeros((17, len(position)))
        q[:, 0] += speed * times / S
        v[:, 0] = speed
        v[0], v[-1] = velocity, 0.0
        stamp = world.now - 100 * MS if order == "late" and number else world.now
        world.candidate(JointTrajectory(world.names, stamp, times, q, v))
        world.run(0.5)
    world.e_stop()
    world.run(1.0)
    moved = world.stream()[1][:, :7]
    assert np.ptp(moved[:, 0]) > 0.05, world.why()
    assert np.abs(libfranka_changes(moved)).max() < CHANGE
