"""Corners that the other tests pass by: what is absent, fixed, off, in another order, or too hard."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from guard_support import (
    HOME,
    JOINT_CHECKS,
    NOW,
    PANDA,
    broken_limits,
    context,
    joint_guard,
    panda_limits,
    reach,
    state,
)
from model_support import ONE, TIP, find, model, with_tool

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import GuardError
from cosmos_ros.guard import Guard, GuardContext, GuardedRobot, GuardSettings, Response, Surroundings
from cosmos_ros.guard.checker import Checker
from cosmos_ros.guard.checking_settings import CheckingSettings
from cosmos_ros.guard.checks.base import Case
from cosmos_ros.guard.checks.effort import PinocchioDynamics
from cosmos_ros.guard.motion.joint_motion import make_motion
from cosmos_ros.guard.motion.limit_table import limit_table
from cosmos_ros.guard.motion.sampler import Sampler
from cosmos_ros.guard.surroundings import surroundings_of
from cosmos_ros.limits import JointLimit, PositionDependentVelocity, RobotLimits
from cosmos_ros.types import JointState, JointTrajectory

MS = 1_000_000


def test_without_a_joint_state_nothing_can_begin() -> None:
    guard = Guard(panda_limits(), GuardSettings(checks=JOINT_CHECKS - {"stale_state"}))
    verdict = guard.judge(reach(0.2), GuardContext(NOW))
    assert verdict.response is Response.REJECT and "no joint state" in verdict.summary


def test_a_check_that_needs_a_model_says_so() -> None:
    motion = make_motion(reach(0.1), limit_table(PANDA, panda_limits()), None)
    with pytest.raises(GuardError, match="needs a robot model"):
        Case(motion, context(), CheckingSettings()).kinematics()


def test_effort_without_pinocchio_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pinocchio", None)
    with pytest.raises(GuardError, match="Pinocchio") as caught:
        PinocchioDynamics("robot.urdf")
    assert "pip install pin" in str(caught.value)


def test_the_earlier_side_of_a_position_dependent_bound_is_reported() -> None:
    """Up too fast first, down too fast later."""
    law = PositionDependentVelocity(
        upper_gain=1.0, upper_offset=0.0, upper_position=1.0, lower_gain=1.0, lower_offset=0.0, lower_position=-1.0
    )
    limits = RobotLimits(
        {"a": JointLimit(-1.0, 1.0, velocity=5.0, position_dependent_velocity=law)}, required_joints=("a",)
    )
    t = np.linspace(0.0, 2.0, 41)
    up = JointTrajectory(
        ("a",), NOW, np.round(t * 1e9).astype(np.int64), np.sin(np.pi * t)[:, None] * 0.95,
        np.cos(np.pi * t)[:, None] * 0.95 * np.pi,
    )  # fmt: skip
    checker = Checker(limits, GuardSettings(checks=frozenset({"velocity"})))
    for sign in (1.0, -1.0):
        both = replace(up, positions=sign * up.positions, velocities=sign * up.velocities)
        found = checker.check(both, GuardContext(NOW, JointState(NOW, ("a",), np.zeros(1), np.zeros(1)))).violations
        assert len(found) == 1 and found[0].time < 0.5


def test_slow_lines_near_a_singularity_are_free_and_fast_ones_are_not() -> None:
    around = {"maximum_condition_number": 60.0, "slow_condition_number": 5.0}
    assert not find(reach(ONE[3] * 0.3, duration=30.0, kind="linear"), "singularity", **around)
    found = find(reach(ONE[3] * 1.2, duration=1.2, kind="linear"), "singularity", **around)
    assert [v.limit for v in found] == ["singularity_speed"]


def test_a_bridge_to_a_later_start_is_held_against_the_other_limits_alone() -> None:
    """Checked as it stands, not as the guard aligns it: what is executed goes on until the first point."""
    executing = reach(0.2)
    checker = joint_guard().checker
    later = reach(0.1, start=HOME + 0.2, stamp_ns=NOW + 900 * MS)
    ctx = GuardContext(NOW + 100 * MS, state(), executing)
    assert not [v for v in checker.check(later, ctx).violations if v.limit == "start_discontinuity"]
    # A joint state of after the end of what is executed says nothing about following it.
    past = replace(reach(0.0, start=HOME + 0.2), stamp_ns=NOW + 1000 * MS)
    after = NOW + 1300 * MS
    measured = JointState(after, PANDA, HOME + 5.0, np.zeros(7))
    found = checker.check(past, GuardContext(after, measured, executing)).violations
    assert not [v for v in found if "follow" in v.message]


def test_joints_in_any_order_and_many_orders() -> None:
    guard = Guard(GuardedRobot(panda_limits(), model(), Surroundings(links=(TIP,), minimum_z=0.3)))
    rng = np.random.default_rng(0)
    low = reach(ONE[1] * 1.2, duration=3.0)
    expected = guard.judge(low, context()).violations[0]
    for _ in range(80):
        order = rng.permutation(7)
        shuffled = replace(
            low, joint_names=tuple(PANDA[i] for i in order), positions=low.positions[:, order],
            velocities=low.velocities[:, order],
        )  # fmt: skip
        first = guard.judge(shuffled, context()).violations[0]
        assert (first.limit, first.step) == (expected.limit, expected.step)
        assert first.value == pytest.approx(expected.value)


def test_a_fixed_link_stays_where_it_is() -> None:
    assert not find_fixed(-0.1)
    assert [v.limit for v in find_fixed(0.1)] == ["plane"]


def find_fixed(height: float) -> list[object]:
    around = Surroundings(links=("panda_link0",), minimum_z=height)
    settings_ = GuardSettings(checks=frozenset({"plane"}), recovery=False)
    robot = GuardedRobot(panda_limits(), model(), around)
    return list(Checker(robot, settings_).check(reach(0.2), context()).violations)


def test_singular_values_of_a_chain_that_ends_in_a_mimic_finger() -> None:
    tip = "panda_rightfinger"
    table = limit_table(PANDA, panda_limits())
    points = Sampler(model(), [tip]).samples(make_motion(reach(0.3), table, None), None).grid
    for q, square in zip(points.joints(0), points.square(tip), strict=True):
        jacobian = model().jacobian(q, tip)
        assert np.allclose(square, jacobian @ jacobian.T, atol=1e-9)


def test_the_tool_on_straight_joint_lines_still_curves() -> None:
    table = limit_table(PANDA, panda_limits())
    motion = make_motion(reach(0.4, kind="linear"), table, None)
    points = Sampler(model(), [TIP]).samples(motion, None).grid
    h = 1e-6
    for k in range(0, len(points), 5):
        q, v = points.joints(0)[k], points.joints(1)[k]
        ahead, behind = (model().jacobian(q + s * h * v, TIP) @ v for s in (1.0, -1.0))
        assert np.allclose(points.twist_rate(TIP)[k], (ahead - behind) / (2 * h), atol=1e-5)
        assert not v[7:].any()


def test_a_single_point_that_is_too_fast_cannot_be_slowed() -> None:
    guard = Guard(panda_limits(), GuardSettings(checks=frozenset({"velocity"})))
    point = JointTrajectory(PANDA, NOW, np.array([0]), HOME[None], np.full((1, 7), 9.0))
    assert guard.judge(point, context()).response is Response.REJECT


def test_lines_far_too_fast_are_refused() -> None:
    assert joint_guard().judge(reach(1.0, duration=0.02, kind="linear"), context()).response is Response.REJECT
    verdict = joint_guard().judge(reach(ONE[0] * 2.0, duration=0.8, kind="linear"), context())
    assert verdict.response is Response.SLOW_DOWN and not broken_limits(verdict.trajectory, panda_limits())


def test_slowing_down_for_acceleration_alone() -> None:
    guard = Guard(panda_limits(), GuardSettings(checks=JOINT_CHECKS - {"velocity"}))
    verdict = guard.judge(reach(ONE[1] * 1.4, duration=0.6), context())
    assert verdict.response is Response.SLOW_DOWN
    free = panda_limits(velocity=1e6)
    assert not broken_limits(verdict.trajectory, free)


def test_slowing_down_for_the_tools_linear_acceleration_alone() -> None:
    limits = with_tool(linear_acceleration=1.5)
    robot = GuardedRobot(limits, model(), Surroundings(links=(TIP,)))
    guard = Guard(robot, GuardSettings(checks=JOINT_CHECKS | {"cartesian_acceleration"}))
    verdict = guard.judge(reach(ONE[1] * 0.8), context())
    assert verdict.response is Response.SLOW_DOWN, verdict.summary
    assert guard.judge(verdict.trajectory, context()).response is Response.ACCEPT


def test_a_join_that_no_pace_makes_smooth_is_refused() -> None:
    """The arm moves, the new trajectory asks for endless jerk at once, and jerk is hardly allowed at all."""
    limits = panda_limits(jerk=1e-5)
    guard = Guard(limits, GuardSettings(checks=JOINT_CHECKS, judging_budget=30.0))
    executing = reach(0.3, duration=1.0)
    now = NOW + 400 * MS
    t = 0.4
    s = np.array([t])
    q = HOME + 0.3 * (10 * s**3 - 15 * s**4 + 6 * s**5)
    v = 0.3 * (30 * s**2 - 60 * s**3 + 30 * s**4)
    measured = JointState(now, PANDA, q * np.ones(7), v * np.ones(7))
    onwards = reach(0.3, start=q * np.ones(7), stamp_ns=now, duration=0.8)
    onwards.velocities[0] = v
    verdict = guard.judge(onwards, GuardContext(now, measured, executing))
    assert verdict.response is Response.REJECT and any(v.limit == "jerk" for v in verdict.violations)


def test_an_embodiment_without_a_shape_has_no_self_collision() -> None:
    around = surroundings_of(load_embodiment("ur5e"))
    assert around.capsules == () and around.collision_pairs == ()
    assert surroundings_of(load_embodiment("franka")).capsules
