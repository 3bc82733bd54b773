"""Everything at once: joints, tool, room, singularity and the arm's own shape, against dense samples by other code."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pytest
from guard_support import PANDA, broken_limits, context, dense, reach
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_support import CAPSULES, PAIRS, TIP, coal_distances, model, tip_path, tool_twists, with_tool

from cosmos_ros.guard import Box, Guard, GuardedRobot, GuardSettings, Response, Surroundings
from cosmos_ros.types import JointTrajectory


@lru_cache(maxsize=4)
def full_guard(**settings_: object) -> Guard:
    surroundings = Surroundings(
        links=(TIP,),
        workspace=Box((-0.3, -0.8, 0.0), (0.9, 0.8, 1.3)),
        minimum_z=0.05,
        capsules=CAPSULES,
        collision_pairs=PAIRS,
    )
    limits = with_tool(linear_speed=1.7, angular_speed=2.5, linear_acceleration=13.0, angular_acceleration=25.0)
    return Guard(GuardedRobot(limits, model(), surroundings), GuardSettings(slow_singular_value=0.08, **settings_))


def demanding(rng: np.random.Generator) -> JointTrajectory:
    """From home to anywhere, smooth or with slopes that wiggle between the points, of three orders."""
    kind = str(rng.choice(["cubic", "cubic", "quintic", "linear"]))
    size = 0.8 * rng.choice([0.3, 1.0])
    trajectory = reach(
        rng.normal(0.0, size, 7), duration=float(rng.uniform(0.6, 3.0)), points=int(rng.choice([2, 5, 17])), kind=kind
    )
    if kind == "cubic" and rng.random() < 0.3:
        velocities = trajectory.velocities + rng.normal(0.0, 0.3, trajectory.velocities.shape)
        velocities[0] = velocities[-1] = 0.0
        trajectory = replace(trajectory, velocities=velocities)
    return trajectory


def broken(sent: JointTrajectory) -> list[str]:
    """What is broken, beyond what may stay unseen between two looks."""
    found = broken_limits(sent, full_guard().robot.limits)
    _, linear, angular = tool_twists(sent, 500.0)
    _, path = tip_path(sent)
    low, high = np.array([-0.3, -0.8, 0.05]), np.array([0.9, 0.8, 1.3])
    samples = dense(sent, 250.0)
    bound = np.array([full_guard().robot.limits.joints[n].velocity for n in PANDA])
    pad = np.zeros(len(model().joint_names) - 7)
    least = np.array(
        [np.linalg.svd(model().jacobian(np.append(q, pad), TIP), compute_uv=False)[-1] for q in samples.positions]
    )
    share = np.abs(samples.velocities / bound).max(axis=1)
    checks = {
        "linear speed": linear.max() <= 1.7 + 2e-3,
        "angular speed": angular.max() <= 2.5 + 2e-3,
        "room": (path >= low - 1e-3).all() and (path <= high + 1e-3).all(),
        "self-collision": coal_distances(samples.positions).min() >= 0.01 - 1e-3,
        "singularity": least.min() >= 0.02 - 2e-4,
        "speed near it": (share <= np.clip((least - 0.02) / 0.06, 0.1, 1.0) + 5e-3).all(),
    }
    return found + [name for name, kept in checks.items() if not kept]


def check_whole(seed: int) -> str:
    verdict = full_guard().judge(demanding(np.random.default_rng(seed)), context())
    if verdict.trajectory is not None:
        assert not broken(verdict.trajectory), (seed, verdict.summary)
        again = full_guard().judge(verdict.trajectory, context())
        assert again.response is Response.ACCEPT, (seed, again.summary)
    return verdict.response.value


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_goes_out_keeps_every_limit_of_the_tool_and_the_arm(seed: int) -> None:
    check_whole(seed)


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_what_goes_out_keeps_every_limit_2_000_times() -> None:
    answers = [check_whole(seed) for seed in range(2_000)]
    assert {"accept", "slow_down", "truncate", "reject"} <= set(answers)  # it was demanding, and not too much


def test_numbers_that_overflow_never_reach_the_kinematics() -> None:
    guard = full_guard()
    for value in (1e150, 1e300, 1.7e308):
        trajectory = reach(0.1)
        velocities = trajectory.velocities.copy()
        velocities[4, 2] = value
        assert guard.judge(replace(trajectory, velocities=velocities), context()).response is Response.REJECT
        positions = trajectory.positions.copy()
        positions[4, 2] = value
        assert guard.judge(replace(trajectory, positions=positions), context()).response is Response.REJECT
