"""Each limit: what it lets through, what it names, where, and by how much."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from guard_support import HOME, JOINT_CHECKS, NOW, PANDA, context, joint_guard, panda_limits, reach, state, times_of

from cosmos_ros.errors import ConfigError, GuardError
from cosmos_ros.guard import Guard, GuardContext, GuardedRobot, GuardSettings, Response, Surroundings, Violation
from cosmos_ros.guard.checker import Checker
from cosmos_ros.guard.checks.intake import RawPoint, RawTrajectory, assemble
from cosmos_ros.limits import JointLimit, MimicRule, PositionDependentVelocity, RobotLimits
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory


def first(trajectory: JointTrajectory, ctx: GuardContext | None = None, **settings: object) -> Violation | None:
    checker = Checker(panda_limits(), GuardSettings(**{"checks": JOINT_CHECKS, **settings}))
    found = checker.check(trajectory, ctx or context()).violations
    return found[0] if found else None


def kinds(trajectory: JointTrajectory, ctx: GuardContext | None = None, **settings: object) -> set[str]:
    checker = Checker(panda_limits(), GuardSettings(checks=JOINT_CHECKS, **settings))
    return {v.limit for v in checker.check(trajectory, ctx or context()).violations}


# -- structure -------------------------------------------------------------------------------------------------------


def test_a_good_trajectory_has_no_findings() -> None:
    for kind in ("cubic", "quintic"):
        assert first(reach(0.2, kind=kind)) is None


def test_structure() -> None:
    good = reach(0.1)
    empty = replace(good, times_ns=good.times_ns[:0], positions=good.positions[:0], velocities=good.velocities[:0])
    assert first(empty).limit == "structure"
    assert first(replace(good, joint_names=(), positions=np.zeros((17, 0)), velocities=None)).limit == "structure"
    assert first(replace(good, velocities=None, accelerations=good.positions)).message == (
        "accelerations without velocities"
    )
    assert first(good, max_points=16).message == "too many points"


def test_lengths_of_arrays() -> None:
    good = reach(0.1)
    found = first(replace(good, velocities=good.velocities[:, :6]))
    assert (found.limit, "velocities" in found.message) == ("lengths", True)
    assert first(replace(good, positions=good.positions[:-1])).limit == "lengths"


def test_names_are_complete_known_and_unique() -> None:
    good = reach(0.1)

    def named(*names: str) -> Violation:
        columns = [k % 7 for k in range(len(names))]
        return first(replace(good, joint_names=names, positions=good.positions[:, columns], velocities=None))

    assert named(*PANDA[:6]).joint == "panda_joint7"
    guard = Guard(panda_limits(), GuardSettings(checks=JOINT_CHECKS))
    guard.brake(GuardContext(NOW, JointState(NOW, PANDA[:6], HOME[:6], np.ones(6))))  # has met these names otherwise
    short = replace(good, joint_names=PANDA[:6], positions=good.positions[:, :6], velocities=good.velocities[:, :6])
    assert guard.judge(short, context()).first.joint == "panda_joint7"
    assert named(*PANDA, "panda_joint8").joint == "panda_joint8"
    assert named(*PANDA, "panda_joint3").message == "named twice"
    assert named(*PANDA[:6], "").joint == ""


def test_a_group_comes_whole_or_not_at_all() -> None:
    limits = panda_limits()
    fingers = {"finger_a": JointLimit(0.0, 0.04, 0.1), "finger_b": JointLimit(0.0, 0.04, 0.1)}
    limits = replace(limits, joints={**limits.joints, **fingers})
    settings_ = GuardSettings(checks=JOINT_CHECKS)
    good = reach(0.1)
    measured = JointState(NOW, (*PANDA, "finger_a", "finger_b"), np.append(HOME, [0.02, 0.02]), np.zeros(9))
    ctx = GuardContext(NOW, measured)
    checker = Checker(GuardedRobot(limits, controllers=(PANDA, ("finger_a", "finger_b"))), settings_)
    assert not checker.check(good, ctx).violations
    one = replace(
        good,
        joint_names=(*PANDA, "finger_a"),
        positions=np.pad(good.positions, ((0, 0), (0, 1)), constant_values=0.02),
        velocities=np.pad(good.velocities, ((0, 0), (0, 1))),
    )
    found = checker.check(one, ctx).violations
    assert [(v.limit, v.joint) for v in found] == [("joint_names", "finger_b")]


@pytest.mark.parametrize("field", ["positions", "velocities", "accelerations"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_non_finite_numbers_are_named_with_their_place(field: str, value: float) -> None:
    good = reach(0.1, kind="quintic")
    array = getattr(good, field).copy()
    array[3, 4] = value
    found = first(replace(good, **{field: array}))
    assert (found.limit, found.joint, found.step) == ("nonfinite", "panda_joint5", 3)
    assert found.time == pytest.approx(0.2) and field in found.message


def test_overflow_between_points_is_not_finite() -> None:
    good = reach(0.1)
    velocities = good.velocities.copy()
    velocities[2, 0] = 1.7e308
    assert first(
        replace(good, velocities=velocities),
    ).limit in ("nonfinite", "velocity", "acceleration", "position")
    assert joint_guard().judge(replace(good, velocities=velocities), context()).response is Response.REJECT


def test_times() -> None:
    good = reach(0.1)
    back = good.times_ns.copy()
    back[5] = back[4]
    found = first(replace(good, times_ns=back))
    assert (found.limit, found.step) == ("timing", 5)
    free = Checker(panda_limits(), GuardSettings(checks=JOINT_CHECKS - {"time_step"}))
    assert free.check(replace(good, times_ns=back), context()).violations[0].message == "times do not increase"
    assert first(replace(good, times_ns=good.times_ns - 1)).limit == "timing"
    close = good.times_ns.copy()
    close[5] = close[4] + 1000
    found = first(replace(good, times_ns=close))
    assert (found.limit, found.value, found.bound) == ("timing", 1e-6, 1e-3)
    late = good.times_ns.copy()
    late[-1] += 3 * NANOSECONDS
    assert first(replace(good, times_ns=late)).message == "points too far apart in time"


def test_raw_messages_are_judged_before_they_are_records() -> None:
    limits = panda_limits()
    ok = RawPoint(0.0, list(HOME))

    def wrong(*points: RawPoint, names: tuple[str, ...] = PANDA) -> Violation:
        found = assemble(RawTrajectory(names, NOW, points), limits)
        assert isinstance(found, list)
        return found[0]

    assert wrong().limit == "structure"
    assert wrong(ok, names=()).limit == "structure"
    assert wrong(ok, RawPoint(0.1, list(HOME), [0.0] * 7)).message == "velocities are given at some points only"
    assert wrong(RawPoint(0.0, list(HOME), (), [0.0] * 7)).message == "accelerations without velocities"
    assert wrong(ok, names=(*PANDA[:6], "elbow")).limit == "joint_names"
    found = wrong(ok, RawPoint(0.5, list(HOME[:6])))
    assert (found.limit, found.step, found.time, found.value, found.bound) == ("lengths", 1, 0.5, 6.0, 7.0)
    assert wrong(RawPoint(0.0, list(HOME), [0.0] * 8)).limit == "lengths"
    assert wrong(RawPoint(float("nan"), list(HOME))).message == "time_from_start"
    assert wrong(RawPoint(1e30, list(HOME))).limit == "timing"
    good = assemble(RawTrajectory(PANDA, 7, (RawPoint(0, list(HOME)), RawPoint(1 / 15, list(HOME)))), limits)
    assert isinstance(good, JointTrajectory)
    assert good.times_ns.tolist() == [0, 66666667] and good.stamp_ns == 7 and good.velocities is None


def test_commanded_efforts_are_held_against_their_bounds_and_not_passed_on() -> None:
    limits = panda_limits()
    joints = {**limits.joints, PANDA[6]: replace(limits.joints[PANDA[6]], effort=12.0)}
    limits = replace(limits, joints=joints)

    def with_effort(*last: float) -> JointTrajectory | list[Violation]:
        points = [RawPoint(k / 10, list(HOME), effort=[*[1e3] * 6, e]) for k, e in enumerate(last)]
        return assemble(RawTrajectory(PANDA, NOW, tuple(points)), limits)

    assert isinstance(with_effort(0.0, -12.0, 12.0), JointTrajectory)  # the others' bounds are not known
    found = with_effort(0.0, -12.1, 99.0)
    assert isinstance(found, list) and len(found) == 1
    assert (found[0].limit, found[0].joint, found[0].step, found[0].value) == ("effort", PANDA[6], 1, -12.1)
    for value in (float("nan"), float("inf")):
        found = with_effort(value)
        assert isinstance(found, list) and found[0].limit == "nonfinite" and "effort" in found[0].message
    short = assemble(RawTrajectory(PANDA, NOW, (RawPoint(0.0, list(HOME), effort=[1.0]),)), limits)
    assert isinstance(short, list) and short[0].limit == "lengths"


# -- state and stamps ------------------------------------------------------------------------------------------------


def test_the_joint_state_must_be_fresh_complete_and_finite() -> None:
    good = reach(0.1)
    assert first(good, GuardContext(NOW)).message == "no joint state yet"
    found = first(good, GuardContext(NOW, state(age=0.3)))
    assert (found.limit, found.value, found.bound) == ("stale_state", pytest.approx(0.3), 0.2)
    assert first(good, GuardContext(NOW, state(age=-1.0))).message == "joint state from the future"
    found = first(good, GuardContext(NOW, JointState(NOW, PANDA[:6], HOME[:6], np.zeros(6))))
    assert (found.limit, found.joint) == ("stale_state", "panda_joint7")
    broken = HOME.copy()
    broken[2] = np.nan
    assert first(good, context(broken)).limit == "nonfinite"
    assert first(good, context(HOME, np.full(7, np.inf))).limit == "nonfinite"


def test_without_the_check_a_missing_state_is_no_obstacle() -> None:
    checker = Checker(panda_limits(), GuardSettings(checks=JOINT_CHECKS - {"stale_state"}))
    assert not checker.check(reach(0.1), GuardContext(NOW)).violations


def test_joint_order_of_state_and_trajectory_do_not_matter() -> None:
    order = [3, 1, 0, 6, 5, 2, 4]
    shuffled = JointState(NOW, tuple(PANDA[k] for k in order), HOME[order], np.zeros(7))
    assert first(reach(0.2), GuardContext(NOW, shuffled)) is None
    good = reach(0.2)
    moved = replace(
        good,
        joint_names=tuple(PANDA[k] for k in order),
        positions=good.positions[:, order],
        velocities=good.velocities[:, order],
    )
    assert first(moved) is None


@pytest.mark.parametrize(
    ("offset", "message"),
    [(-5.0, "all of it lies in the past"), (-0.8, "starts too far in the past"), (2.0, "starts too far in the future")],
)
def test_stamps(offset: float, message: str) -> None:
    found = first(reach(0.1, stamp_ns=NOW + round(offset * NANOSECONDS)))
    assert (found.limit, found.message) == ("stamp", message)


def test_a_zero_stamp_means_now() -> None:
    assert first(reach(0.1, stamp_ns=0)) is None


def test_jump_from_the_measured_state() -> None:
    away = HOME.copy()
    away[1] += 0.05
    found = first(reach(0.1), context(away))
    assert (found.limit, found.joint, found.value) == ("start_discontinuity", "panda_joint2", pytest.approx(0.05))
    found = first(reach(0.1), context(HOME, np.eye(7)[3] * 0.2))
    assert (found.joint, found.value, found.bound) == ("panda_joint4", pytest.approx(0.2), 0.1)
    assert first(reach(0.1), GuardContext(NOW, JointState(NOW, PANDA, HOME, None))) is None


def test_jump_from_the_executed_motion_and_following() -> None:
    executing = reach(0.3)
    now = NOW + 500_000_000
    from cosmos_ros.trajectory.splice import motion_at

    at = motion_at(executing, now)
    measured = JointState(now, PANDA, at.positions, at.velocities)
    rest = np.zeros((2, 7))
    still = JointTrajectory(PANDA, now, times_of([0.0, 0.5]), np.tile(at.positions, (2, 1)), rest)
    found = first(still, GuardContext(now, measured, executing))
    assert (found.limit, found.message == "velocity jumps from what is commanded") == (
        "start_discontinuity",
        True,
    )
    lines = replace(still, velocities=None)
    assert first(lines, GuardContext(now, measured, executing)).limit == "start_discontinuity"
    lost = replace(measured, positions=at.positions + 0.2)
    moving = replace(executing, stamp_ns=NOW)
    messages = {
        v.message
        for v in Checker(panda_limits(), GuardSettings(checks=JOINT_CHECKS))
        .check(moving, GuardContext(now, lost, executing))
        .violations
    }
    assert "the robot does not follow what it was sent" in messages


# -- joint limits ----------------------------------------------------------------------------------------------------


def test_position_between_points() -> None:
    """Both points are inside; the cubic through them is not."""
    q = np.tile(HOME, (2, 1))
    q[:, 1] = 1.70
    v = np.zeros((2, 7))
    v[0, 1], v[1, 1] = 0.8, -0.8
    trajectory = JointTrajectory(PANDA, NOW, times_of([0.0, 0.4]), q, v)
    start = q[0]
    found = first(trajectory, context(start, v[0]), checks=("position",))
    assert (found.limit, found.joint) == ("position", "panda_joint2")
    assert found.value == pytest.approx(1.78) and found.bound == 1.7628 and 0.0 < found.time < 0.2
    assert found.last_safe_point == 0


def test_position_margin() -> None:
    q = HOME.copy()
    q[1] = 1.70
    trajectory = reach(np.eye(7)[1] * 0.05, start=q, duration=1.0)
    assert first(trajectory, context(q)) is None
    found = first(trajectory, context(q), position_margin=0.03)
    assert (found.limit, found.margin, found.bound) == ("position", 0.03, pytest.approx(1.7328))


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_state_outside_may_move_inwards_only(side: float) -> None:
    start = HOME.copy()
    start[0] = side * (2.8973 + 0.02)
    inward = reach(np.eye(7)[0] * -side * 0.3, start=start, duration=2.0)
    assert first(inward, context(start)) is None
    outward = reach(np.eye(7)[0] * side * 0.01, start=start, duration=2.0)
    found = first(outward, context(start))
    assert (found.limit, found.joint, "inwards" in found.message) == ("position", "panda_joint1", True)
    standing = reach(0.0, start=start)
    assert first(standing, context(start)) is None
    assert first(inward, context(start), recovery=False).limit == "position"
    # Back inside it must stay inside.
    q = np.tile(start, (3, 1))
    q[1, 0], q[2, 0] = side * 2.7, side * 2.93
    again = JointTrajectory(PANDA, NOW, times_of([0.0, 1.0, 2.0]), q, np.zeros((3, 7)))
    found = first(again, context(start))
    assert found.limit == "position" and found.time > 1.0


def test_continuous_joints_have_no_position_bound_and_wrap() -> None:
    wrist = JointLimit(-1.0, 1.0, 10.0, 100.0, 1e5, continuous=True)
    limits = RobotLimits({"wrist": wrist}, required_joints=("wrist",))
    checker = Checker(limits, GuardSettings(checks=JOINT_CHECKS))
    t = times_of([0.0, 1.0])
    measured = JointState(NOW, ("wrist",), np.array([3.1 - 2 * np.pi]), np.zeros(1))
    trajectory = JointTrajectory(("wrist",), NOW, t, np.array([[3.1], [3.4]]), np.zeros((2, 1)))
    assert not checker.check(trajectory, GuardContext(NOW, measured)).violations
    later = replace(trajectory, times_ns=t + NANOSECONDS)
    slow = replace(limits, joints={"wrist": replace(wrist, velocity=1.0)})  # too slow for a whole turn in a second
    checker = Checker(slow, GuardSettings(checks=JOINT_CHECKS))
    assert not checker.check(later, GuardContext(NOW, measured)).violations


def test_a_joint_with_bounds_does_not_wrap() -> None:
    limits = RobotLimits({"pan": JointLimit(-6.3, 6.3, 3.0, 10.0, 1e4)}, required_joints=("pan",))
    measured = JointState(NOW, ("pan",), np.array([3.1 - 2 * np.pi]), np.zeros(1))
    trajectory = JointTrajectory(("pan",), NOW, times_of([0.0, 1.0]), np.array([[3.1], [3.2]]), np.zeros((2, 1)))
    checker = Checker(limits, GuardSettings(checks=JOINT_CHECKS))
    assert checker.check(trajectory, GuardContext(NOW, measured)).violations[0].limit == "start_discontinuity"


def test_velocity_acceleration_and_jerk_report_their_peaks() -> None:
    found = {v.limit: v for v in Checker(panda_limits(jerk=0.001), GuardSettings(checks=JOINT_CHECKS)).check(
        reach(np.eye(7)[0] * 2.0, duration=1.0, points=33, kind="quintic"), context()).violations}  # fmt: skip
    assert found["velocity"].value == pytest.approx(1.875 * 2.0, rel=1e-4)
    assert found["jerk"].value == pytest.approx(60.0 * 2.0, rel=1e-2)
    assert found["jerk"].bound == pytest.approx(7.5)
    fast = Checker(panda_limits(acceleration=0.5), GuardSettings(checks=JOINT_CHECKS))
    peak = fast.check(reach(np.eye(7)[0] * -2.0, duration=1.0, points=33), context()).violations
    acceleration = next(v for v in peak if v.limit == "acceleration")
    assert acceleration.value == pytest.approx(-5.7735 * 2.0, rel=1e-2)
    assert acceleration.bound == -7.5


@pytest.mark.parametrize("name", ["velocity_scale", "acceleration_scale", "jerk_scale"])
def test_scales_tighten(name: str) -> None:
    trajectory = reach(np.eye(7)[0] * 0.5)
    assert first(trajectory) is None
    limit = name.split("_")[0]
    robot, scale = {
        "velocity": (panda_limits(), 0.3),
        "acceleration": (panda_limits(), 0.1),
        "jerk": (panda_limits(jerk=0.01), 0.01),
    }[limit]
    checker = Checker(robot, GuardSettings(checks=JOINT_CHECKS, **{name: scale}))
    assert checker.check(trajectory, context()).violations[0].limit == limit


def test_lines_accelerate_at_their_knots() -> None:
    still = np.tile(HOME, (4, 1))
    q = still.copy()
    q[1:, 1] += [0.01, 0.06, 0.07]
    lines = JointTrajectory(PANDA, NOW, times_of([0.0, 0.1, 0.2, 0.3]), q)
    found = first(lines, linear_ends=False)
    assert found is None
    lines = replace(lines, times_ns=times_of([0.0, 0.05, 0.1, 0.15]))
    found = first(lines, linear_ends=False)
    assert (found.limit, found.joint, found.step) == ("acceleration", "panda_joint2", 1)
    assert found.value == pytest.approx(16.0) and found.last_safe_point == 1
    ends = JointTrajectory(PANDA, NOW, times_of([0.0, 0.02]), np.stack([HOME, HOME + 0.005]))
    assert first(ends, linear_ends=False) is None
    assert first(ends).limit == "acceleration"
    single = JointTrajectory(PANDA, NOW, times_of([0.0]), HOME[None])
    assert first(single) is None


def test_one_point_is_judged_by_what_it_declares() -> None:
    fast = np.zeros((1, 7))
    fast[0, 0] = 3.0
    single = JointTrajectory(PANDA, NOW, times_of([0.0]), HOME[None], fast)
    assert "velocity" in kinds(single, context(HOME, fast[0]))
    hard = JointTrajectory(PANDA, NOW, times_of([0.0]), HOME[None], np.zeros((1, 7)), fast * 10.0)
    assert kinds(hard) == {"acceleration"}


FR3 = PositionDependentVelocity(0.30, 12.0, 2.7501, 0.30, 12.0, -2.7501)


def fr3(q: float, v: float, *, side: float = 1.0, duration: float = 0.02) -> list[Violation]:
    limits = RobotLimits({"j": JointLimit(-2.7437, 2.7437, 2.62, position_dependent_velocity=FR3)})
    t = times_of([0.0, duration])
    q0 = side * q
    trajectory = JointTrajectory(("j",), NOW, t, np.array([[q0], [q0 + side * v * duration]]))
    measured = JointState(NOW, ("j",), np.array([q0]), np.array([side * v]))
    checker = Checker(limits, GuardSettings(checks=frozenset({"velocity"})))
    return list(checker.check(trajectory, GuardContext(NOW, measured)).violations)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_velocity_bound_that_depends_on_position(side: float) -> None:
    assert not fr3(0.0, 2.5, side=side)
    assert not fr3(2.6, 1.0, side=side, duration=0.001)
    found = fr3(2.6, 1.2, side=side)[0]
    assert (found.time, found.value) == (0.0, pytest.approx(side * 1.2))
    assert found.bound == pytest.approx(side * 1.042088, abs=1e-6)
    later = fr3(2.5, 1.2, side=side, duration=0.2)[0]
    assert 0.0 < later.time < 0.2 and later.value == pytest.approx(side * 1.2)
    assert abs(later.bound) == pytest.approx(1.2, abs=1e-4)
    assert not fr3(2.7, -1.2, side=side)  # away from the bound it may be fast
    assert fr3(0.0, 2.7, side=side)[0].bound == side * 2.62  # and the plain bound holds as well


def test_position_dependent_bound_between_points() -> None:
    """Slow at both points, too fast for the place in the middle."""
    limits = RobotLimits({"j": JointLimit(-2.7437, 2.7437, 2.62, position_dependent_velocity=FR3)})
    q = np.array([[2.3], [2.7]])
    trajectory = JointTrajectory(("j",), NOW, times_of([0.0, 0.4]), q, np.zeros((2, 1)))
    measured = JointState(NOW, ("j",), q[0], np.zeros(1))
    checker = Checker(limits, GuardSettings(checks=frozenset({"velocity"})))
    found = checker.check(trajectory, GuardContext(NOW, measured)).violations
    assert len(found) == 1 and 0.05 < found[0].time < 0.4 and found[0].value > 0.9
    slower = replace(trajectory, times_ns=times_of([0.0, 0.8]))
    assert not checker.check(slower, GuardContext(NOW, measured)).violations
    scaled = Checker(limits, GuardSettings(checks=frozenset({"velocity"}), velocity_scale=0.5))
    assert scaled.check(slower, GuardContext(NOW, measured)).violations


def test_mimic_joints_follow() -> None:
    limits = RobotLimits(
        {"left": JointLimit(0.0, 0.05, 1.0), "right": JointLimit(-0.05, 0.0, 1.0, mimic=MimicRule("left", -1.0))}
    )
    checker = Checker(limits, GuardSettings(checks=frozenset({"mimic"})))
    measured = JointState(NOW, ("left", "right"), np.array([0.02, -0.02]), np.zeros(2))

    def found(q: list[list[float]], v: list[list[float]] | None = None) -> list[Violation]:
        trajectory = JointTrajectory(
            ("left", "right"), NOW, times_of([0.0, 1.0]), np.array(q), None if v is None else np.array(v)
        )
        return list(checker.check(trajectory, GuardContext(NOW, measured)).violations)

    assert not found([[0.02, -0.02], [0.03, -0.03]])
    wrong = found([[0.02, -0.02], [0.03, -0.02]])[0]
    assert (wrong.joint, wrong.step, wrong.time, wrong.value) == ("right", 1, 1.0, pytest.approx(0.01))
    # The points agree, the slopes do not: the deviation is in between, to either side.
    for sign in (1.0, -1.0):
        between = found([[0.02, -0.02], [0.03, -0.03]], [[0.0, 0.0], [0.0, 0.1 * sign]])[0]
        assert 0.0 < between.time < 1.0 and between.value == pytest.approx(0.1 * 4 / 27, rel=1e-3)


def test_end_velocity_and_duration() -> None:
    moving = reach(0.1)
    velocities = moving.velocities.copy()
    velocities[-1, 2] = -0.2
    found = [v for v in Checker(panda_limits(), GuardSettings(checks=JOINT_CHECKS)).check(
        replace(moving, velocities=velocities), context()).violations if v.limit == "end_velocity"]  # fmt: skip
    assert (found[0].joint, found[0].value, found[0].bound, found[0].last_safe_point) == (
        "panda_joint3",
        -0.2,
        -1e-3,
        15,
    )
    assert "end_velocity" not in kinds(replace(moving, velocities=None))
    long = reach(0.1, duration=12.0)
    found = first(long)
    assert (found.limit, found.value, found.bound) == ("duration", 12.0, 10.0)
    assert found.last_safe_point == 13


def test_units_are_named() -> None:
    degrees = reach(0.1, start=np.rad2deg(HOME))
    found = first(degrees)
    assert (found.limit, found.message) == ("units", "these look like degrees, not radians")
    limits = RobotLimits({"finger": JointLimit(0.0, 0.04, 0.1)})
    trajectory = JointTrajectory(("finger",), NOW, times_of([0.0, 1.0]), np.array([[20.0], [30.0]]))
    checker = Checker(limits, GuardSettings(checks=frozenset({"units"})))
    assert (
        checker.check(trajectory, GuardContext(NOW)).violations[0].message == "these look like millimetres, not metres"
    )
    wild = replace(trajectory, positions=np.array([[20.0], [3e7]]))
    assert "far outside" in checker.check(wild, GuardContext(NOW)).violations[0].message
    down = replace(trajectory, positions=np.array([[-30.0], [30.0]]))
    found = checker.check(down, GuardContext(NOW)).violations[0]
    assert "far outside" in found.message and found.bound == 0.0
    beyond = replace(trajectory, positions=np.array([[0.02], [0.06]]))
    assert not checker.check(beyond, GuardContext(NOW)).violations  # outside, but not absurd


def test_speeds_in_degrees_are_named() -> None:
    good = reach(0.2)
    fast = replace(good, velocities=np.rad2deg(good.velocities) * 10.0)
    found = next(v for v in Checker(panda_limits(), GuardSettings(checks=frozenset({"units"}))).check(
        fast, context()).violations)  # fmt: skip
    assert found.limit == "units" and abs(found.value) > 100.0
    slow = replace(good, velocities=good.velocities * 20.0)
    assert first(slow).limit != "units"


def test_uncertainty_gate() -> None:
    checker = Checker(panda_limits(), GuardSettings(checks=frozenset({"uncertainty"}), max_uncertainty=0.1))
    assert not checker.check(reach(0.1), GuardContext(NOW, state())).violations
    assert not checker.check(reach(0.1), GuardContext(NOW, state(), uncertainty=0.05)).violations
    found = checker.check(reach(0.1), GuardContext(NOW, state(), uncertainty=0.2)).violations
    assert found[0].limit == "uncertainty"
    assert checker.check(reach(0.1), GuardContext(NOW, state(), uncertainty=float("nan"))).violations


# -- configuration ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {"checks": frozenset({"gravity"})},
        {"velocity_scale": 0.0},
        {"jerk_scale": 1.5},
        {"brake_scale": float("nan")},
        {"max_state_age": -1.0},
        {"max_time_scale": 0.5},
        {"velocity_scale": float("inf")},
    ],
)
def test_wrong_configuration_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        GuardSettings(**settings)


def test_a_check_that_needs_a_model_says_so() -> None:
    with pytest.raises(GuardError, match="plane: no robot model"):
        Guard(GuardedRobot(panda_limits(), None, Surroundings(links=("panda_link8",), minimum_z=0.0)))


def test_every_check_has_its_own_switch() -> None:
    bad = reach(np.eye(7)[0] * 3.5, duration=0.5)
    every = kinds(bad)
    assert {"position", "velocity", "acceleration"} <= every
    for name in every:
        checker = Checker(panda_limits(), GuardSettings(checks=JOINT_CHECKS - {name}))
        assert {v.limit for v in checker.check(bad, context()).violations} == every - {name}


def test_many_joint_orders_do_not_fill_the_memory() -> None:
    checker = Checker(panda_limits(), GuardSettings(checks=JOINT_CHECKS))
    rng = np.random.default_rng(0)
    for _ in range(200):
        checker.table(tuple(rng.permutation(PANDA)))
    assert len(checker._tables) <= 65
