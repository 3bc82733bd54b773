"""Gripper motions that begin as the gripper moves, wait where they must, and never go back and forth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_ros.trajectory.grippers import plan_gripper
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import NANOSECONDS, JointTrajectory

TIMES = np.arange(17) / 15.0
FASTEST = 1.0


def dense(times, positions, velocities):
    """Positions and velocities at many instants."""
    knots_ns = np.rint(times * NANOSECONDS).astype(np.int64)
    motion = piecewise(JointTrajectory(("g",), 0, knots_ns, positions[:, None], velocities[:, None]))
    at = np.linspace(0.0, float(knots_ns[-1]) / NANOSECONDS, 4000)
    return motion(at)[:, 0], motion.derivative()(at)[:, 0]


rows = st.lists(st.floats(0.0, 0.8), min_size=16, max_size=16).map(np.array)


@given(rows, st.floats(0.0, 0.8), st.floats(-1.0, 1.0), st.floats(0.02, 0.2))
def test_it_is_never_faster_than_it_can_and_stays_where_anything_is_wanted(wanted, start, velocity, period) -> None:
    times = np.arange(17) * period
    positions, velocities = plan_gripper(times, np.append(start, wanted), start, velocity, FASTEST)
    path, speed = dense(times, positions, velocities)
    assert np.abs(speed).max() <= FASTEST * (1.0 + 1e-6)
    assert path.min() >= min(start, wanted.min()) - 1e-6 and path.max() <= max(start, wanted.max()) + 1e-6
    assert positions[0] == start


@given(rows, st.floats(0.2, 0.6), st.floats(-1.0, 1.0))
def test_it_begins_with_the_velocity_it_has(wanted, start, velocity) -> None:
    # Something is wanted beyond the way it needs to brake.
    wanted = np.append(wanted[:-2], (0.0, 0.8))
    _, velocities = plan_gripper(TIMES, np.append(start, wanted), start, velocity, FASTEST)
    assert velocities[0] == pytest.approx(velocity, abs=1e-9)


@pytest.mark.parametrize("velocity", [-1.0, -0.5, -0.2])
def test_a_closing_gripper_whose_rows_lag_brakes_and_waits_for_them(velocity) -> None:
    wanted = np.clip(0.7 + velocity * TIMES[1:], 0.0, 0.8)  # seen a while ago, when it was still at 0.7
    positions, velocities = plan_gripper(TIMES, np.append(0.5, wanted), 0.5, velocity, FASTEST)
    path, speed = dense(TIMES, positions, velocities)
    assert velocities[0] == pytest.approx(velocity)
    assert (speed <= 1e-9).all()  # it does not open in between
    assert path[-1] == pytest.approx(wanted[-1], abs=0.02)
    # It brakes at once: a tenth of a second of its speed is the most that it goes on.
    waiting = np.flatnonzero(np.append(0.7, wanted) > 0.5)
    assert (positions[waiting] >= 0.5 + velocity * 0.1 / 3.0 - 1e-9).all()


def test_a_gripper_at_rest_waits_where_it_is() -> None:
    wanted = np.linspace(0.7, 0.1, 16)
    positions, velocities = plan_gripper(TIMES, np.append(0.4, wanted), 0.4, np.nan, FASTEST)
    before = wanted > 0.4
    assert (positions[1:][before] == 0.4).all() and velocities[0] == 0.0
    assert positions[-1] == pytest.approx(0.1)
