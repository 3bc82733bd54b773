"""Latency compensation as a whole: what is dropped, what is shifted, what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cosmos_ros.limits import JointLimit
from cosmos_ros.trajectory.joiner import Joiner, JoinSettings
from cosmos_ros.trajectory.piecewise import piecewise
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory

NAMES = ("a", "finger")
STEP = 66_666_667
SETTINGS = JoinSettings(
    join_lead=0.05, blend_time=0.2, blend_acceleration=0.5, tracking_tolerance=0.1, shift_from_rest=True
)
START = 10 * NANOSECONDS


def joiner() -> Joiner:
    return Joiner({"a": JointLimit(acceleration=10.0), "finger": JointLimit(lower=0.0, upper=0.04)}, {"finger": 0.1})


def plan(stamp: int = START) -> JointTrajectory:
    """Sixteen steps at 0.2 rad/s from 1 rad, the finger closing."""
    times = np.arange(17, dtype=np.int64) * STEP
    a = 1.0 + 0.2 * times / NANOSECONDS
    return JointTrajectory(
        NAMES, stamp, times, np.column_stack([a, np.linspace(0.04, 0.0, 17)]), np.full((17, 2), [0.2, 0.0])
    )


def measured(stamp: int, a: float = 1.0, rate: float | None = 0.0) -> JointState:
    velocities = None if rate is None else np.array([rate, 0.0])
    return JointState(stamp, NAMES, np.array([a, 0.04]), velocities)


@pytest.mark.parametrize("rate", [0.0, 0.01, None])
def test_a_resting_arm_starts_the_plan_at_its_beginning_however_late_it_comes(rate):
    now = START + 5 * NANOSECONDS
    joined = joiner().join(plan(), now, measured(now, rate=rate), SETTINGS)
    assert joined.trajectory is not None
    assert joined.record["shifted"] is True
    assert joined.record["dropped_steps"] == 0
    assert joined.trajectory.stamp_ns == now + SETTINGS.lead_ns
    assert set(plan().times_ns) <= set(joined.trajectory.times_ns)
    assert joined.trajectory.positions[-1, 0] == pytest.approx(plan().positions[-1, 0])


@pytest.mark.parametrize(("a", "rate"), [(1.05, 0.0), (1.0, 0.1)])
def test_an_arm_that_moved_or_moves_joins_the_plan_where_it_should_be_by_now(a, rate):
    now = START + 5 * STEP
    joined = joiner().join(plan(), now, measured(now, a, rate), SETTINGS)
    assert joined.trajectory is not None
    assert joined.record["shifted"] is False
    assert joined.record["dropped_steps"] == 5
    end = piecewise(joined.trajectory)(joined.trajectory.times_ns[-1] / NANOSECONDS)
    assert end[0] == pytest.approx(plan().positions[-1, 0])


def test_without_shifting_a_plan_that_is_over_is_held_with_the_reason():
    settings = replace(SETTINGS, shift_from_rest=False)
    now = START + 5 * NANOSECONDS
    joined = joiner().join(plan(), now, measured(now), settings)
    assert joined.trajectory is None
    assert "5.05 s after its observation, past its last step" in joined.reason


def test_without_a_joint_state_nothing_is_joined():
    assert "no joint state" in joiner().join(plan(), START, None, SETTINGS).reason


def test_an_arm_that_is_commanded_to_move_is_not_at_rest_though_it_is_measured_so():
    tool = joiner()
    tool.sent(plan(), START)
    now = START + STEP // 2
    joined = tool.join(plan(), now, measured(now, 1.005, 0.0), SETTINGS)
    assert joined.record["shifted"] is False
    assert joined.record["follows"] is True


def test_whether_a_plan_is_taken_is_undecided_until_the_arm_is_sent_something_or_the_join_has_come():
    tool = joiner()
    now = START + STEP
    tool.join(plan(), now, measured(now), SETTINGS)
    assert not tool.undecided(now)  # nobody has sent anything yet: nothing may listen
    tool.sent(plan(), now)
    joined = tool.join(plan(), now, measured(now, 1.0133, 0.2), SETTINGS).trajectory
    assert joined is not None
    assert tool.undecided(now) and tool.undecided(joined.stamp_ns - 1)
    assert not tool.undecided(joined.stamp_ns)
    tool.sent(joined.select(("finger",)), now)
    assert tool.undecided(now)
    tool.sent(joined.select(("a",)), now)
    assert not tool.undecided(now)


@pytest.mark.parametrize("sag", [0.0, 0.03])
def test_a_plan_that_says_what_is_executed_as_it_was_observed_joins_without_a_step(sag):
    tool = joiner()
    tool.sent(plan(), START)
    observed = measured(START + STEP, 1.0133 - sag)
    times = [observed.stamp_ns + k * STEP for k in range(17)]
    positions = tool.ahead(observed, times, SETTINGS)
    assert positions is not None
    commanded = np.append(plan().positions[1:, 0], plan().positions[-1, 0])
    assert positions[:, 0] == pytest.approx(commanded - sag, abs=1e-4)
    again = replace(plan(observed.stamp_ns), positions=positions, velocities=plan().velocities)
    now = observed.stamp_ns + 3 * STEP
    joined = tool.join(again, now, measured(now, 1.0133 + 0.2 * 3 * STEP / NANOSECONDS - sag, 0.2), SETTINGS)
    assert joined.record["error"] < 1e-9
