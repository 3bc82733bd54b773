"""Stops: what moves, or will, comes to rest inside its limits; a controller that is a little late never goes back."""

from __future__ import annotations

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
from cosmos_ros.guard.supervision.supervisor import Supervisor
from cosmos_ros.guard.supervision.supervisor_states import SupervisorSettings
from cosmos_ros.limits import JointLimit
from cosmos_ros.trajectory.executing import rest_from
from cosmos_ros.trajectory.splice import motion_at
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory

LIMITS = panda_limits()
LOWER, UPPER, SPEED = (np.array([getattr(LIMITS.joints[n], f) for n in PANDA]) for f in ("lower", "upper", "velocity"))


def executed(trajectory: JointTrajectory, now: int) -> GuardContext:
    at = motion_at(trajectory, now)
    return GuardContext(now, JointState(now, PANDA, at.positions, at.velocities), trajectory)


def paused() -> JointTrajectory:
    """Moves, stands still from 0.5 s to 1.5 s, moves on."""
    q = np.array([0.0, 0.1, 0.1, 0.2])[:, None] + HOME
    return JointTrajectory(PANDA, NOW, times_of([0.0, 0.5, 1.5, 2.0]), q, np.zeros((4, 7)))


@pytest.mark.parametrize("moving", [reach(0.2), reach(0.2, stamp_ns=NOW + 900_000_000), paused()])
def test_what_stands_still_and_would_move_later_is_held(moving: JointTrajectory) -> None:
    now = NOW + 900_000_000 if moving.times_ns[-1] > 1.5e9 else NOW
    stop = joint_guard().brake(executed(moving, now))
    assert stop is not None and not broken_limits(stop, LIMITS)
    assert np.array_equal(stop.positions, np.tile(motion_at(moving, now).positions, (len(stop.times_ns), 1)))


@pytest.mark.parametrize("what", ["e-stop", "disarm", "silence"])
def test_nothing_starts_after_a_stop_in_the_wait_before_a_motion(what: str) -> None:
    supervisor = Supervisor(joint_guard(), SupervisorSettings(require_controllers=False, silence_timeout=0.2))
    supervisor.on_graph({}, {"joint_trajectory": 1}, NOW)
    supervisor.on_joint_state(state(age=0.0), NOW)
    assert supervisor.arm(NOW)[0]
    candidate = reach(0.3, stamp_ns=NOW + 800_000_000)
    assert supervisor.on_candidate(candidate, NOW, stamp_ns=candidate.stamp_ns).send is not None
    now = NOW + 300_000_000
    supervisor.on_joint_state(JointState(now, PANDA, HOME, np.zeros(7)), now)
    output = {
        "e-stop": lambda: supervisor.on_e_stop(True, now),
        "disarm": lambda: supervisor.disarm(now),
        "silence": lambda: supervisor.tick(now),
    }[what]()
    assert output.send is not None and np.array_equal(output.send.positions[-1], HOME)
    assert not supervisor.moving(now + NANOSECONDS)


@pytest.mark.parametrize("jerk", [50.0, 20.0])
@pytest.mark.parametrize("kind", ["cubic", "quintic"])
def test_a_tight_bound_on_jerk_leaves_a_stop(jerk: float, kind: str) -> None:
    """Not the run to the end of the executed motion, seconds away."""
    limits = replace(LIMITS, joints={n: replace(j, jerk=jerk) for n, j in LIMITS.joints.items()})
    guard = Guard(limits, GuardSettings(checks=JOINT_CHECKS - {"acceleration_step"}, judging_budget=30.0))
    for seed in range(6):
        rng = np.random.default_rng(seed)
        sent = guard.judge(reach(rng.normal(0.0, 0.3, 7), duration=3.0, points=46, kind=kind), context()).trajectory
        assert sent is not None
        now = NOW + int(rng.uniform(0.1, 0.8) * rest_from(sent))
        stop = guard.brake(executed(sent, now))
        assert stop is not None and not broken_limits(stop, limits)
        assert rest_from(stop) / NANOSECONDS < 0.7
        path = dense(sent, 2000.0).positions
        assert max(np.sqrt(((path - q) ** 2).sum(axis=1)).min() for q in dense(stop, 50.0).positions) < 1e-3


@pytest.mark.parametrize("seed", range(25))
def test_an_arm_that_another_moves_is_stopped_inside_its_limits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    positions = LOWER + rng.uniform(0.0, 1.0, 7) ** rng.choice([0.1, 1.0, 10.0]) * (UPPER - LOWER)
    if seed % 3 == 0:
        positions[seed % 7] = UPPER[seed % 7] - rng.choice([1e-3, 0.0])
    stop = joint_guard().brake(context(positions, rng.normal(0.0, 0.6, 7) * SPEED))
    assert stop is not None and not broken_limits(stop, LIMITS)
    assert not stop.velocities[-1].any() and np.array_equal(stop.positions[0], positions)


def test_a_stop_near_a_bound_is_as_hard_as_it_must_be() -> None:
    """Harder than the configured share of the deceleration, up to all of it, for all joints alike."""
    positions, speed = HOME.copy(), np.zeros(7)
    speed[0], speed[4] = 1.5, 0.3
    positions[0] = UPPER[0] - 1.5**2 / (2.0 * 15.0) - 1e-3
    stop = joint_guard(brake_scale=0.5).brake(context(positions, speed))
    assert not broken_limits(stop, LIMITS) and np.allclose(stop.velocities[0], speed)
    assert stop.positions[-1][0] == pytest.approx(UPPER[0], abs=1e-3)


@pytest.mark.parametrize("lead", [0, 40_000_000])
def test_a_trajectory_that_adds_a_joint_must_lie_on_the_executed_motion_too(lead: int) -> None:
    """An arm is on its way; a candidate that names the gripper as well starts where an old joint state saw the arm."""
    limits = replace(LIMITS, joints={**LIMITS.joints, "finger": JointLimit(0.0, 0.04, 0.2, 5.0)})
    guard = Guard(limits, GuardSettings(checks=JOINT_CHECKS))
    names = (*PANDA, "finger")
    arm = reach(0.5, duration=1.5)
    now = NOW + 700_000_000
    seen, there = motion_at(arm, now - 150_000_000), motion_at(arm, now + lead)
    measured = JointState(now - 150_000_000, names, np.append(seen.positions, 0.01), np.append(seen.velocities, 0.0))

    def candidate(q: np.ndarray, v: np.ndarray) -> JointTrajectory:
        start, end = np.append(q, 0.01), np.append(q + 0.5 * v, 0.02)
        speeds = np.stack([np.append(v, 0.0), np.zeros(8)])
        return JointTrajectory(names, now + lead, times_of([0.0, 1.0]), np.stack([start, end]), speeds)

    context_now = GuardContext(now, measured, arm)
    jump = guard.judge(candidate(seen.positions, seen.velocities), context_now)
    assert jump.response is Response.REJECT and jump.violations[0].time <= 0.0
    joined = guard.judge(candidate(there.positions, there.velocities), context_now)
    assert joined.response is Response.ACCEPT, joined.summary
    assert np.allclose(joined.trajectory.positions[0], np.append(motion_at(arm, now).positions, 0.01))
