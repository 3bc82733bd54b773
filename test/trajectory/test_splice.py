"""Splicing: the result starts on the executed motion, ends on the new one, and is the cubic it says it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.interpolate import CubicSpline

from cosmos_ros.errors import InputError
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.trajectory.splice import MINIMUM_SEGMENT_NS, MotionState, merge, motion_at, splice
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
    current = MotionState.of(("b", "a"), np.array(offset[:2]), np.array(offset[2:]))
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
    assert set(new.times_ns[5:]) <= set(result.trajectory.times_ns + join - new.stamp_ns)
    assert int(result.trajectory.times_ns[-1]) == 16 * STEP - (join - new.stamp_ns)


def test_nothing_is_left_of_a_chunk_that_has_passed():
    new = chunk(0)
    assert splice(new, motion_at(new, 0), new.stamp_ns + 17 * STEP, STEP) is None


def test_the_difference_has_decayed_after_the_blend():
    new = chunk(3)
    join = new.stamp_ns
    at = motion_at(new, join)
    moved = MotionState(NAMES, at.positions + 0.1, at.velocities, at.accelerations)
    result = splice(new, moved, join, 4 * STEP)
    assert result is not None
    assert result.join_error == pytest.approx(0.1)
    out = result.trajectory
    after = out.times_ns >= 4 * STEP
    np.testing.assert_allclose(out.positions[after], new.positions[4:], atol=1e-12)
    np.testing.assert_allclose(out.velocities[after], new.velocities[4:], atol=1e-12)
    middle = piecewise(out)(2 * STEP * 1e-9) - new.positions[2]
    assert middle == pytest.approx([0.05, 0.05], abs=0.005)


def test_an_unknown_joint_is_named():
    with pytest.raises(InputError, match=r"\['b'\]"):
        splice(chunk(0), MotionState.of(("a",), np.zeros(1)), 0, STEP)


def test_motion_is_at_rest_outside_the_trajectory():
    new = chunk(1)
    after = motion_at(new, new.stamp_ns + 100 * STEP)
    assert after.positions.tolist() == new.positions[-1].tolist()
    assert not after.velocities.any()
    assert not motion_at(new, new.stamp_ns - 1).velocities.any()


def test_merge_lets_later_motions_win():
    merged = merge(MotionState.of(NAMES, np.zeros(2)), MotionState.of(("b", "c"), np.ones(2), np.full(2, 2.0)))
    assert dict(zip(merged.joint_names, merged.positions, strict=True)) == {"a": 0.0, "b": 1.0, "c": 1.0}


def smooth_chunk(seed: int, stamp: int = 1_000_000_000) -> JointTrajectory:
    """Return a twice continuous chunk at rest at its end, as a model's rows become one."""
    rows = np.cumsum(np.random.default_rng(seed).normal(scale=0.01, size=(17, 2)), axis=0)
    times = np.arange(17) * STEP
    spline = CubicSpline(times * 1e-9, rows, bc_type=((2, np.zeros(2)), (1, np.zeros(2))))
    return JointTrajectory(NAMES, stamp, times.astype(np.int64), rows, spline(times * 1e-9, 1))


@given(
    seed=st.integers(0, 2**32 - 1),
    delay=st.integers(0, 15 * STEP),
    blend=st.integers(0, 20 * STEP),
    state=st.lists(st.floats(-0.3, 0.3), min_size=6, max_size=6),
)
def test_a_join_has_no_step_of_acceleration_but_those_of_the_new_trajectory(seed, delay, blend, state):
    # A point too close behind the join is left out; a Joiner joins there instead.
    assume(not 0 < -delay % STEP < MINIMUM_SEGMENT_NS)
    new = smooth_chunk(seed)
    current = MotionState(NAMES, np.array(state[:2]), np.array(state[2:4]), 10.0 * np.array(state[4:]))
    result = splice(new, current, new.stamp_ns + delay, blend)
    assert result is not None
    curve = piecewise(result.trajectory).derivative(2)
    begin = curve.coefficients[..., 0]
    end = np.array([c @ (h ** np.arange(6)) for c, h in zip(curve.coefficients, curve.durations, strict=True)])
    scale = 1.0 + np.abs(begin).max()
    np.testing.assert_allclose(begin[0], current.accelerations, atol=1e-5 * scale)
    # The chunk itself ends with a step to rest; a blend that outlasts it runs on from there.
    its_end = result.trajectory.times_ns[1:-1] == new.stamp_ns + new.times_ns[-1] - result.trajectory.stamp_ns
    steps = np.abs(begin[1:] - end[:-1])
    assert steps[~its_end].max(initial=0.0) < 1e-5 * scale


def test_a_large_difference_takes_longer_to_take_over():
    new = chunk(3)
    still = JointTrajectory(NAMES, new.stamp_ns, new.times_ns, 0.0 * new.positions, 0.0 * new.positions)
    moved = MotionState.of(NAMES, np.array([0.2, 0.0]))
    free = np.full(2, np.inf)
    quick = splice(still, moved, new.stamp_ns, 2 * STEP)
    gentle = splice(still, moved, new.stamp_ns, 2 * STEP, np.array([2.0, np.inf]))
    gentlest = splice(still, moved, new.stamp_ns, 2 * STEP, np.array([2.0, np.inf]), np.array([10.0, np.inf]))
    at = np.linspace(0, 3, 1500)

    def peak(join, order):
        return np.max(np.abs(piecewise(join.trajectory).derivative(order)(at)))

    assert peak(quick, 2) > 10.0
    assert peak(gentle, 2) <= 2.0 + 1e-9
    assert peak(gentle, 3) > 10.0
    assert peak(gentlest, 3) <= 10.0 + 1e-9
    assert splice(still, moved, new.stamp_ns, 2 * STEP, free, free).trajectory.times_ns[-1] == new.times_ns[-1]


def test_near_its_end_a_trajectory_is_made_longer_rather_than_the_blend_too_quick():
    new = chunk(3)
    new = JointTrajectory(NAMES, new.stamp_ns, new.times_ns, 0.0 * new.positions, 0.0 * new.positions)
    join = new.stamp_ns + 15 * STEP
    moved = MotionState.of(NAMES, np.full(2, 0.1))
    result = splice(new, moved, join, STEP, np.full(2, 2.0))
    curve = piecewise(result.trajectory)
    assert np.abs(curve.derivative(2)(np.linspace(0, 2, 1000))).max() <= 2.0 + 1e-9
    np.testing.assert_allclose(result.trajectory.positions[-1], new.positions[-1], atol=1e-9)
    assert result.trajectory.times_ns[-1] > STEP


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
    current = MotionState.of(NAMES, np.array([start, 0.0]), np.array([speed, 0.0]))
    result = splice(new, current, new.stamp_ns + delay, blend, grippers={"a": 1.0})
    assert result is not None
    values = piecewise(result.trajectory)(np.linspace(0.0, 1.2, 400))[:, 0]
    assert values.min() >= -1e-12
    assert values.max() <= 0.04 + 1e-12
    assert result.trajectory.positions[0, 0] == start
    assert result.trajectory.positions[-1, 0] == pytest.approx(opening[-1], abs=1e-12)
