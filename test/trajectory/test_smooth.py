"""Smooth stops: at rest at the end, within the bounds, and no step of acceleration where the jerk is bounded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_ros.trajectory.piecewise import hermite_coefficients
from cosmos_ros.trajectory.smooth import UNKNOWN_ACCELERATION, smooth_stop


def accelerations_of(times, positions, velocities):
    """Return accelerations at the begin and the end of every segment, and jerks, ``[K-1, J]`` each."""
    steps = np.diff(times)
    c = hermite_coefficients(steps, positions, velocities, None)
    begin, jerk = 2.0 * c[..., 2], 6.0 * c[..., 3]
    return begin, begin + jerk * steps[:, None], jerk


@st.composite
def stops(draw):
    count = draw(st.integers(1, 6))

    def column(values):
        return np.array(draw(st.lists(values, min_size=count, max_size=count)))

    bounds = column(st.sampled_from([2.0, 7.5, 20.0, np.inf]))
    jerks = column(st.sampled_from([20.0, 500.0, 7500.0, np.inf]))
    share = column(st.floats(-1, 1))
    accelerations = share * np.where(np.isfinite(bounds), bounds, UNKNOWN_ACCELERATION)
    velocities = column(st.floats(-2, 2) | st.just(0.0))
    return column(st.floats(-1, 1)), velocities, accelerations, bounds, jerks, column(st.floats(0.0, 0.5))


@settings(max_examples=300)
@given(stops(), st.booleans(), st.sampled_from([0.0, 0.3, 2.0]))
def test_a_stop_keeps_its_bounds_and_has_no_steps_of_acceleration(stop, near_bounds, at_least):
    positions, velocities, accelerations, bounds, jerks, room = stop
    ends = (positions - room, positions + room) if near_bounds else (None, None)
    times, q, v = smooth_stop(positions, velocities, accelerations, bounds, jerks, *ends, at_least=at_least)
    np.testing.assert_array_equal(q[0], positions)
    assert times[0] == 0.0
    assert not v[-1].any()
    assert times[-1] >= at_least
    if len(times) == 1:
        assert not velocities.any()
        return
    np.testing.assert_array_equal(v[0], velocities)
    assert np.diff(times).min() >= 0.02 - 1e-9
    np.testing.assert_array_equal(np.round(times * 1e9) / 1e9, times)
    begin, end, jerk = accelerations_of(times, q, v)
    allowed = np.where(np.isfinite(bounds), bounds, UNKNOWN_ACCELERATION)
    assert (np.abs(np.vstack([begin[1:], end])) <= allowed * (1 + 1e-6) + 1e-6).all()
    bounded = np.isfinite(jerks)
    assert (np.abs(jerk[:, bounded]) <= jerks[bounded] * (1 + 1e-6) + 1e-5).all()
    if bounded.any() and (velocities[bounded].any() or accelerations[bounded].any()):
        steps = np.vstack([begin[:1] - accelerations, begin[1:] - end[:-1], end[-1:]])
        assert np.abs(steps).max() < 1e-6


def test_without_jerk_bounds_it_is_one_constant_deceleration():
    times, q, v = smooth_stop(
        np.zeros(2), np.array([1.0, -0.5]), np.array([3.0, 0.0]), np.array([10.0, 2.0]), np.full(2, np.inf)
    )
    np.testing.assert_allclose(times, [0.0, 0.25])
    np.testing.assert_allclose(q[-1], [0.125, -0.0625])
    np.testing.assert_array_equal(v, [[1.0, -0.5], [0.0, 0.0]])


def test_a_stiff_jerk_bound_costs_as_much_time_as_its_ramps():
    times, _, _ = smooth_stop(np.zeros(1), np.ones(1), np.zeros(1), np.array([10.0]), np.array([5000.0]))
    np.testing.assert_allclose(times, [0.0, 0.02, 0.1, 0.12])


@pytest.mark.parametrize("jerk", [np.inf, 5000.0])
def test_a_joint_near_its_bound_stops_sooner_than_the_others(jerk):
    velocities, bounds = np.array([1.0, 1.0]), np.array([2.0, 20.0])
    times, q, v = smooth_stop(
        np.zeros(2), velocities, np.zeros(2), bounds, np.full(2, jerk), -np.ones(2), np.array([1.0, 0.1])
    )
    assert q[:, 1].max() <= 0.1
    assert not v[-2, 1]
    assert times[-1] >= 0.5
    unbounded = smooth_stop(np.zeros(2), velocities, np.zeros(2), bounds, np.full(2, jerk))
    assert unbounded[1][-1, 1] > 0.1


def test_a_state_at_rest_gives_one_knot_or_stands_for_as_long_as_asked():
    rest = np.array([0.3]), np.zeros(1), np.zeros(1), np.array([10.0]), np.array([5000.0])
    assert [len(part) for part in smooth_stop(*rest)] == [1, 1, 1]
    times, q, v = smooth_stop(*rest, at_least=0.5)
    np.testing.assert_allclose((times[-1], q[-1, 0], v[-1, 0]), (0.5, 0.3, 0.0))
