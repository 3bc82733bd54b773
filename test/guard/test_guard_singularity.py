"""Singular postures, against numpy's singular values on dense samples."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from guard_support import HOME, NOW, PANDA, context, dense, panda_limits, reach
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from model_support import OFF, ONE, TIP, find, model

from cosmos_ros.guard import Guard, GuardContext, GuardedRobot, GuardSettings, Response, Surroundings
from cosmos_ros.guard.checker import Checker
from cosmos_ros.guard.checks.singularity import singular_values
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.resources import resource
from cosmos_ros.trajectory.splice import motion_at
from cosmos_ros.types import JointState, JointTrajectory


def straighten() -> JointTrajectory:
    """The elbow of the Panda straightens: joint 4 from home towards its upper bound."""
    return reach(ONE[3] * 2.2, duration=3.0, points=46)


def test_singular_values_are_those_of_numpy() -> None:
    jacobians = np.random.default_rng(0).normal(size=(20, 6, 7))
    least, most = singular_values(jacobians @ jacobians.swapaxes(1, 2))
    exact = np.linalg.svd(jacobians, compute_uv=False)
    assert np.allclose(least, exact[:, -1]) and np.allclose(most, exact[:, 0])


def smallest(positions: np.ndarray) -> np.ndarray:
    """Numpy's smallest singular value of the tool's Jacobian at arm positions ``[M, 7]``."""
    pad = len(model().joint_names) - 7
    return np.array(
        [np.linalg.svd(model().jacobian(np.pad(q, (0, pad)), TIP), compute_uv=False)[-1] for q in positions]
    )


def test_smallest_singular_value() -> None:
    trajectory = straighten()
    samples = dense(trajectory, 500.0)
    values = smallest(samples.positions)
    threshold = 0.5 * (values[0] + values.min())
    found = find(trajectory, "singularity", minimum_singular_value=threshold)[0]
    assert found.time == pytest.approx(samples.seconds[np.argmax(values < threshold)], abs=5e-3)
    assert found.value == pytest.approx(threshold, abs=1e-4) and "smallest singular value" in found.message
    half_way = reach(ONE[3] * 1.1, duration=3.0, points=46)
    least = smallest(dense(half_way, 500.0).positions).min()
    assert not find(half_way, "singularity", minimum_singular_value=least - 1e-3)
    assert find(half_way, "singularity", minimum_singular_value=least + 1e-3)
    assert not find(reach(0.05), "singularity", minimum_singular_value=0.01)


def test_condition_number() -> None:
    found = find(straighten(), "singularity", maximum_condition_number=17.0)[0]
    assert found.bound == 17.0 and found.value == pytest.approx(17.0, abs=0.1) and "condition number" in found.message
    assert not find(reach(0.05), "singularity", maximum_condition_number=17.0)


def shares(trajectory: JointTrajectory, allowed: Callable[[float, float], float], rate: float = 1000.0) -> np.ndarray:
    """Speed as a share of the velocity bounds, less what is allowed there, by numpy alone."""
    samples = dense(trajectory, rate)
    bound = np.array([panda_limits().joints[n].velocity for n in PANDA])
    pad = len(model().joint_names) - 7
    excess = []
    for q, v in zip(samples.positions, samples.velocities, strict=True):
        s = np.linalg.svd(model().jacobian(np.pad(q, (0, pad)), TIP), compute_uv=False)
        excess.append(np.max(np.abs(v) / bound) - max(0.1, min(1.0, allowed(s[-1], s[0]))))
    return np.array(excess)


NEAR = {
    "value": (
        {"minimum_singular_value": 0.05, "slow_singular_value": 0.2},
        lambda least, most: (least - 0.05) / (0.2 - 0.05),
    ),
    "condition": (
        {"maximum_condition_number": 60.0, "slow_condition_number": 10.0},
        lambda least, most: (least / most - 1 / 60.0) / (1 / 10.0 - 1 / 60.0),
    ),
    "only slow": ({"slow_singular_value": 0.2}, lambda least, most: least / 0.2),
}


@pytest.mark.parametrize("kind", NEAR)
def test_near_a_singularity_the_arm_is_slowed(kind: str) -> None:
    around, allowed = NEAR[kind]
    trajectory = reach(ONE[3] * 1.45, duration=1.6, points=31)  # towards the straight elbow
    excess = shares(trajectory, allowed)
    assert excess.max() > 0.05
    found = find(trajectory, "singularity", **around)
    assert [v.limit for v in found] == ["singularity_speed"] and "share of the velocity" in found[0].message
    assert found[0].time == pytest.approx(dense(trajectory, 1000.0).seconds[np.argmax(excess > 0.0)], abs=5e-3)
    settings_ = GuardSettings(checks=("singularity", "velocity", "acceleration", "position"), **{**OFF, **around})
    guard = Guard(GuardedRobot(panda_limits(), model(), Surroundings(links=(TIP,))), settings_)
    verdict = guard.judge(trajectory, context())
    assert verdict.response is Response.SLOW_DOWN, verdict.summary
    assert shares(verdict.trajectory, allowed).max() < 2e-3
    again = guard.judge(verdict.trajectory, context())
    assert again.response is Response.ACCEPT, again.summary


def test_far_from_singularities_speed_is_free_and_slow_motion_is_free_everywhere() -> None:
    around, _ = NEAR["value"]
    assert not find(reach(ONE[0] * 1.5, duration=1.4), "singularity", **around)
    assert not find(reach(ONE[3] * 1.45, duration=20.0, points=201), "singularity", **around)


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_speed_near_a_singularity_stays_unseen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    start = HOME + rng.normal(0.0, 0.3, 7) * np.array([1, 1, 1, 0, 1, 1, 1])
    trajectory = reach(rng.normal(0.0, 0.5, 7) + ONE[3] * 0.8, start=start, duration=float(rng.uniform(0.7, 2.0)))
    around, allowed = NEAR[str(rng.choice(list(NEAR)))]
    found = [v for v in find(trajectory, "singularity", start=start, **around) if v.limit == "singularity_speed"]
    excess = shares(trajectory, allowed)
    if excess.max() > 2e-3:
        assert found
    if not (excess > -1e-9).any():
        assert not found


@pytest.mark.parametrize("shift", np.linspace(0.0, 0.06, 5))
def test_a_singularity_crossed_between_two_looks_is_seen(shift: float) -> None:
    """Within a few milliseconds: shoulder, elbow and wrist are in line at -0.467."""
    start = HOME.copy()
    start[3] = -1.0 - shift
    trajectory = reach(ONE[3] * 0.9, start=start, duration=0.95)
    around = {"slow_singular_value": 0.004}
    excess = shares(trajectory, lambda least, most: least / 0.004, rate=4000.0)
    assert excess.max() > 0.1 and (excess > 0.0).mean() < 0.03
    assert [v.limit for v in find(trajectory, "singularity", start=start, **around)] == ["singularity_speed"]


def test_a_stop_is_possible_near_a_singularity() -> None:
    around, _ = NEAR["value"]
    guard = Guard(GuardedRobot(panda_limits(), model(), Surroundings(links=(TIP,))), GuardSettings(**{**OFF, **around}))
    sent = guard.judge(reach(ONE[3] * 1.45, duration=1.6, points=31), context()).trajectory
    assert sent is not None
    for part in np.linspace(0.05, 0.95, 19):
        now = NOW + int(part * sent.times_ns[-1])
        at = motion_at(sent, now)
        stop = guard.brake(GuardContext(now, JointState(now, PANDA, at.positions, at.velocities), sent))
        assert stop is not None and not stop.velocities[-1].any()


def test_a_head_that_can_only_turn_has_no_singularities() -> None:
    robot = RobotModel.from_urdf(resource("embodiments", "urdf", "panda.urdf"))
    guarded = GuardedRobot(panda_limits(), robot, Surroundings(links=("panda_link3",)))
    checker = Checker(guarded, GuardSettings(checks=frozenset({"singularity"})))
    assert not checker.checks


def test_leaving_a_singular_posture_is_allowed() -> None:
    start = HOME.copy()
    start[3] = -0.6  # shoulder, elbow and wrist are in line at -0.467
    away, closer = reach(ONE[3] * -1.0, start=start, duration=2.0), reach(ONE[3] * 0.05, start=start, duration=2.0)
    assert not find(away, "singularity", start=start, minimum_singular_value=0.15)
    assert find(closer, "singularity", start=start, minimum_singular_value=0.15)
    assert find(away, "singularity", start=start, minimum_singular_value=0.15, recovery=False)
