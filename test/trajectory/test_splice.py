"""Splicing: the result starts on the executed motion, ends on the new one, and is the cubic it says it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_ros.errors import InputError
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.trajectory.splice import MotionState, blend_seconds, merge, motion_at, splice
from cosmos_ros.types import JointTrajectory

NAMES = ("a", "b")
STEP = 66_666_667


def chunk(seed: int, stamp: int = 1_000_000_000, steps: int = 16) -> JointTrajectory:
    rng = np.random.default_rng(seed)
    positions = np.cumsum(rng.normal(scale=0.02, size=(steps + 1, 2)), axis=0)
    velocities = rng.normal(scale=0.2, size=(steps + 1, 2))
    velocities[-1] = 0.0
    return JointTrajectory(NAMES, stamp, np.arange(steps + 1, dtype=np.int64) * STEP, positions, velocities)


@given(
    seed=st.integers(0, 2**32 - 1),
    delay=st.integers(0, 15 * STEP),
    blend=st.integers(0, 20 * STEP),
    offset=st.lists(st.floats(-0.5, 0.5), min_size=4, max_size=4),
)
def test_starts_on_the_executed_motion_and_ends_on_the_new_one(seed, delay, blend, offset):
    new = chunk(seed)
    join = new.stamp_ns + delay
    current = MotionState(("b", "a"), np.array(offset[:2]), np.array(offset[2:]))
    result = splice(new, current, join, blend)
    assert result is not None
    out = result.trajectory
    assert out.stamp_ns == join
    assert out.times_ns[0] == 0
    assert np.all(np.diff(out.times_ns) > 0)
    assert out.positions[0].tolist() == [offset[1], offset[0]]
    assert out.velocities[0].tolist() == [offset[3], offset[2]]
    np.testing.assert_allclose(out.positions[-1], new.positions[-1], atol=1e-12)
    np.testing.assert_allclose(out.velocities[-1], 0.0, atol=1e-9)


@given(seed=st.integers(0, 2**32 - 1), delay=st.integers(0, 15 * STEP), blend=st.integers(1, 20 * STEP))
def test_a_join_to_itself_changes_nothing(seed, delay, blend):
    new = chunk(seed)
    join = new.stamp_ns + delay
    result = splice(new, motion_at(new, join), join, blend)
    assert result is not None
    assert result.join_error < 1e-12
    at = np.linspace(0.0, result.trajectory.times_ns[-1] * 1e-9, 200)
    expected = piecewise(new)(at + delay * 1e-9)
    kept = result.trajectory.times_ns[1] * 1e-9
    inside = at >= kept  # a knot within MINIMUM_SEGMENT of the join may have been left out before that
    np.testing.assert_allclose(piecewise(result.trajectory)(at)[inside], expected[inside], atol=1e-9)


def test_passed_steps_are_dropped_and_counted():
    new = chunk(0)
    join = new.stamp_ns + 4 * STEP + STEP // 2
    result = splice(new, motion_at(new, join), join, STEP)
    assert result is not None
    assert result.dropped_steps == 4
    assert len(result.trajectory.times_ns) == 1 + 12
    assert int(result.trajectory.times_ns[-1]) == 16 * STEP - (join - new.stamp_ns)


def test_nothing_is_left_of_a_chunk_that_has_passed():
    new = chunk(0)
    assert splice(new, motion_at(new, 0), new.stamp_ns + 17 * STEP, STEP) is None


def test_the_difference_has_decayed_after_the_blend():
    new = chunk(3)
    join = new.stamp_ns
    moved = MotionState(NAMES, new.positions[0] + 0.1, new.velocities[0])
    result = splice(new, moved, join, 4 * STEP)
    assert result is not None
    assert result.join_error == pytest.approx(0.1)
    np.testing.assert_allclose(result.trajectory.positions[4:], new.positions[4:], atol=1e-12)
    np.testing.assert_allclose(result.trajectory.velocities[4:], new.velocities[4:], atol=1e-12)
    assert abs(result.trajectory.positions[2, 0] - new.positions[2, 0]) == pytest.approx(0.05, abs=1e-9)


def test_an_unknown_joint_is_named():
    with pytest.raises(InputError, match=r"\['b'\]"):
        splice(chunk(0), MotionState(("a",), np.zeros(1), np.zeros(1)), 0, STEP)


def test_motion_is_at_rest_outside_the_trajectory():
    new = chunk(1)
    after = motion_at(new, new.stamp_ns + 100 * STEP)
    assert after.positions.tolist() == new.positions[-1].tolist()
    assert not after.velocities.any()
    assert not motion_at(new, new.stamp_ns - 1).velocities.any()


def test_merge_lets_later_motions_win():
    merged = merge(MotionState(NAMES, np.zeros(2), np.zeros(2)), MotionState(("b", "c"), np.ones(2), np.full(2, 2.0)))
    assert dict(zip(merged.joint_names, merged.positions, strict=True)) == {"a": 0.0, "b": 1.0, "c": 1.0}


@given(
    error=st.floats(-0.5, 0.5),
    rate=st.floats(-2.0, 2.0),
    limit=st.floats(0.5, 20.0),
)
def test_a_long_enough_blend_needs_no_more_than_the_acceleration_it_may_use(error, rate, limit):
    duration = blend_seconds(np.array([error]), np.array([rate]), np.array([limit]))
    if duration < 1e-6:
        return
    at = np.linspace(0.0, 1.0, 101)
    # Second derivative of the cubic Hermite from (error, rate) to rest, in u = t / duration.
    acceleration = ((-6.0 + 12.0 * at) * error + (-4.0 + 6.0 * at) * rate * duration) / duration**2
    assert np.max(np.abs(acceleration)) <= limit * (1.0 + 1e-9)


def test_a_large_difference_takes_longer_to_take_over():
    new = chunk(3)
    still = JointTrajectory(NAMES, new.stamp_ns, new.times_ns, 0.0 * new.positions, 0.0 * new.positions)
    moved = MotionState(NAMES, np.array([0.2, 0.0]), np.zeros(2))
    quick = splice(still, moved, new.stamp_ns, 2 * STEP)
    gentle = splice(still, moved, new.stamp_ns, 2 * STEP, np.array([2.0, np.inf]))
    peak = [np.max(np.abs(piecewise(s.trajectory).derivative(2)(np.linspace(0, 1, 500)))) for s in (quick, gentle)]
    assert peak[0] > 10.0
    assert peak[1] <= 2.0 + 1e-9


@given(
    seed=st.integers(0, 2**32 - 1),
    delay=st.integers(0, 14 * STEP),
    blend=st.integers(0, 20 * STEP),
    start=st.floats(0.0, 0.04),
    speed=st.floats(-0.1, 0.1),
)
def test_a_gripper_never_overshoots_its_bounds(seed, delay, blend, start, speed):
    new = chunk(seed)
    rng = np.random.default_rng(seed)
    opening = np.repeat(rng.choice([0.0, 0.02, 0.04], size=5), 4)[:17]
    positions = np.column_stack([opening, new.positions[:, 1]])
    new = JointTrajectory(NAMES, new.stamp_ns, new.times_ns, positions, np.zeros_like(positions))
    current = MotionState(NAMES, np.array([start, 0.0]), np.array([speed, 0.0]))
    result = splice(new, current, new.stamp_ns + delay, blend, monotone=("a",))
    assert result is not None
    values = piecewise(result.trajectory)(np.linspace(0.0, 1.2, 400))[:, 0]
    assert values.min() >= -1e-12
    assert values.max() <= 0.04 + 1e-12
    assert result.trajectory.positions[0, 0] == start
    assert result.trajectory.positions[-1, 0] == pytest.approx(opening[-1], abs=1e-12)
