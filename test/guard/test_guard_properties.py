"""Whatever comes in, what goes out breaks nothing, by a check that shares no code with the guard.

CI runs 2,000 cases; ``COSMOS_ROS_GUARD_CASES`` (and the nightly target) more. A case is a seed, so that a failure
is replayed by its number.
"""

from __future__ import annotations

import os
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
    hostile,
    joint_guard,
    panda_limits,
    reach,
    times_of,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cosmos_ros.guard import Guard, GuardContext, GuardSettings, Response
from cosmos_ros.guard.checks.start import StartSettings
from cosmos_ros.sim.trajectory_controller import JointTrajectoryController
from cosmos_ros.trajectory.splice import motion_at, splice
from cosmos_ros.types import JointState, JointTrajectory

LIMITS = panda_limits()


def cases(count: int) -> settings:
    """Settings of a property with this many cases."""
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)


SEEDS = st.integers(0, 2**32 - 1)


def problems(sent: JointTrajectory, ctx: GuardContext) -> list[str]:
    """What is wrong with a trajectory that was given out; nothing may be."""
    found = broken_limits(sent, LIMITS, start=sent.positions[0], steps=True)
    for field in (sent.positions, sent.velocities, sent.accelerations):
        if field is not None and not np.isfinite(field).all():
            found.append("not finite")
    if sent.velocities is not None and np.any(sent.velocities[-1]):
        found.append("ends moving")
    # Later than now it would be bridged to; see test_it_starts_now for the earlier.
    if sent.stamp_ns + int(sent.times_ns[0]) > ctx.now_ns + 1_000_000:
        found.append("starts in the future")
    assert ctx.measured is not None
    controller = JointTrajectoryController(PANDA)
    controller.hold(ctx.measured)
    refused = controller.accept(sent, ctx.now_ns, ctx.measured)
    if refused:
        found.append(f"the controller refuses it: {refused}")
    return found


def check_hostile(seed: int) -> None:
    """One hostile case: sound output, idempotent."""
    trajectory, ctx = hostile(np.random.default_rng(seed))
    guard = joint_guard()
    verdict = guard.judge(trajectory, ctx)
    assert (verdict.trajectory is None) == (verdict.response is Response.REJECT)
    if verdict.response is Response.REJECT:
        assert verdict.violations
        return
    sent = verdict.trajectory
    assert not problems(sent, ctx), (verdict.summary, problems(sent, ctx))
    again = guard.judge(sent, ctx)
    assert again.response is Response.ACCEPT, again.summary
    assert again.trajectory.stamp_ns == sent.stamp_ns
    for field in ("times_ns", "positions", "velocities", "accelerations"):
        ours, theirs = getattr(sent, field), getattr(again.trajectory, field)
        assert (ours is None and theirs is None) or np.array_equal(ours, theirs), field


@cases(int(os.environ.get("COSMOS_ROS_GUARD_CASES", "1000")))
@given(SEEDS)
def test_hostile_input_never_gets_through(seed: int) -> None:
    check_hostile(seed)


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_hostile_input_never_gets_through_100_000_times() -> None:
    for seed in range(100_000):
        check_hostile(seed)


def check_moving(seed: int) -> None:
    """A new trajectory, or a stop, while one is being executed: no jump, no limit broken."""
    rng = np.random.default_rng(seed)
    guard = joint_guard()
    kind = str(rng.choice(["cubic", "quintic"]))
    first = reach(rng.normal(0.0, 0.25, 7), duration=float(rng.uniform(0.5, 1.5)), kind=kind)
    executing = guard.judge(first, context()).trajectory
    if executing is None:
        return
    now = NOW + int(rng.uniform(0.0, 1.05) * executing.times_ns[-1])
    at, seen = motion_at(executing, now), motion_at(executing, now - 5_000_000)
    noise = rng.normal(0.0, 2e-3, 7)
    measured = JointState(now - 5_000_000, PANDA, seen.positions + noise, seen.velocities + rng.normal(0, 0.01, 7))
    ctx = GuardContext(now, measured, executing)
    candidate = reach(
        rng.normal(0.0, 0.3, 7) * rng.choice([0.3, 1.0, 3.0]),
        start=at.positions,
        stamp_ns=now - int(rng.uniform(0.0, 0.3) * 1e9),
        duration=float(rng.uniform(0.6, 1.5)),
        kind="cubic",
    )
    join = now + int(rng.choice([0, 20_000_000, 50_000_000]))
    joined = splice(candidate, motion_at(executing, join), join, 300_000_000)
    outputs = [guard.brake(ctx)]
    if joined is not None:
        trajectory = joined.trajectory
        if rng.random() < 0.2:
            trajectory = replace(trajectory, positions=trajectory.positions + rng.normal(0, 0.03, (1, 7)))
        if rng.random() < 0.2 and len(trajectory.times_ns) > 3:  # one that does not end at rest
            trajectory = JointTrajectory(
                PANDA,
                trajectory.stamp_ns,
                trajectory.times_ns[:-2],
                trajectory.positions[:-2],
                trajectory.velocities[:-2],
            )
        outputs.append(guard.judge(trajectory, ctx).trajectory)
    for sent in outputs:
        if sent is None:
            continue
        assert not problems(sent, ctx), problems(sent, ctx)
        begin = max(now, sent.stamp_ns + int(sent.times_ns[0]))
        was, is_ = motion_at(executing, begin), motion_at(sent, begin)
        if begin < executing.stamp_ns + int(executing.times_ns[-1]):
            start = guard.settings.of(StartSettings)
            assert np.abs(is_.positions - was.positions).max() <= start.start_position_tolerance + 1e-3
            assert np.abs(is_.velocities - was.velocities).max() <= start.start_velocity_tolerance + 0.02


@cases(300)
@given(SEEDS)
def test_replacing_and_braking_a_motion(seed: int) -> None:
    check_moving(seed)


ANY_FLOAT = st.floats(width=64)


@cases(150)
@given(st.integers(1, 5).flatmap(lambda n: arrays(np.float64, (3, n, 7), elements=ANY_FLOAT)), st.data())
def test_any_floats_at_all(values: np.ndarray, data: st.DataObject) -> None:
    count = values.shape[1]
    times = data.draw(arrays(np.int64, count, elements=st.integers(-(2**62), 2**62)))
    order = data.draw(st.integers(0, 2))
    stamp = data.draw(st.sampled_from([0, NOW, NOW - 1, 2**62, -5]))
    trajectory = JointTrajectory(
        PANDA, stamp, times, values[0], values[1] if order else None, values[2] if order == 2 else None
    )
    ctx = context(np.array(data.draw(arrays(np.float64, 7, elements=ANY_FLOAT))))
    verdict = joint_guard().judge(trajectory, ctx)
    if verdict.trajectory is not None:
        assert not problems(verdict.trajectory, ctx)
    verdict.to_dict()
    assert verdict.summary


# -- algebra ---------------------------------------------------------------------------------------------------------

SYMMETRIC = Guard(
    replace(LIMITS, joints={n: replace(j, lower=-2.0, upper=2.0) for n, j in LIMITS.joints.items()}),
    GuardSettings(checks=JOINT_CHECKS),
)


def mirrored(trajectory: JointTrajectory) -> JointTrajectory:
    negative = [None if f is None else -f for f in (trajectory.velocities, trajectory.accelerations)]
    return replace(trajectory, positions=-trajectory.positions, velocities=negative[0], accelerations=negative[1])


@cases(150)
@given(SEEDS)
def test_mirror_symmetry(seed: int) -> None:
    trajectory, ctx = hostile(np.random.default_rng(seed))
    trajectory = replace(trajectory, positions=trajectory.positions - HOME[: trajectory.positions.shape[1]])
    measured = replace(ctx.measured, positions=ctx.measured.positions - HOME)
    speed = measured.velocities
    opposite = replace(measured, positions=-measured.positions, velocities=None if speed is None else -speed)
    one = SYMMETRIC.judge(trajectory, GuardContext(NOW, measured))
    other = SYMMETRIC.judge(mirrored(trajectory), GuardContext(NOW, opposite))
    assert one.response is other.response, (one.summary, other.summary)
    assert [(v.limit, v.joint) for v in one.violations] == [(v.limit, v.joint) for v in other.violations]
    if one.trajectory is not None:
        assert np.allclose(one.trajectory.positions, -other.trajectory.positions, atol=1e-12)
        assert np.array_equal(one.trajectory.times_ns, other.trajectory.times_ns)


@cases(150)
@given(SEEDS, st.sampled_from(["velocity_scale", "acceleration_scale", "jerk_scale", "position_margin"]))
def test_tighter_limits_never_let_more_through(seed: int, name: str) -> None:
    trajectory, ctx = hostile(np.random.default_rng(seed))
    values = (0.9, 0.6) if name.endswith("scale") else (0.01, 0.1)
    loose = joint_guard(recovery=False)
    checks = [loose.checker, *(joint_guard(**{name: value}, recovery=False).checker for value in values)]
    accepted = [not checker.check(trajectory, ctx).violations for checker in checks]
    assert accepted == sorted(accepted, reverse=True)


@cases(100)
@given(SEEDS)
def test_joint_order_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trajectory, ctx = hostile(rng)
    width = trajectory.positions.shape[1]
    order = rng.permutation(width)
    shuffled = JointTrajectory(
        tuple(trajectory.joint_names[k] for k in order),
        trajectory.stamp_ns,
        trajectory.times_ns,
        trajectory.positions[:, order],
        None if trajectory.velocities is None else trajectory.velocities[:, order],
        None if trajectory.accelerations is None else trajectory.accelerations[:, order],
    )
    one, other = joint_guard().judge(trajectory, ctx), joint_guard().judge(shuffled, ctx)
    assert one.response is other.response
    assert {(v.limit, v.joint) for v in one.violations} == {(v.limit, v.joint) for v in other.violations}
    if one.trajectory is not None:
        assert np.allclose(one.trajectory.positions[:, order], other.trajectory.positions, atol=1e-12)
        assert np.allclose(one.trajectory.times_ns, other.trajectory.times_ns, atol=1)


def distance_to_path(points: np.ndarray, trajectory: JointTrajectory) -> float:
    """Largest joint-space distance of points from a finely sampled trajectory."""
    from guard_support import dense

    path = dense(trajectory, 2000.0).positions
    begins, along = path[:-1], np.diff(path, axis=0)
    squared = np.maximum((along**2).sum(axis=1), 1e-300)

    def distance(point: np.ndarray) -> float:
        part = np.clip(((point - begins) * along).sum(axis=1) / squared, 0.0, 1.0)
        return float(np.sqrt(((begins + part[:, None] * along - point) ** 2).sum(axis=1).min()))

    return max(distance(point) for point in points)


@cases(40)
@given(SEEDS)
def test_slowing_down_and_truncating_keep_the_path(seed: int) -> None:
    from guard_support import dense

    rng = np.random.default_rng(seed)
    trajectory = reach(rng.normal(0.0, 1.2, 7), kind=str(rng.choice(["cubic", "quintic"])))
    if trajectory.accelerations is None:  # a path with bends: each joint goes out and back beside the line
        t = trajectory.times_ns / 1e9
        s = t / t[-1]
        size = rng.normal(0.0, 3.0, 7)
        slope = (2.0 * s * (1.0 - s) ** 2 - 2.0 * s**2 * (1.0 - s)) / t[-1]
        bends, turning = (s**2 * (1.0 - s) ** 2)[:, None] * size, slope[:, None] * size
        trajectory = replace(
            trajectory, positions=trajectory.positions + bends, velocities=trajectory.velocities + turning
        )
    verdict = joint_guard().judge(trajectory, context())
    if verdict.response not in (Response.SLOW_DOWN, Response.TRUNCATE):
        return
    samples = dense(verdict.trajectory, 200.0).positions
    assert distance_to_path(samples, trajectory) < 1e-4
    assert distance_to_path(verdict.trajectory.positions, trajectory) < 1e-4
    if verdict.response is Response.SLOW_DOWN:
        assert np.allclose(verdict.trajectory.positions[-1], trajectory.positions[-1])
        assert verdict.time_scale > 1.0


@cases(110)
@given(SEEDS)
def test_feasible_chunks_are_accepted_as_they_are(seed: int) -> None:
    """Generated inside the limits with margin: no false rejects, and nothing is changed."""
    trajectory, start = feasible(np.random.default_rng(seed))
    verdict = joint_guard().judge(trajectory, context(start))
    assert verdict.response is Response.ACCEPT, verdict.summary
    assert np.array_equal(verdict.trajectory.positions, trajectory.positions)
    assert np.array_equal(verdict.trajectory.times_ns, trajectory.times_ns)


@pytest.mark.nightly
@pytest.mark.timeout(0)
def test_feasible_chunks_are_accepted_10_000_times() -> None:
    for seed in range(10_000):
        trajectory, start = feasible(np.random.default_rng(seed))
        verdict = joint_guard().judge(trajectory, context(start))
        assert verdict.response is Response.ACCEPT, (seed, verdict.summary)


def feasible(rng: np.random.Generator) -> tuple[JointTrajectory, np.ndarray]:
    """A 16-step chunk that keeps 3 % off every bound: a sum of smooth bumps, scaled down until it does."""
    lower = np.array([LIMITS.joints[n].lower for n in PANDA])
    upper = np.array([LIMITS.joints[n].upper for n in PANDA])
    middle, half = 0.5 * (lower + upper), 0.5 * (upper - lower)
    start = middle + rng.uniform(-0.9, 0.9, 7) * half
    t = np.linspace(0.0, 16 / 15, 17)
    s = t / t[-1]
    q, v = np.zeros((17, 7)), np.zeros((17, 7))
    for power in (2, 3, 4):
        size = rng.normal(0.0, 1.0, 7)
        bump = s**power * (1.0 - s) ** 2
        slope = (power * s ** (power - 1) * (1.0 - s) ** 2 - 2.0 * s**power * (1.0 - s)) / t[-1]
        q, v = q + bump[:, None] * size, v + slope[:, None] * size
    size = rng.normal(0.0, 0.5, 7)
    q += (10 * s**3 - 15 * s**4 + 6 * s**5)[:, None] * size
    v += ((30 * s**2 - 60 * s**3 + 30 * s**4) / t[-1])[:, None] * size
    tight = panda_limits(velocity=0.97, acceleration=0.97, jerk=0.97)
    inside = replace(tight, joints={
        n: replace(j, lower=j.lower + 0.03 * 2 * h, upper=j.upper - 0.03 * 2 * h)
        for (n, j), h in zip(tight.joints.items(), half, strict=True)
    })  # fmt: skip
    for scale in 10.0 ** np.linspace(0.0, -3.0, 30):
        trajectory = JointTrajectory(PANDA, NOW, times_of(t), start + scale * q, scale * v)
        if not broken_limits(trajectory, inside, slack=0.0, steps=True):
            return trajectory, start
    return JointTrajectory(PANDA, NOW, times_of(t), np.tile(start, (17, 1)), np.zeros((17, 7))), start
