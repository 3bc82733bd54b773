"""The controller stand-in accepts, refuses and interpolates as ros2_controllers' JointTrajectoryController does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_ros.sim.trajectory_controller import JointTrajectoryController
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory

JOINTS = ("a", "b")
NOW = 10 * NANOSECONDS
HERE = JointState(NOW, ("b", "a"), np.array([0.2, 0.1]), np.array([0.0, 0.0]))


def trajectory(**changes) -> JointTrajectory:
    base = JointTrajectory(
        joint_names=JOINTS,
        stamp_ns=NOW,
        times_ns=np.array([0, 500_000_000, 1_000_000_000]),
        positions=np.array([[0.1, 0.2], [0.3, 0.1], [0.4, 0.0]]),
        velocities=np.array([[0.0, 0.0], [0.3, -0.2], [0.0, 0.0]]),
    )
    return replace(base, **changes)


def controller(**options: bool) -> JointTrajectoryController:
    made = JointTrajectoryController(JOINTS, **options)
    made.hold(HERE)
    return made


def test_holds_where_it_was_activated() -> None:
    positions, velocities = controller().sample(NOW + 123)
    assert positions.tolist() == [0.1, 0.2]  # by name, not by the state's order
    assert velocities.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"times_ns": np.empty(0, np.int64), "positions": np.empty((0, 2)), "velocities": np.empty((0, 2))},
            "no points",
        ),
        ({"joint_names": ()}, "0 joints"),
        ({"joint_names": ("a",), "positions": np.zeros((3, 1)), "velocities": None}, "1 joints"),
        ({"joint_names": ("a", "b", "c"), "positions": np.zeros((3, 3)), "velocities": None}, "3 joints"),
        ({"joint_names": ("a", "x")}, "joint x"),
        ({"positions": np.zeros((3, 3))}, "positions have shape"),
        ({"velocities": np.zeros((2, 2))}, "velocities have shape"),
        ({"accelerations": np.zeros((3, 1))}, "accelerations have shape"),
        ({"times_ns": np.array([0, 500, 500])}, "does not increase at point 2"),
        ({"times_ns": np.array([0, 900, 500])}, "does not increase at point 2"),
        ({"velocities": np.array([[0, 0], [0, 0], [0, 1e-3]])}, "velocity of joint b"),
        ({"stamp_ns": NOW - 1_000_000_001}, "ended"),
    ],
)
def test_refuses(changes, says) -> None:
    made = controller()
    reason = made.accept(trajectory(**changes), NOW, HERE)
    assert reason is not None
    assert says in reason
    assert made.rejected == 1
    assert made.sample(NOW + 1)[0].tolist() == [0.1, 0.2]  # and goes on as before


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stamp_ns": 0},
        {"stamp_ns": NOW - 1_000_000_000},  # ends exactly now
        {"stamp_ns": NOW + NANOSECONDS},
        {"velocities": None},
        {"velocities": np.array([[0, 0], [0, 0], [0, 1e-8]])},
        {"times_ns": np.array([-5, 0, 5])},
        # What only the guard looks at:
        {"positions": np.array([[0.1, 0.2], [np.nan, 0.1], [0.4, 0.0]])},
        {"velocities": np.array([[0, 0], [0, 0], [0, np.nan]])},
        {"positions": np.array([[0.1, 0.2], [1e6, 0.1], [0.4, 0.0]])},
        {"joint_names": ("a", "a")},
    ],
)
def test_accepts_and_leaves_the_rest_to_the_guard(changes) -> None:
    made = controller()
    assert made.accept(trajectory(**changes), NOW, HERE) is None
    assert made.accepted == 1


def test_options_widen_what_is_accepted() -> None:
    moving = trajectory(velocities=np.array([[0, 0], [0, 0], [0.1, 0.0]]))
    assert controller(allow_nonzero_velocity_at_trajectory_end=True).accept(moving, NOW, HERE) is None
    partial = trajectory(joint_names=("b",), positions=np.array([[0.2], [0.3], [0.4]]), velocities=None)
    made = controller(allow_partial_joints_goal=True)
    assert made.accept(partial, NOW, HERE) is None
    assert made.sample(NOW + NANOSECONDS)[0].tolist() == [0.1, 0.4]  # the other joint holds


def test_a_rejected_trajectory_does_not_disturb_the_running_one() -> None:
    made = controller()
    made.accept(trajectory(), NOW, HERE)
    before = made.sample(NOW + 300_000_000)
    assert made.accept(trajectory(joint_names=("a", "x")), NOW + 100, HERE) is not None
    assert np.array_equal(made.sample(NOW + 300_000_000), before)


@pytest.mark.parametrize("fields", [0, 1, 2])
def test_interpolates_by_the_fields_that_are_present(fields) -> None:
    wanted = trajectory(
        velocities=trajectory().velocities if fields > 0 else None,
        accelerations=np.array([[0.0, 0.0], [0.5, -0.1], [0.0, 0.0]]) if fields > 1 else None,
    )
    made = controller()
    assert made.accept(wanted, NOW, HERE) is None
    spline = piecewise(wanted)
    for at in (0, 1, 250_000_000, 499_999_999, 500_000_000, 700_000_000, 999_999_999):
        positions, velocities = made.sample(NOW + at)
        assert positions == pytest.approx(spline(at / NANOSECONDS), abs=1e-12)
        assert velocities == pytest.approx(spline.derivative()(at / NANOSECONDS), abs=1e-9)
    positions, velocities = made.sample(NOW + 5 * NANOSECONDS)
    assert positions.tolist() == [0.4, 0.0]
    assert velocities.tolist() == [0.0, 0.0]


def test_starts_now_without_a_stamp() -> None:
    made = controller()
    made.accept(trajectory(stamp_ns=0), NOW + 77, HERE)
    assert made.sample(NOW + 77 + 500_000_000)[0] == pytest.approx([0.3, 0.1])


def test_goes_from_the_measured_state_to_a_first_point_ahead() -> None:
    made = controller()
    state = JointState(NOW, JOINTS, np.array([0.15, 0.25]), np.array([0.4, 0.0]))
    made.accept(trajectory(stamp_ns=NOW + NANOSECONDS), NOW, state)
    positions, velocities = made.sample(NOW)
    assert positions == pytest.approx([0.15, 0.25])
    assert velocities == pytest.approx([0.4, 0.0])
    assert made.sample(NOW + NANOSECONDS)[0] == pytest.approx([0.1, 0.2])
    # Position-only trajectories get there in a straight line.
    made.accept(trajectory(stamp_ns=NOW + NANOSECONDS, velocities=None), NOW, state)
    assert made.sample(NOW + NANOSECONDS // 2)[0] == pytest.approx([0.125, 0.225])


def test_can_start_from_the_desired_state() -> None:
    made = controller(interpolate_from_desired_state=True)
    made.accept(trajectory(), NOW, HERE)
    later = NOW + 250_000_000
    commanded = made.sample(later)
    away = JointState(later, JOINTS, np.array([0.9, 0.9]), np.zeros(2))
    made.accept(trajectory(stamp_ns=later + NANOSECONDS), later, away)
    assert np.array_equal(made.sample(later), commanded)


def test_a_replacement_whose_first_point_has_passed_is_joined_in_its_middle() -> None:
    made = controller()
    made.accept(trajectory(stamp_ns=NOW - 500_000_000), NOW, HERE)
    assert made.sample(NOW)[0] == pytest.approx([0.3, 0.1])


def test_one_point() -> None:
    made = controller()
    single = JointTrajectory(JOINTS, NOW, np.array([100]), np.array([[0.5, 0.6]]))
    assert made.accept(single, NOW, HERE) is None
    assert made.sample(NOW + 50)[0] == pytest.approx([0.3, 0.4])
    assert made.sample(NOW + 100)[0].tolist() == [0.5, 0.6]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_runs_through_its_points_exactly(data) -> None:
    count = data.draw(st.integers(2, 6))
    gaps = data.draw(st.lists(st.integers(1_000_000, NANOSECONDS), min_size=count, max_size=count))
    value = st.floats(-3.0, 3.0)
    rows = [[data.draw(value), data.draw(value)] for _ in range(count)]
    rates = [[data.draw(value), data.draw(value)] for _ in range(count)]
    rates[-1] = [0.0, 0.0]
    times = np.cumsum(gaps)
    given_trajectory = JointTrajectory(JOINTS, NOW, times, np.array(rows), np.array(rates))
    made = controller()
    assert made.accept(given_trajectory, NOW, HERE) is None
    positions, velocities = made.sample_many(NOW + times)
    assert positions == pytest.approx(np.array(rows), abs=1e-7)
    assert velocities == pytest.approx(np.array(rates), abs=1e-5)
