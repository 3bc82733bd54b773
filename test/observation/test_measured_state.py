"""Which joint states are believed: of two sources, of drivers that send zeros, wrap, or name some joints only."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_ros.limits import JointLimit
from cosmos_ros.observation.measured_state import Belief, JointStateSettings, MeasuredState
from cosmos_ros.types import JointState

MS = 1_000_000
T0 = 1_000_000_000_000
ARM = tuple(f"j{k}" for k in range(6))
BOUNDS = {name: JointLimit(-3.0, 3.0, velocity=2.0) for name in ARM}
BOUNDS["j5"] = JointLimit(velocity=2.0, continuous=True)
BOUNDS["finger"] = JointLimit(0.0, 0.04, velocity=0.2)
HOME = np.array([0.3, -1.4, 1.5, -1.6, -1.57, 2.9])


def state(at_ns: int, positions, names=ARM, velocities=None) -> JointState:
    positions = np.array(positions, np.float64)
    return JointState(at_ns, tuple(names), positions, None if velocities is None else np.array(velocities, np.float64))


def path(seconds: float, speed: float = 2.0) -> np.ndarray:
    """All joints at the highest speed that is allowed, there and back."""
    return HOME + speed * np.abs((seconds % 2.0) - 1.0)


def take(measured: MeasuredState, at_ns: int, positions, **keywords) -> str:
    return measured.accept(state(at_ns, positions, **keywords), at_ns)


def test_zeros_of_a_second_source_are_refused_counted_and_named() -> None:
    measured = MeasuredState(BOUNDS, ARM)
    for k in range(100):
        assert take(measured, T0 + 10 * k * MS, path(k / 100)) == ""
        why = take(measured, T0 + (10 * k + 4) * MS, np.zeros(6))
        assert "to 0.000 in 4 ms" in why and "at most 0.020 is possible" in why
        np.testing.assert_array_equal(measured.newest().positions, path(k / 100))
    assert measured.refused == measured.implausible == 100 and measured.last_refusal == why
    last = T0 + 994 * MS
    assert "contradict each other: j" in measured.conflict(last + 999 * MS)
    assert measured.conflict(last + 1001 * MS) == ""


@given(
    phase=st.integers(-9, 9),
    period=st.integers(1, 40),
    begin=st.floats(0.0, 2.0),
    speed=st.floats(-2.0, 2.0),
    rate=st.sampled_from([5, 20, 100, 500]),
)
def test_what_is_believed_is_the_robot_never_the_zeros(phase, period, begin, speed, rate) -> None:
    """Whatever the two rates, their phase, and who begins; but for what came before the robot's first state."""
    measured = MeasuredState(BOUNDS, ARM)
    real = [(T0 + round(k * 1e9 / rate), path(begin + k / rate, speed)) for k in range(rate)]
    zeros = [(T0 + (phase + period * k) * MS, np.zeros(6)) for k in range(900 // period)]
    for at, positions in sorted(real + zeros, key=lambda one: one[0]):
        why = take(measured, at, positions)
        if positions.any():
            assert why == ""
            np.testing.assert_array_equal(measured.newest().positions, positions)
        elif at > T0:
            assert why
    assert measured.newest().positions.any()


@given(begin=st.floats(0.0, 2.0), speed=st.floats(-2.0, 2.0), jitter=st.integers(0, 2**32 - 1))
def test_nothing_that_keeps_the_velocity_bounds_is_refused(begin, speed, jitter) -> None:
    measured = MeasuredState(BOUNDS, ARM)
    noise = np.random.default_rng(jitter)
    for k in range(400):
        stamp = T0 + (5 * k + int(noise.integers(0, 4))) * MS
        assert take(measured, stamp, path(begin + k * 0.005, speed) + noise.normal(0.0, 2e-4, 6)) == ""
    assert measured.implausible == measured.refused == 0


@pytest.mark.parametrize("first", [np.zeros(6), HOME - 1.0])
def test_a_false_first_packet_is_given_up(first) -> None:
    measured = MeasuredState(BOUNDS, ARM)
    assert take(measured, T0, first) == ""
    refused = [take(measured, T0 + 10 * k * MS, path(k / 100)) for k in range(1, 100)]
    waited = next(k for k, why in enumerate(refused) if not why)
    assert waited == (0 if not first.any() else 25), "an all-zero state gives way at once, another after 0.25 s"
    assert not any(refused[waited:])
    assert "given up as false" in measured.note
    np.testing.assert_array_equal(measured.newest().positions, path(0.99))


def test_two_states_are_no_proof_however_far_apart() -> None:
    measured = MeasuredState({"a": JointLimit(velocity=0.1)}, ["a"])
    assert take(measured, T0, [0.0], names="a") == ""
    assert take(measured, T0 + 10 * MS, [1.0], names="a")
    assert take(measured, T0 + 400 * MS, [1.0], names="a")
    assert take(measured, T0 + 410 * MS, [1.0], names="a") == ""


def test_a_burst_is_no_proof() -> None:
    """Stamps span 0.25 s, but they came at once."""
    measured = MeasuredState(BOUNDS, ARM)
    take(measured, T0 + 1000 * MS, HOME)
    for k in range(40):
        assert measured.accept(state(T0 + (1001 + 10 * k) * MS - 400 * MS, HOME + 2.0), T0 + 1000 * MS)


def test_a_source_of_its_own_path_does_not_take_over_while_the_believed_one_goes_on() -> None:
    measured = MeasuredState(BOUNDS, ARM)
    for k in range(300):
        assert take(measured, T0 + 10 * k * MS, path(k / 100)) == ""
        assert take(measured, T0 + (10 * k + 1) * MS, path(k / 100) - 0.5)
    assert measured.note == ""


def test_a_driver_that_wraps_a_continuous_joint_is_believed() -> None:
    measured = MeasuredState(BOUNDS, ARM)
    for k in range(400):
        turned = HOME.copy()
        turned[5] = (2.0 * k / 100 + np.pi) % (2.0 * np.pi) - np.pi
        assert take(measured, T0 + 10 * k * MS, turned) == ""
    turned[4] += 2.0 * np.pi  # which is not continuous
    assert "j4 went" in take(measured, T0 + 4000 * MS, turned)


def test_messages_of_arm_and_gripper_make_one_state_with_the_older_stamp() -> None:
    measured = MeasuredState(BOUNDS, (*ARM, "finger"))
    assert take(measured, T0, HOME, velocities=[0.1] * 6) == ""
    assert measured.newest() is None
    take(measured, T0 + 3 * MS, [0.04], names=["finger"])
    take(measured, T0 + 10 * MS, HOME + 0.001, velocities=[0.2] * 6)
    whole = measured.newest()
    assert (whole.names, whole.stamp_ns) == ((*ARM, "finger"), T0 + 3 * MS)
    np.testing.assert_array_equal(whole.positions, [*(HOME + 0.001), 0.04])
    np.testing.assert_array_equal(whole.velocities, [0.2] * 6 + [np.nan])
    # The gripper's messages do not vouch for the arm: its contradicting states are believed after 0.25 s as ever.
    for k in range(2, 40):
        why = take(measured, T0 + 10 * k * MS, HOME + 1.0)
        take(measured, T0 + (10 * k + 3) * MS, [0.04], names=["finger"])
        assert bool(why) == (k < 27)


def test_a_closed_gripper_is_no_driver_that_sends_zeros() -> None:
    measured = MeasuredState(BOUNDS | {"finger2": BOUNDS["finger"]}, ("finger", "finger2"))
    take(measured, T0, [0.03, 0.03], names=["finger", "finger2"])
    assert take(measured, T0 + 100 * MS, [0.0, 0.0], names=["finger", "finger2"]) == ""


def test_known_joints_that_are_not_needed_do_not_age_the_state() -> None:
    measured = MeasuredState(BOUNDS, ARM)
    take(measured, T0, [1.0], names=["torso"])
    take(measured, T0 + 5000 * MS, HOME)
    assert measured.newest().names == (*ARM, "torso") and measured.newest().stamp_ns == T0 + 5000 * MS


def test_velocities_that_are_not_measured_are_no_fault() -> None:
    measured = MeasuredState(BOUNDS, ARM)
    assert take(measured, T0, HOME, velocities=[0.1] * 5 + [np.nan]) == ""
    assert np.isnan(measured.newest().velocities[5]) and measured.newest().velocities[0] == 0.1
    take(measured, T0 + MS, HOME, velocities=[np.nan] * 6)
    assert measured.newest().velocities is None
    take(measured, T0 + 2 * MS, HOME)
    assert measured.newest().velocities is None and measured.refused == 0


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (state(T0, [*HOME[:5], np.nan]), "'j5' is nan"),
        (state(T0, [*HOME[:5], -np.inf]), "'j5' is -inf"),
        (state(T0, HOME, velocities=[0.0, np.inf, 0.0, 0.0, 0.0, 0.0]), "'j1' is inf"),
        (state(T0, HOME[:5]), "differ in length"),
        (state(T0, HOME, velocities=[0.0] * 5), "differ in length"),
        (state(T0, [], names=()), "no joint is named"),
        (state(T0, [0.0, 0.0], names=("j0", "j0")), "named twice"),
        (state(T0 + 51 * MS, HOME), "51 ms ahead"),
    ],
)
def test_malformed_states_are_refused_and_change_nothing(bad, why) -> None:
    measured = MeasuredState(BOUNDS, ARM)
    take(measured, T0 - 10 * MS, HOME)
    assert why in measured.accept(bad, T0)
    assert why in measured.last_refusal and (measured.refused, measured.implausible) == (1, 0)
    np.testing.assert_array_equal(measured.newest().positions, HOME)
    assert measured.conflict(T0) == ""


def test_a_stamp_ahead_within_the_setting_is_taken() -> None:
    assert MeasuredState(BOUNDS, ARM).accept(state(T0 + 50 * MS, HOME), T0) == ""
    assert MeasuredState(BOUNDS, ARM, JointStateSettings(max_state_lead=0.0)).accept(state(T0 + 1, HOME), T0)


def test_what_was_overtaken_is_neither_taken_nor_refused() -> None:
    measured = MeasuredState(BOUNDS, ARM)
    take(measured, T0 + 10 * MS, HOME)
    for stamp in (T0, T0 + 10 * MS):
        assert measured.judge(state(stamp, HOME + 0.01), T0 + 11 * MS) == (Belief.OVERTAKEN, "")
    assert (measured.overtaken, measured.refused) == (2, 0)
    np.testing.assert_array_equal(measured.newest().positions, HOME)


def test_a_driver_whose_clock_went_back_is_heard_again() -> None:
    measured = MeasuredState(BOUNDS, ARM)
    take(measured, T0, HOME)
    for k in range(40):
        measured.accept(state(T0 - 60_000 * MS + 10 * k * MS, HOME), T0 + 10 * k * MS)
    assert measured.newest().stamp_ns == T0 - 60_000 * MS + 390 * MS
    assert "stamps went back" in measured.note


def test_joints_without_a_velocity_bound_are_not_judged() -> None:
    measured = MeasuredState({}, ["a", "b"])
    take(measured, T0, [0.0, 0.0], names=["a", "b"])
    assert take(measured, T0 + MS, [100.0, -100.0], names=["a", "b"]) == ""


def test_memory_is_bounded() -> None:
    measured = MeasuredState(BOUNDS)
    for k in range(16):
        assert take(measured, T0 + k, [0.0], names=[f"x{k}"]) == ""
    assert "more than 16" in take(measured, T0 + 16, [0.0], names=["x16"])
    many = [f"y{k}" for k in range(513)]
    assert "512" in take(MeasuredState(BOUNDS), T0, np.zeros(513), names=many)


def test_forgetting_makes_any_next_state_the_first() -> None:
    measured = MeasuredState(BOUNDS, ARM)
    take(measured, T0, HOME)
    take(measured, T0 + MS, np.zeros(6))
    measured.forget()
    assert measured.newest() is None and measured.conflict(T0 + MS) == ""
    assert take(measured, 5 * MS, HOME + 2.0) == ""
