"""Published cases of others, where their semantics are ours: ros2_control, libfranka, MoveIt Servo, JTC.

The ros2_control cases clamp one command a tick; here the same situation is a motion of one tick, and what they clamp
is what breaks a limit.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from guard_support import HOME, JOINT_CHECKS, NOW, PANDA, context, joint_guard, reach, times_of

from cosmos_ros.guard import GuardContext, GuardedRobot, GuardSettings, Response, Surroundings
from cosmos_ros.guard.checker import Checker
from cosmos_ros.guard.checks.position_dependent import upper_bound
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.limits import JointLimit, PositionDependentVelocity, RobotLimits
from cosmos_ros.resources import resource
from cosmos_ros.sim.trajectory_controller import JointTrajectoryController
from cosmos_ros.types import JointState, JointTrajectory


def breaks(limit: JointLimit, start: float, end: float, dt: float = 1.0, checks: str = "position velocity") -> bool:
    """Whether a one-tick motion of one joint breaks a limit."""
    checker = Checker(RobotLimits({"j": limit}), GuardSettings(checks=frozenset(checks.split()), linear_ends=False))
    measured = JointState(NOW, ("j",), np.array([start]), np.zeros(1))
    trajectory = JointTrajectory(("j",), NOW, times_of([dt]), np.array([[end]]))
    return bool(checker.check(trajectory, GuardContext(NOW, measured)).violations)


# -- ros2_control joint_limits (JointInterfacesSaturationLimiter) -----------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "clamped"),
    [(0.0, 4.0, True), (0.0, -5.0, True), (0.0, 0.0, False)],
)
def test_position_without_velocity_limit(start: float, end: float, clamped: bool) -> None:
    assert breaks(JointLimit(-np.pi, np.pi), start, end) is clamped
    assert not breaks(JointLimit(), start, 5 * np.pi)


@pytest.mark.parametrize(("start", "end", "clamped"), [(0.0, 0.0, False), (0.0, 2.0, True), (1.0, -3.0, True),
                                                       (2.0, -np.pi, True)])  # fmt: skip
def test_position_with_velocity_limit(start: float, end: float, clamped: bool) -> None:
    assert breaks(JointLimit(-np.pi, np.pi, 1.0), start, end) is clamped


@pytest.mark.parametrize(
    ("position", "velocity", "clamped"),
    [
        (0.0, 2.0, True), (0.0, 1.1, True), (0.0, -5.0, True), (0.0, np.inf, True), (0.0, -np.inf, True),
        (0.0, 0.8, False), (0.0, -0.8, False), (4.5, 5.0, True), (4.8, 5.0, True), (4.5, 0.3, False), (4.5, 0.5, False),
        (5.0, 0.9, True), (4.0, 0.5, False), (4.3, 5.0, True), (-4.8, -6.0, True), (-4.5, -5.0, True),
        (-4.5, -0.2, False), (-3.0, -5.0, True), (-3.0, -1.0, False), (-5.0, -3.0, True), (-5.0, -1.0, True),
    ],
)  # fmt: skip
def test_velocity(position: float, velocity: float, clamped: bool) -> None:
    """P = ±5, V = 1, dt = 1."""
    limit = JointLimit(-5.0, 5.0, 1.0)
    if np.isfinite(velocity):
        assert breaks(limit, position, position + velocity) is clamped
    else:
        checker = Checker(RobotLimits({"j": limit}), GuardSettings(checks=frozenset({"velocity"})))
        q, v = np.array([[position], [position]]), np.array([[velocity], [0.0]])
        trajectory = JointTrajectory(("j",), NOW, times_of([0.0, 1.0]), q, v)
        measured = JointState(NOW, ("j",), np.array([position]), None)
        assert checker.check(trajectory, GuardContext(NOW, measured)).violations[0].limit == "nonfinite"


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_outside_by_a_little_inwards_only(side: float) -> None:
    limit = JointLimit(-5.0, 5.0, 1.0)
    assert breaks(limit, side * 5.001, side * 5.5)
    assert not breaks(limit, side * 5.001, side * 4.8)
    assert not breaks(limit, side * 5.001, side * 4.001)
    assert breaks(limit, side * 5.001, side * 3.0)  # inwards, but too fast


def test_what_is_not_a_number_is_refused_and_leaves_no_trace() -> None:
    """theirs: NaN passes through unchanged and must not corrupt the previous command; ours: refused, and no state."""
    guard = joint_guard()
    bad = reach(0.1)
    positions = bad.positions.copy()
    positions[2, 2] = np.nan
    before = guard.judge(reach(0.1), context())
    assert guard.judge(replace(bad, positions=positions), context()).response is Response.REJECT
    after = guard.judge(reach(0.1), context())
    assert after.response is before.response and np.array_equal(after.trajectory.positions, before.trajectory.positions)


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(("position", "velocity", "stops"), [(4.65, 2.0, True), (4.0, 2.0, False)])
def test_stopping_behind_the_end_is_counted_on_both_sides(
    side: float, position: float, velocity: float, stops: bool
) -> None:
    """+4.65 rad at +2 rad/s cannot stop before 5 with 7.5 rad/s² (0.27 m + tolerance); neither can its mirror image.

    Their trajectory-point limiter brakes only the positive side.
    """
    limits = RobotLimits({"j": JointLimit(-5.0, 5.0, 2.0, 5.0)}, required_joints=("j",))
    from cosmos_ros.guard import Guard

    guard = Guard(limits, GuardSettings(checks=JOINT_CHECKS))
    q = side * np.array([[position], [position + 0.2]])
    v = side * np.array([[velocity], [velocity]])
    trajectory = JointTrajectory(("j",), NOW, times_of([0.0, 0.1]), q, v)
    measured = JointState(NOW, ("j",), q[0], v[0])
    verdict = guard.judge(trajectory, GuardContext(NOW, measured))
    assert (verdict.response is Response.REJECT) is stops, verdict.summary
    if verdict.trajectory is not None:
        assert np.abs(verdict.trajectory.positions).max() <= 5.0 and not verdict.trajectory.velocities[-1].any()


# -- libfranka rate_limiting.h (FR3) ----------------------------------------------------------------------------------

FR3 = [
    (0.30, 12.0, 2.7501, 2.62), (0.20, 5.17, 1.7918, 2.62), (0.20, 7.0, 2.9065, 2.62), (0.30, 8.0, -0.1458, 2.62),
    (0.35, 34.0, 2.8101, 5.26), (0.35, 11.0, 4.5205, 4.18), (0.35, 34.0, 3.0196, 5.26),
]  # fmt: skip


@pytest.mark.parametrize(("offset", "gain", "limit", "vmax"), FR3)
def test_fr3_velocity_bound(offset: float, gain: float, limit: float, vmax: float) -> None:
    """Their ``clamp(-offset + sqrt(gain·(limit - q)), 0, vmax)``, at many places; zero at and beyond the bound."""
    for q in np.linspace(limit - 4.0, limit + 0.1, 60):
        theirs = min(max(-offset + np.sqrt(max(gain * (limit - q), 0.0)), 0.0), vmax)
        assert float(upper_bound(np.array(q), offset, gain, limit, vmax)) == pytest.approx(theirs, abs=1e-12)
    assert float(upper_bound(np.array(limit), offset, gain, limit, vmax)) == 0.0


@pytest.mark.parametrize("joint", range(7))
@pytest.mark.parametrize("side", [1.0, -1.0])
def test_inside_is_unchanged_and_outside_is_not(joint: int, side: float) -> None:
    """Their test pattern: generated inside passes, generated outside does not."""
    offset, gain, limit, vmax = FR3[joint]
    law = PositionDependentVelocity(offset, gain, limit, offset, gain, -limit)
    checker = Checker(
        RobotLimits({"j": JointLimit(-9.0, 9.0, vmax, position_dependent_velocity=law)}),
        GuardSettings(checks=frozenset({"velocity"})),
    )
    for q in np.linspace(limit - 3.0, limit - 0.02, 12):
        bound = float(upper_bound(np.array(q), offset, gain, limit, vmax))
        for factor, allowed in ((0.97, True), (1.03, False)):
            speed = factor * bound
            if bound < 0.05:
                continue
            # One short step whose end lies at q, where the bound is tightest.
            step = 1e-3
            track = side * np.array([[q - speed * step], [q]])
            trajectory = JointTrajectory(("j",), NOW, times_of([0.0, step]), track)
            measured = JointState(NOW, ("j",), track[0], None)
            assert (not checker.check(trajectory, GuardContext(NOW, measured)).violations) is allowed


# -- MoveIt Servo ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("joints", "move", "halts"),
    [
        ((0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785), 0.0, False),
        ((-0.0001, 0.5690, 0.0005, -0.7782, 0.0, 1.3453, 0.7845), 0.02, True),
        ((0.0, 0.334, 0.0, -1.177, 0.0, 1.510, 0.785), -0.02, False),
    ],
)
def test_singularity_by_condition_number(joints: tuple[float, ...], move: float, halts: bool) -> None:
    """Their thresholds 17 and 30; ready: none, stretched out and going on: halt, and going back: none."""
    settings_ = GuardSettings(
        checks=frozenset({"singularity"}),
        minimum_singular_value=0.0,
        slow_singular_value=0.0,
        maximum_condition_number=30.0,
    )
    model = RobotModel.from_urdf(resource("embodiments", "urdf", "panda.urdf"))
    start = np.array(joints)
    end = start + move * np.array([0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    limits = RobotLimits({n: JointLimit() for n in PANDA})
    checker = Checker(GuardedRobot(limits, model, Surroundings(links=("panda_link8",))), settings_)
    trajectory = JointTrajectory(PANDA, NOW, times_of([0.0, 0.5]), np.stack([start, end]))
    singular = np.linalg.svd(model.jacobian(np.append(start, 0.0), "panda_link8"), compute_uv=False)
    assert bool(singular[0] / singular[-1] > 30.0) is halts
    assert bool(checker.check(trajectory, context(start)).violations) is halts


def test_all_joints_are_scaled_together() -> None:
    """Their velocity scaling: 1.1 times the limit of one joint slows every joint by the same factor."""
    over = reach(np.array([1.1, 1.05, 0.7, 0.2, 0.2, 0.2, 0.2]), duration=0.9)
    verdict = joint_guard().judge(over, context())
    assert verdict.response is Response.SLOW_DOWN
    moved = verdict.trajectory.positions - HOME
    share = moved[1:] / np.where(np.abs(moved[1:, :1]) > 1e-9, moved[1:, :1], 1.0)
    assert np.abs(share[5:] - share[-1]).max() < 1e-6


# -- JointTrajectoryController ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", ["empty", "unknown", "past", "backwards", "moving"])
def test_what_the_controller_refuses_the_guard_does_not_send(spoil: str) -> None:
    controller = JointTrajectoryController(PANDA)
    measured = context().measured
    good = reach(0.1)
    velocities = good.velocities.copy()
    velocities[-1] = 0.5
    bad = {
        "empty": replace(
            good, times_ns=good.times_ns[:0], positions=good.positions[:0], velocities=good.velocities[:0]
        ),
        "unknown": replace(good, joint_names=(*PANDA[:6], "elbow")),
        "past": replace(good, stamp_ns=NOW - 10**10),
        "backwards": replace(good, times_ns=good.times_ns[::-1].copy()),
        "moving": replace(good, velocities=velocities),
    }[spoil]
    assert controller.accept(bad, NOW, measured) is not None
    verdict = joint_guard().judge(bad, context())
    if verdict.trajectory is not None:
        assert controller.accept(verdict.trajectory, NOW, measured) is None
