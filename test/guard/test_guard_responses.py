"""What the guard answers: accept, slow down, truncate, reject, brake, and how it joins what is being executed."""

from __future__ import annotations

import json
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
    dense,
    joint_guard,
    panda_limits,
    reach,
    state,
    times_of,
)

from cosmos_ros.guard import Guard, GuardContext, GuardSettings, Response
from cosmos_ros.guard.response.planner import duration_of
from cosmos_ros.guard.response.speed_profile import PathLimits, controllable, fastest, make_lines
from cosmos_ros.guard.response.stops import stopping_time
from cosmos_ros.limits import JointLimit, PositionDependentVelocity, RobotLimits
from cosmos_ros.trajectory.executing import rest_from
from cosmos_ros.trajectory.splice import motion_at
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory

ONE = np.eye(7)


def test_accept_changes_nothing() -> None:
    trajectory = reach(0.2)
    verdict = joint_guard().judge(trajectory, context())
    assert verdict.response is Response.ACCEPT and verdict.accepted and not verdict.violations
    assert np.array_equal(verdict.trajectory.positions, trajectory.positions)
    assert verdict.summary == "accept" and verdict.first is None and verdict.time_scale == 1.0
    assert verdict.last_safe_point == -1


def test_an_end_at_rest_but_for_rounding_is_made_exact() -> None:
    trajectory = reach(0.2)
    velocities = trajectory.velocities.copy()
    velocities[-1] = 1e-7
    sent = joint_guard().judge(replace(trajectory, velocities=velocities), context()).trajectory
    assert not sent.velocities[-1].any()
    free = Guard(panda_limits(), GuardSettings(checks=JOINT_CHECKS - {"end_velocity"}))
    kept = free.judge(replace(trajectory, velocities=velocities), context()).trajectory
    assert kept.velocities[-1].all()


# -- slow down -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cubic", "quintic"])
def test_too_fast_is_slowed_down_no_more_than_needed(kind: str) -> None:
    trajectory = reach(ONE[0] * 2.5, kind=kind)
    verdict = joint_guard().judge(trajectory, context())
    assert verdict.response is Response.SLOW_DOWN and {v.limit for v in verdict.violations} >= {"velocity"}
    assert not broken_limits(verdict.trajectory, panda_limits())
    samples = dense(verdict.trajectory)
    assert np.abs(samples.velocities[:, 0]).max() > 0.97 * 2.175  # at the bound where it must be
    assert 1.1 < verdict.time_scale < 1.5
    assert "slow down by 1." in verdict.summary and "panda_joint1" in verdict.summary


def test_one_scale_for_all_joints() -> None:
    """Joint 1 is too fast; joint 7 runs along in proportion."""
    trajectory = reach(ONE[0] * 2.5 + ONE[6] * 0.5)
    samples = dense(joint_guard().judge(trajectory, context()).trajectory, 500.0)
    ratio = (samples.positions[:, 6] - HOME[6]) - 0.2 * (samples.positions[:, 0] - HOME[0])
    assert np.abs(ratio).max() < 1e-6


def test_slowing_down_can_be_forbidden_and_is_bounded() -> None:
    trajectory = reach(ONE[0] * 2.5)
    assert joint_guard(allow_slow_down=False).judge(trajectory, context()).response is Response.REJECT
    assert joint_guard(max_time_scale=1.05).judge(trajectory, context()).response is Response.REJECT


def test_too_much_jerk_is_slowed_down_from_rest() -> None:
    limits = panda_limits(jerk=0.004)  # 15 to 40 rad/s³
    guard = Guard(limits, GuardSettings(checks=JOINT_CHECKS))
    verdict = guard.judge(reach(ONE[0] * 0.9, kind="quintic"), context())
    assert verdict.response is Response.SLOW_DOWN, verdict.summary
    assert not broken_limits(verdict.trajectory, limits)


def test_a_moving_start_keeps_its_speed_and_slows_down_after() -> None:
    executing = reach(ONE[0] * 1.0, duration=1.5)
    now = NOW + 750_000_000
    at = motion_at(executing, now)
    measured = JointState(now, PANDA, at.positions, at.velocities)
    q = np.stack([at.positions, at.positions + ONE[0] * 0.9, at.positions + ONE[0] * 1.8])
    v = np.stack([at.velocities, ONE[0] * 2.4, np.zeros(7)])
    trajectory = JointTrajectory(PANDA, now, times_of([0.0, 0.5, 1.2]), q, v)
    verdict = joint_guard().judge(trajectory, GuardContext(now, measured, executing))
    assert verdict.response is Response.SLOW_DOWN, verdict.summary
    assert np.allclose(verdict.trajectory.velocities[0], at.velocities)
    assert not broken_limits(verdict.trajectory, panda_limits())


def test_less_jerk_from_a_moving_start() -> None:
    limits = panda_limits(jerk=0.02)
    guard = Guard(limits, GuardSettings(checks=JOINT_CHECKS))
    executing = guard.judge(reach(ONE[0] * 0.8, duration=2.0, kind="quintic"), context()).trajectory
    now = NOW + 1_000_000_000
    at = motion_at(executing, now)
    rest = motion_at(executing, now + 5 * NANOSECONDS)
    measured = JointState(now, PANDA, at.positions, at.velocities)
    t = np.linspace(0.0, 0.9, 10)
    s = t / t[-1]
    # The way to the same end in 0.9 s instead of 1.0.
    h00, h10, h01 = 1 - 3 * s**2 + 2 * s**3, (s - 2 * s**2 + s**3) * t[-1], 3 * s**2 - 2 * s**3
    q = h00[:, None] * at.positions + h10[:, None] * at.velocities + h01[:, None] * rest.positions
    v = ((-6 * s + 6 * s**2) / t[-1])[:, None] * (at.positions - rest.positions) + (1 - 4 * s + 3 * s**2)[
        :, None
    ] * at.velocities
    v[-1] = 0.0
    trajectory = JointTrajectory(PANDA, now, times_of(t), q, v * 1.0)
    for factor in (1.0, 0.8, 0.6, 0.5):  # somewhere in here only a gentle ramp is left
        verdict = guard.judge(replace(trajectory, times_ns=times_of(t * factor), velocities=v / factor),
                              GuardContext(now, measured, executing))  # fmt: skip
        if verdict.trajectory is not None:
            assert not broken_limits(verdict.trajectory, limits)


def test_position_only_points_too_fast_are_slowed_down() -> None:
    t = np.linspace(0.0, 0.5, 6)
    q = HOME + np.outer([0.0, 0.04, 0.12, 0.20, 0.28, 0.32], ONE[1])
    lines = JointTrajectory(PANDA, NOW, times_of(t), q)
    verdict = joint_guard().judge(lines, context())
    assert verdict.response is Response.SLOW_DOWN
    assert np.array_equal(verdict.trajectory.positions[[0, -1]], q[[0, -1]])
    assert np.ptp(verdict.trajectory.positions, axis=0)[[0, 2, 3, 4, 5, 6]].max() == 0.0
    assert not broken_limits(verdict.trajectory, panda_limits(), steps=True)
    hopeless = replace(lines, positions=HOME + np.outer([0.0, 0.4, 0.0, 0.4, 0.0, 0.4], ONE[1]))
    assert joint_guard(max_time_scale=2.0).judge(hopeless, context()).response is Response.REJECT


FR3 = PositionDependentVelocity(0.30, 12.0, 2.7501, 0.30, 12.0, -2.7501)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_slowing_down_towards_a_bound_that_shrinks(side: float) -> None:
    limits = RobotLimits(
        {"j": JointLimit(-2.7437, 2.7437, 2.62, 10.0, position_dependent_velocity=FR3)}, required_joints=("j",)
    )
    guard = Guard(limits, GuardSettings(checks=JOINT_CHECKS))
    q = side * np.array([[1.5], [2.0], [2.5], [2.6]])
    v = side * np.array([[0.0], [2.2], [1.6], [0.0]])
    trajectory = JointTrajectory(("j",), NOW, times_of([0.0, 0.4, 0.65, 0.85]), q, v)
    measured = JointState(NOW, ("j",), q[0], np.zeros(1))
    verdict = guard.judge(trajectory, GuardContext(NOW, measured))
    assert verdict.response is Response.SLOW_DOWN, verdict.summary
    assert verdict.time_scale < 1.1  # only where the bound is, not all of it
    samples = dense(verdict.trajectory)
    place, speed = side * samples.positions[:, 0], side * samples.velocities[:, 0]
    bound = np.minimum(2.62, np.maximum(0.0, -0.3 + np.sqrt(np.maximum(0.0, 12.0 * (2.7501 - place)))))
    assert (speed <= bound + 1e-5).all()


def test_a_speed_that_cannot_be_left_has_no_run() -> None:
    """From x = 1 the path's end cannot be reached at rest within 1 rad/s²; from less it can."""
    grid = np.linspace(0.0, 0.1, 11)
    ones, flat = np.ones((10, 1)), np.zeros((10, 1))
    path = PathLimits(grid, ones, ones, flat, flat, np.array([1.0]), np.ones(11))
    lines = make_lines(path)
    assert fastest(path, lines, start=1.0, end=0.0) is None
    assert controllable(path, lines, end=0.0)[0] == pytest.approx(0.2)
    slow = fastest(path, lines, start=0.2 - 1e-9, end=0.0)
    assert slow is not None and slow.squared_speed[-1] == 0.0
    stuck = PathLimits(grid, ones, ones, flat, flat, np.array([1.0]), np.where(grid == 0.05, 0.0, 1.0) * (grid < 0.04))
    assert fastest(stuck, make_lines(stuck), start=None, end=None) is None  # it may not move there at all


# -- truncate --------------------------------------------------------------------------------------------------------


def test_stops_before_a_bound_on_the_commanded_path() -> None:
    trajectory = reach(ONE[3] * 2.5, duration=2.0)  # joint 4 from -2.356 towards 0.14; its bound is -0.0698
    verdict = joint_guard().judge(trajectory, context())
    assert verdict.response is Response.TRUNCATE
    sent = verdict.trajectory
    assert not broken_limits(sent, panda_limits()) and not sent.velocities[-1].any()
    fatal = next(v for v in verdict.violations if v.limit == "position")
    assert trajectory.times_ns[fatal.last_safe_point] / NANOSECONDS < fatal.time
    assert sent.positions[-1, 3] == pytest.approx(trajectory.positions[fatal.last_safe_point, 3])
    assert verdict.stopped_at == pytest.approx(trajectory.times_ns[fatal.last_safe_point] / NANOSECONDS)
    assert "truncate at" in verdict.summary


def test_truncating_can_be_forbidden() -> None:
    trajectory = reach(ONE[3] * 2.5, duration=2.0)
    assert joint_guard(allow_truncate=False).judge(trajectory, context()).response is Response.REJECT


def test_nothing_left_to_run_is_a_rejection() -> None:
    q = np.stack([HOME, HOME + ONE[3] * 2.5])
    leap = JointTrajectory(PANDA, NOW, times_of([0.0, 1.9]), q, np.zeros((2, 7)))
    assert joint_guard().judge(leap, context()).response is Response.REJECT
    later = replace(leap, stamp_ns=NOW + 100_000_000)  # the wait before it is nothing to run either
    assert joint_guard().judge(later, context()).response is Response.REJECT


def test_a_trajectory_that_is_too_long_stops_at_the_horizon() -> None:
    verdict = joint_guard(max_duration=1.0).judge(reach(0.2, duration=2.0), context())
    assert verdict.response is Response.TRUNCATE and duration_of(verdict.trajectory) <= 1.0 + 1e-6


# -- the end ---------------------------------------------------------------------------------------------------------


def test_a_moving_end_gets_a_braking_tail() -> None:
    trajectory = reach(ONE[0] * 0.5)
    moving = replace(
        trajectory,
        times_ns=trajectory.times_ns[:10],
        positions=trajectory.positions[:10],
        velocities=trajectory.velocities[:10],
    )
    verdict = joint_guard().judge(moving, context())
    assert verdict.response is Response.ACCEPT and verdict.notes == ("braking tail appended",)
    assert not verdict.trajectory.velocities[-1].any()
    assert np.array_equal(verdict.trajectory.positions[:10], moving.positions)
    assert not broken_limits(verdict.trajectory, panda_limits())


@pytest.mark.parametrize("kind", ["cubic", "quintic"])
def test_a_moving_end_at_a_bound_stops_on_its_path(kind: str) -> None:
    start = HOME.copy()
    start[0] = 2.5
    trajectory = reach(ONE[0] * 0.6, start=start, kind=kind)
    count = 10
    fields = {
        name: None if getattr(trajectory, name) is None else getattr(trajectory, name)[:count]
        for name in ("times_ns", "positions", "velocities", "accelerations")
    }
    verdict = joint_guard(position_margin=0.001).judge(replace(trajectory, **fields), context(start))
    assert verdict.response is Response.SLOW_DOWN, verdict.summary
    assert not verdict.trajectory.velocities[-1].any()
    assert verdict.trajectory.positions[-1, 0] == pytest.approx(fields["positions"][-1, 0])


# -- joining ---------------------------------------------------------------------------------------------------------


def test_it_starts_now() -> None:
    late = joint_guard().judge(reach(0.2, stamp_ns=NOW - 200_000_000), moving_context(reach(0.2), 200_000_000))
    assert late.response is Response.ACCEPT and late.trajectory.stamp_ns == NOW and late.trajectory.times_ns[0] == 0
    assert "cut to now" in late.notes[0]
    early = joint_guard().judge(reach(0.2, stamp_ns=NOW + 100_000_000), context())
    assert early.trajectory.stamp_ns == NOW and "waits for 100 ms" in early.notes[0]
    assert np.array_equal(early.trajectory.positions[0], early.trajectory.positions[1])
    close = joint_guard().judge(reach(0.2, stamp_ns=NOW + 500_000), context())
    assert not close.notes and close.trajectory.stamp_ns == NOW


def moving_context(executing: JointTrajectory, ahead_ns: int) -> GuardContext:
    """The same motion, ``ahead_ns`` into it at NOW."""
    executing = replace(executing, stamp_ns=NOW - ahead_ns)
    at = motion_at(executing, NOW)
    return GuardContext(NOW, JointState(NOW, PANDA, at.positions, at.velocities), executing)


@pytest.mark.parametrize("kind", ["cubic", "quintic"])
def test_what_has_passed_is_cut_without_bending_the_rest(kind: str) -> None:
    trajectory = reach(0.05, duration=2.0, stamp_ns=NOW - 333_000_000, kind=kind)
    ctx = moving_context(reach(0.05, duration=2.0, kind=kind), 333_000_000)
    verdict = joint_guard().judge(trajectory, ctx)
    assert verdict.response is Response.ACCEPT, verdict.summary
    was, is_ = dense(trajectory, 1000.0), dense(verdict.trajectory, 1000.0)
    for j in range(7):
        again = np.interp(is_.seconds + 0.333, was.seconds, was.positions[:, j])
        assert np.abs(again - is_.positions[:, j]).max() < 1e-5


def test_all_passed_but_the_last_point() -> None:
    single = JointTrajectory(PANDA, NOW - 1000, times_of([0.0]), HOME[None], np.zeros((1, 7)))
    # A stamp a moment ago with one point: nothing is left of it.
    assert joint_guard().judge(single, context()).violations[0].limit == "stamp"
    free = Guard(panda_limits(), GuardSettings(checks=JOINT_CHECKS - {"stamp"}))
    for kind in ("linear", "cubic", "quintic"):
        verdict = free.judge(reach(0.0, stamp_ns=NOW - 20 * NANOSECONDS, kind=kind), context())
        assert verdict.trajectory is not None and np.ptp(verdict.trajectory.positions, axis=0).max() == 0.0
        almost = free.judge(reach(0.0, stamp_ns=NOW - times_of([16 / 15])[0] + 100_000, kind=kind), context())
        assert almost.trajectory is not None


@pytest.mark.parametrize("kind", ["linear", "cubic", "quintic"])
def test_a_first_point_in_the_future_is_moved_to_from_the_state(kind: str) -> None:
    trajectory = reach(0.05, duration=2.0, kind=kind)
    keep = slice(2, None)
    fields = {
        name: None if getattr(trajectory, name) is None else getattr(trajectory, name)[keep]
        for name in ("times_ns", "positions", "velocities", "accelerations")
    }
    verdict = joint_guard().judge(replace(trajectory, **fields), context())
    assert verdict.trajectory is not None, verdict.summary
    assert "moves to the first point" in verdict.notes[0]
    assert np.array_equal(verdict.trajectory.positions[0], HOME)


@pytest.mark.parametrize("kind", ["cubic", "quintic"])
def test_the_executed_motion_leads_into_a_later_start(kind: str) -> None:
    executing = replace(reach(0.3, kind=kind), stamp_ns=NOW - 400_000_000)
    ctx = moving_context(reach(0.3, kind=kind), 400_000_000)
    begin = NOW + 40_000_000
    at, rest = motion_at(executing, begin), motion_at(executing, NOW + 10 * NANOSECONDS)
    t = np.linspace(0.0, 0.8, 9)
    s = t / t[-1]
    q = (
        (1 - 3 * s**2 + 2 * s**3)[:, None] * at.positions
        + ((s - 2 * s**2 + s**3) * t[-1])[:, None] * at.velocities
        + (3 * s**2 - 2 * s**3)[:, None] * rest.positions
    )
    v = ((6 * s - 6 * s**2) / t[-1])[:, None] * (rest.positions - at.positions)
    v += (1 - 4 * s + 3 * s**2)[:, None] * at.velocities
    verdict = joint_guard().judge(JointTrajectory(PANDA, begin, times_of(t), q, v), ctx)
    assert verdict.trajectory is not None, verdict.summary
    assert "continues the executed motion for 40 ms" in verdict.notes[0]
    sent = verdict.trajectory
    for later in (0, 7_000_000, 20_000_000, 39_000_000):
        ours, theirs = motion_at(sent, NOW + later), motion_at(executing, NOW + later)
        assert np.abs(ours.positions - theirs.positions).max() < 1e-5
        assert np.abs(ours.velocities - theirs.velocities).max() < 1e-2


def test_executing_one_that_has_not_begun() -> None:
    waiting = reach(0.2, stamp_ns=NOW + 200_000_000)
    ctx = GuardContext(NOW, state(), waiting)
    verdict = joint_guard().judge(reach(0.1, stamp_ns=NOW + 50_000_000), ctx)
    assert verdict.response is Response.ACCEPT, verdict.summary


def test_violations_are_told_in_the_trajectorys_own_times() -> None:
    trajectory = reach(ONE[0] * 2.5, stamp_ns=NOW + 100_000_000)
    ahead = joint_guard().judge(trajectory, context()).violations
    now = joint_guard().judge(replace(trajectory, stamp_ns=NOW), context()).violations
    assert [(v.limit, v.step) for v in ahead] == [(v.limit, v.step) for v in now]
    assert [v.time for v in ahead] == pytest.approx([v.time for v in now], abs=1e-6)


# -- brake -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cubic", "quintic"])
@pytest.mark.parametrize("when", [0.2, 0.5, 0.8])
def test_braking_stays_on_the_path_and_is_quick(kind: str, when: float) -> None:
    executing = reach(0.4, kind=kind)
    ctx = moving_context(executing, round(when * 16 / 15 * NANOSECONDS))
    stop = joint_guard().brake(ctx)
    assert stop is not None and not broken_limits(stop, panda_limits())
    at = motion_at(ctx.executing, NOW)
    assert np.allclose(stop.positions[0], at.positions, atol=1e-9)
    assert np.allclose(stop.velocities[0], at.velocities, atol=1e-9)
    ideal = stopping_time(at.velocities, np.array([panda_limits().joints[n].acceleration for n in PANDA]) * 0.9)
    assert rest_from(stop) / NANOSECONDS < 2.0 * ideal + 0.07
    path = dense(ctx.executing, 2000.0).positions
    assert max(np.sqrt(((path - q) ** 2).sum(axis=1)).min() for q in dense(stop, 500.0).positions) < 1e-3


def test_nothing_to_brake() -> None:
    guard = joint_guard()
    assert guard.brake(GuardContext(NOW)) is None
    assert guard.brake(context()) is None
    assert guard.brake(GuardContext(NOW, JointState(NOW, PANDA, HOME, None))) is None
    assert guard.brake(GuardContext(NOW, state(), reach(0.2, stamp_ns=NOW - 5 * NANOSECONDS))) is None


def test_an_arm_that_was_moved_by_another_is_braked_evenly() -> None:
    speed = np.array([0.5, -0.2, 0.0, 0.1, 0.0, 0.0, 0.3])
    stop = joint_guard().brake(context(HOME, speed))
    assert stop is not None and not broken_limits(stop, panda_limits())
    samples = dense(stop, 1000.0)
    assert np.abs(samples.velocities - np.outer(samples.velocities[:, 0] / 0.5, speed)).max() < 1e-9
    assert joint_guard().brake(context(HOME, np.full(7, np.nan))) is None


def test_a_motion_at_its_limit_can_still_be_braked() -> None:
    """Braking at nearly the whole bound: running on to the executed motion's own end is the quickest stop."""
    q = np.stack([HOME, HOME + ONE[1] * 0.14999])
    v = np.stack([ONE[1] * 1.4999, np.zeros(7)])
    executing = JointTrajectory(PANDA, NOW - 50_000_000, times_of([0.0, 0.2]), q, v)
    at = motion_at(executing, NOW)
    ctx = GuardContext(NOW, JointState(NOW, PANDA, at.positions, at.velocities), executing)
    assert not broken_limits(executing, panda_limits())
    stop = joint_guard(brake_scale=0.5).brake(ctx)
    if stop is not None:
        assert not broken_limits(stop, panda_limits())
        assert rest_from(stop) / NANOSECONDS < 0.2


def test_joints_without_a_known_acceleration() -> None:
    assert stopping_time(np.array([0.5, 0.1]), np.array([np.inf, 1.0])) == 0.5


def test_what_is_sent_lasts_long_enough_to_arrive() -> None:
    """A stop that is over before the controller gets it would be refused, and the old motion run on."""
    guard = joint_guard(hold_time=0.5)
    short = guard.judge(reach(0.01, duration=0.2, points=5), context()).trajectory
    assert duration_of(short) == pytest.approx(0.5) and rest_from(short) == 200_000_000
    assert np.array_equal(short.positions[-1], short.positions[-2])
    slow = guard.brake(moving_context(reach(0.02), 500_000_000))
    assert duration_of(slow) >= 0.5 and rest_from(slow) < 200_000_000
    assert duration_of(guard.judge(reach(0.1), context()).trajectory) > 1.0
    lines = reach(0.001, duration=0.3, points=3, kind="linear")
    assert duration_of(guard.judge(lines, context()).trajectory) == pytest.approx(0.5)
    nearly = guard.judge(reach(0.001, duration=0.4998, points=3), context()).trajectory
    assert np.diff(nearly.times_ns).min() >= 1_000_000  # nothing shorter than it would itself take
    ends_bent = reach(0.001, duration=0.3, points=3, kind="quintic")
    accelerations = ends_bent.accelerations.copy()
    accelerations[-1] = 0.1
    bent = guard.judge(replace(ends_bent, accelerations=accelerations), context()).trajectory
    assert duration_of(bent) == pytest.approx(0.3)


def test_the_executed_motion_goes_on_until_the_controller_can_have_heard() -> None:
    ctx = moving_context(reach(0.4), 500_000_000)
    stop = joint_guard(reaction_time=0.03).brake(ctx)
    for later in (0, 10_000_000, 29_000_000):
        assert (
            np.abs(motion_at(stop, NOW + later).velocities - motion_at(ctx.executing, NOW + later).velocities).max()
            < 1e-3
        )
    assert (
        np.abs(motion_at(stop, NOW + 60_000_000).velocities).max()
        < np.abs(motion_at(ctx.executing, NOW).velocities).max()
    )


# -- the verdict as data ---------------------------------------------------------------------------------------------


def test_verdicts_are_json() -> None:
    guard = joint_guard()
    nan = reach(0.1)
    positions = nan.positions.copy()
    positions[0, 0] = np.nan
    for trajectory in (reach(0.1), reach(ONE[0] * 2.5), reach(ONE[3] * 2.5), replace(nan, positions=positions)):
        data = json.loads(json.dumps(guard.judge(trajectory, context()).to_dict(), allow_nan=False))
        assert data["response"] in ("accept", "slow_down", "truncate", "reject")
        assert (data["sent"] is None) == (data["response"] == "reject")
        assert data["elapsed_ms"] > 0.0 and data["stamp_ns"] == NOW
        for violation in data["violations"]:
            assert set(violation) == {"limit", "joint", "step", "time", "value", "bound", "margin", "message"}
