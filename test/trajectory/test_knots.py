"""Velocities at knots, and braking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from cosmos_ros.trajectory.knots import braking_time, monotone_velocities, spline_velocities, within_limits
from cosmos_ros.trajectory.piecewise import PiecewisePolynomial, hermite_coefficients

NONE = np.array([np.inf])


def run(times: np.ndarray, positions: np.ndarray, velocities: np.ndarray) -> PiecewisePolynomial:
    return PiecewisePolynomial(times, hermite_coefficients(np.diff(times), positions, velocities, None))


def dense(times: np.ndarray, positions: np.ndarray, velocities: np.ndarray) -> np.ndarray:
    return run(times, positions, velocities)(np.linspace(times[0], times[-1], 2001))


@st.composite
def motions(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count = draw(st.integers(2, 12))
    steps = draw(st.lists(st.floats(0.02, 0.3), min_size=count, max_size=count))
    values = draw(st.lists(st.floats(-1, 1).map(lambda v: round(v, 6)), min_size=count + 1, max_size=count + 1))
    return np.concatenate([[0.0], np.cumsum(steps)]), np.array(values)[:, None]


@given(motions(), st.floats(-1, 1) | st.just(np.nan))
def test_spline_is_twice_continuous_and_starts_as_measured(motion: tuple[np.ndarray, np.ndarray], start: float) -> None:
    times, positions = motion
    velocities = spline_velocities(times, positions, np.array([start]))
    curve = run(times, positions, velocities)
    scale = 1.0 + np.abs(curve.derivative(2).coefficients).max()
    for knot in times[1:-1]:
        before = curve.derivative(2)(knot - 1e-12)
        after = curve.derivative(2)(knot)
        assert np.abs(before - after).max() < 1e-6 * scale
    assert abs(curve.derivative(2)(times[-1])[0]) < 1e-9 * scale
    if np.isnan(start):
        assert abs(curve.derivative(2)(0.0)[0]) < 1e-9 * scale
    else:
        assert velocities[0, 0] == pytest.approx(start, abs=1e-12)


def test_each_joint_has_its_own_start() -> None:
    times = np.linspace(0, 1, 6)
    positions = np.column_stack([np.sin(times), np.sin(times), times])
    velocities = spline_velocities(times, positions, np.array([0.0, np.nan, 1.0]))
    assert velocities[0].tolist() == pytest.approx([0.0, velocities[0, 1], 1.0])
    assert velocities[0, 1] == pytest.approx(1.0, abs=0.02)
    np.testing.assert_allclose(velocities[:, 2], 1.0, atol=1e-12)


@given(motions())
def test_monotone_slopes_never_overshoot(motion: tuple[np.ndarray, np.ndarray]) -> None:
    times, positions = motion
    velocities = monotone_velocities(times, positions)
    curve = run(times, positions, velocities)
    for index in range(len(times) - 1):
        inside = curve(np.linspace(times[index], times[index + 1], 50)[1:-1])
        low, high = sorted((positions[index, 0], positions[index + 1, 0]))
        assert inside.min() >= low - 1e-9
        assert inside.max() <= high + 1e-9


@given(motions())
def test_monotone_slopes_are_those_of_scipy_inside(motion: tuple[np.ndarray, np.ndarray]) -> None:
    times, positions = motion
    if len(times) > 2:
        expected = PchipInterpolator(times, positions[:, 0])(times, 1)
        np.testing.assert_allclose(monotone_velocities(times, positions)[1:-1, 0], expected[1:-1], atol=1e-6, rtol=1e-6)


@settings(max_examples=150)
@given(motions(), st.floats(-3, 3))
def test_cubics_keep_the_limits_that_their_knots_keep(motion: tuple[np.ndarray, np.ndarray], start: float) -> None:
    times, positions = motion
    lower, upper = np.array([positions.min()]), np.array([positions.max()])
    free = spline_velocities(times, positions, np.array([start]))
    kept = within_limits(times, positions, free, lower, upper)
    assert kept[0] == free[0]
    # The measured start velocity is not changed; what it does in the first segment is the guard's to judge.
    later = run(times, positions, kept)(np.linspace(times[1], times[-1], 2001))
    assert later.min() >= lower[0] - 1e-7
    assert later.max() <= upper[0] + 1e-7


def test_slopes_far_from_limits_are_left_alone() -> None:
    times, positions = np.linspace(0, 1, 16), np.sin(np.linspace(0, 6, 16))[:, None]
    free = spline_velocities(times, positions, np.array([1.0]))
    np.testing.assert_array_equal(within_limits(times, positions, free, -2 * NONE, 2 * NONE), free)
    np.testing.assert_array_equal(within_limits(times, positions, free, np.array([-9.0]), np.array([9.0])), free)


def test_a_bump_against_the_limit_is_flattened_at_that_limit_only() -> None:
    times = np.linspace(0, 1, 11)
    positions = np.array([0, 0.2, 0.5, 0.8, 0.99, 0.99, 0.8, 0.5, 0.2, 0.1, 0.0])[:, None]
    upper = np.array([1.0])
    free = spline_velocities(times, positions, np.array([0.0]))
    assert dense(times, positions, free).max() > 1.0
    kept = within_limits(times, positions, free, -NONE, upper)
    assert dense(times, positions, kept).max() <= 1.0
    changed = np.flatnonzero((kept != free)[:, 0])
    assert set(changed) <= {3, 4, 5, 6}


def test_end_velocity_can_still_be_braked_before_the_limit() -> None:
    times = np.array([0.0, 0.1, 0.2])
    positions = np.array([[0.0], [0.5], [0.99]])
    velocities = within_limits(times, positions, np.array([[5.0], [5.0], [5.0]]), -NONE, np.array([1.0]))
    assert velocities[-1, 0] == pytest.approx(2 * 0.01 / 0.1)
    duration = braking_time(positions[-1], velocities[-1], np.array([1e-3]), -NONE, np.array([1.0]))
    assert positions[-1, 0] + 0.5 * velocities[-1, 0] * duration == pytest.approx(1.0)


def test_braking_time_is_the_slowest_joints() -> None:
    velocities, decelerations = np.array([1.0, -0.5, 0.0]), np.array([10.0, 2.0, 1.0])
    assert braking_time(np.zeros(3), velocities, decelerations, np.full(3, -9.0), np.full(3, 9.0)) == 0.25
    assert braking_time(np.zeros(3), np.zeros(3), decelerations, np.full(3, -9.0), np.full(3, 9.0)) == 0.0
