"""Whether a robot follows: lag, low-pass, sag and noise do; a slowed, paused, blocked or foreign-moved one does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from following_loop import HOME, NAMES, Loop, delay, low_pass, sagging

from cosmos_ros.errors import ConfigError
from cosmos_ros.trajectory.executing import ExecutedMotion
from cosmos_ros.trajectory.following import Following, FollowingMonitor, FollowingSettings, FollowingState
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory

FOLLOWS, UNSURE, LOST = FollowingState.FOLLOWS, FollowingState.UNSURE, FollowingState.LOST
LARGEST_STEP = 0.0063  # UR5e: v_max times its 2 ms


@pytest.mark.parametrize(("latency", "period"), [(0.2, 0.5), (0.1, 0.5), (0.1, 0.2)])
@pytest.mark.parametrize("speed", [0.3, 1.0])
@pytest.mark.parametrize("lag", [0.0, 0.02, 0.05, 0.1, 0.2, 0.3])
def test_a_robot_that_lags_follows_at_every_hand_over(lag, speed, latency, period) -> None:
    loop = Loop(delay(lag), speed=speed, latency=latency, period=period).run(3.0)
    assert loop.lost_at is None, loop.monitor.current.reason
    # What has not moved yet may lag, or be held.
    early = [hand.time for hand in loop.hand_overs if hand.state is not FOLLOWS]
    assert early == ([] if period > 0.2 or lag <= 0.1 else [pytest.approx(latency + period)])
    assert loop.monitor.current.lag == pytest.approx(lag, abs=0.015)
    assert loop.monitor.current.rate > 0.97


@pytest.mark.parametrize("rate", [50.0, 125.0, 1000.0])
@pytest.mark.parametrize("speed", [0.02, 0.1, 0.3, 1.5])
@pytest.mark.parametrize(
    "plant", [delay(0.04), low_pass(0.05), low_pass(0.05, delay(0.05))], ids=["delay", "low", "both"]
)
def test_noise_and_jitter_of_stamps_are_no_loss(plant, speed, rate) -> None:
    direction = np.array([1.0, 0.6, -0.4])
    loop = Loop(plant, speed=speed, rate=rate, noise=2e-4, jitter=0.002, direction=direction).run(3.0)
    assert [hand.state for hand in loop.hand_overs] == [FOLLOWS] * len(loop.hand_overs)
    assert loop.states(begin=0.9) == {FOLLOWS}


@pytest.mark.parametrize("tau", [0.1, 0.2, 0.3])
def test_a_slow_robot_is_never_lost_and_soon_sure(tau) -> None:
    loop = Loop(low_pass(tau), noise=2e-4).run(3.0)
    assert LOST not in loop.states() and loop.states(begin=1.2) == {FOLLOWS}


@pytest.mark.parametrize("speed", [0.1, 0.2, 0.25, 0.35])
@pytest.mark.parametrize("scale", [0.1, 0.2, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("plant", [delay(0.0), delay(0.1), low_pass(0.05)], ids=["exact", "delay", "low"])
def test_no_chunk_is_handed_over_to_a_slowed_controller(plant, scale, speed) -> None:
    loop = Loop(plant, speed=speed, scale=lambda _: scale, noise=2e-4).run(4.0)
    assert len(loop.hand_overs) >= 2 or loop.lost_at is not None
    for hand in loop.hand_overs:
        assert hand.state is not FOLLOWS or hand.step <= LARGEST_STEP, hand
    if scale * speed < 0.2 * speed or (speed >= 0.25 and scale <= 0.7):
        assert loop.lost_at is not None and loop.monitor.current.reason


@pytest.mark.parametrize("speed", [0.1, 0.3, 1.0])
@pytest.mark.parametrize("at", [1.0, 1.13, 1.31])
def test_a_pause_in_mid_motion_is_noticed(at, speed) -> None:
    loop = Loop(delay(0.0), speed=speed, scale=lambda t: float(t < at), noise=2e-4).run(4.0)
    # A millirad tells motion from noise, which takes 10 ms at the lowest of these speeds.
    assert 0.3 < loop.lost_at - at <= (0.36 if speed < 0.3 else 0.35)
    assert "does not move: a has made no progress" in loop.monitor.current.reason


def test_a_controller_that_never_begins_is_noticed() -> None:
    loop = Loop(delay(0.0), scale=lambda _: 0.0).run(2.0)
    assert 0.3 < loop.lost_at - 0.2 <= 0.4 and "does not move" in loop.monitor.current.reason


def test_the_timeout_is_a_setting() -> None:
    monitor = FollowingMonitor([NAMES], settings=FollowingSettings(following_timeout=1.0))
    loop = Loop(delay(0.0), scale=lambda _: 0.0, monitor=monitor, speed=0.1).run(3.0)
    assert loop.lost_at - 0.2 == pytest.approx(1.05, abs=0.05)
    with pytest.raises(ConfigError, match="following_timeout"):
        FollowingSettings(following_timeout=0.0)


@pytest.mark.parametrize("speed", [0.1, 0.3, -0.3, 1.0])
@pytest.mark.parametrize(
    "sag",
    [
        lambda q: np.array([-0.05, 0.03, 0.0]),
        lambda q: np.array([-0.1, 0.0, 0.0]),
        lambda q: np.array([0.1, 0.0, 0.0]),
        lambda q: np.array([0.0, -0.1 * np.cos(q[0]), 0.05 * np.sin(q[0])]),
        lambda q: np.array([-0.05 * np.cos(q[0]), 0.0, 0.0]),
    ],
    ids=["constant", "against", "along", "other joints", "posture"],
)
@pytest.mark.parametrize("lag", [0.0, 0.1])
def test_sag_is_no_loss(lag, sag, speed) -> None:
    loop = Loop(sagging(delay(lag), sag), speed=speed, noise=2e-4)
    loop.measured = HOME + sag(HOME)
    loop.run(3.0)
    assert loop.lost_at is None, loop.monitor.current.reason
    assert [hand.state for hand in loop.hand_overs if hand.time > 1.0] == [FOLLOWS] * 4


@pytest.mark.parametrize("frequency", [0.2, 0.5, 1.0, 2.0])
@pytest.mark.parametrize(
    "plant", [delay(0.0), delay(0.1), delay(0.3), low_pass(0.05)], ids=["exact", "0.1", "0.3", "low"]
)
def test_turns_are_no_loss(plant, frequency) -> None:
    loop = Loop(plant, noise=2e-4)
    times = np.arange(0, 6 * 60 + 1) / 60
    width = min(0.3, 0.5 / (2 * np.pi * frequency)) * np.clip(times, 0, 1) * np.clip(6 - times, 0, 1)
    swing = width * np.sin(2 * np.pi * frequency * times)
    rate = np.gradient(swing, times)
    rate[[0, -1]] = 0.0
    direction = np.array([1.0, 0.5, 0.0])
    stamps = np.round(times * NANOSECONDS).astype(np.int64)
    loop.send(JointTrajectory(NAMES, loop.now, stamps, HOME + swing[:, None] * direction, rate[:, None] * direction))
    loop.idle(7.0)
    assert LOST not in loop.states()
    assert loop.states(begin=6.8) == {FOLLOWS}


def test_a_robot_is_sure_again_once_a_slow_motion_has_ended() -> None:
    loop = Loop(delay(0.0), scale=lambda _: 0.9)
    loop.send(loop.chunk(0.1))
    loop.idle(0.7)
    assert loop.monitor.current.state is UNSURE and "moved 9" in loop.monitor.current.reason
    loop.idle(1.5)
    assert loop.monitor.current == Following()


def test_a_robot_off_its_path_is_lost() -> None:
    loop = Loop(lambda loop: loop.command + np.array([0.0, 0.0, max(0.0, loop.time - 0.5)]), speed=0.3).run(3.0)
    assert loop.lost_at == pytest.approx(0.65, abs=0.02)
    assert "c is 0.15" in loop.monitor.current.reason and "off its path" in loop.monitor.current.reason


def pushed(of, begin: float, speed: float, seconds: float):
    return lambda loop: of(loop) + np.array([0.0, speed * np.clip(loop.time - begin, 0.0, seconds), 0.0])


@pytest.mark.parametrize("sent", [False, True])
def test_motion_that_nobody_sent_is_noticed(sent) -> None:
    loop = Loop(pushed(delay(0.1), 3.0, 0.1, 5.0), noise=2e-4)
    if sent:
        loop.send(loop.chunk(0.3))
    loop.idle(3.5)
    assert loop.states(begin=0.5) == {FOLLOWS, LOST}
    assert 3.2 <= loop.lost_at <= 3.35
    assert "moves though nothing was sent: b by 0.0" in loop.monitor.current.reason


@pytest.mark.parametrize(("speed", "seconds"), [(0.04, 1.0), (0.2, 0.09), (0.5, 0.1)])
def test_a_nudge_or_a_drift_is_no_rival(speed, seconds) -> None:
    loop = Loop(pushed(delay(0.0), 0.5, speed, seconds), noise=2e-4).idle(2.0)
    assert loop.states() == {FOLLOWS}


def test_a_wrapping_driver_of_a_continuous_joint_follows() -> None:
    def wrap(state: JointState) -> JointState:
        return replace(state, positions=(state.positions + np.pi) % (2 * np.pi) - np.pi)

    monitor = FollowingMonitor([NAMES], continuous=NAMES)
    loop = Loop(delay(0.1), speed=1.0, keep=wrap, monitor=monitor, noise=2e-4).run(6.0)
    assert loop.measured[0] > np.pi and {hand.state for hand in loop.hand_overs} == {FOLLOWS}
    still = Loop(pushed(delay(0.0), 0.5, 0.5, 5.0), keep=wrap, monitor=FollowingMonitor([NAMES], continuous=NAMES))
    assert "b by 0.1" in still.idle(0.75).monitor.current.reason


def test_a_blocked_gripper_is_no_loss_but_a_blocked_joint_is() -> None:
    def block(loop: Loop) -> np.ndarray:
        return np.array([loop.command[0], HOME[1], HOME[2]])

    both = np.array([1.0, 1.0, 0.0])
    free = FollowingMonitor([NAMES], blockable=["b"])
    assert Loop(block, direction=both, monitor=free).run(3.0).lost_at is None
    assert Loop(block, direction=both).run(3.0).lost_at is not None


def test_each_controller_is_watched_for_itself() -> None:
    """One of two arms is held while the other one moves."""
    monitor = FollowingMonitor([("a", "c"), ("b",)])
    held = Loop(lambda loop: np.array([loop.command[0], HOME[1], loop.command[2]]), monitor=monitor)
    held.direction = np.array([1.0, 0.2, 0.0])
    held.run(3.0)
    assert held.lost_at is not None and "b has made no progress" in held.monitor.current.reason


def test_joints_that_are_not_measured_or_were_never_sent_are_not_watched() -> None:
    def arm_only(state: JointState) -> JointState:
        return JointState(state.stamp_ns, NAMES[:2], state.positions[:2])

    monitor = FollowingMonitor([(*NAMES, "waist"), ("head",)])
    assert {hand.state for hand in Loop(delay(0.1), keep=arm_only, monitor=monitor).run(2.0).hand_overs} == {FOLLOWS}


def test_a_gap_in_the_states_and_a_reset_begin_anew() -> None:
    loop = Loop(delay(0.0), scale=lambda _: 0.0).run(2.0)
    assert loop.lost_at is not None
    loop.monitor.reset()
    assert loop.monitor.current == Following()
    loop = Loop(delay(0.1)).run(1.0)
    loop.now += 5 * NANOSECONDS
    loop.clock += 5 * NANOSECONDS
    loop.commands.extend([loop.controller.sample(loop.now)[0]] * 1000)
    assert loop.idle(0.5).states(begin=5.9) == {FOLLOWS}


def with_reference(loop: Loop, begin: float, seconds: float, *, error: float = 0.0) -> Loop:
    end = loop.time + seconds
    while loop.time < end and loop.lost_at is None:
        loop.step()
        if loop.time >= begin:
            reference = loop.command + np.array([error, 0.0, 0.0])
            current = loop.monitor.update_reference(NAMES, reference, loop.now, loop.motion)
            if current.state is LOST:
                loop.lost_at = loop.time
    return loop


def test_a_reference_that_agrees_makes_sure_at_once() -> None:
    loop = Loop(delay(0.2), speed=0.3)
    loop.send(loop.chunk(0.3))
    loop.idle(0.15)
    assert loop.monitor.current.state is UNSURE and "hardly moved" in loop.monitor.current.reason
    with_reference(loop, 0.0, 0.004)
    assert loop.monitor.current.state is FOLLOWS
    with_reference(loop, 0.0, 3.0)
    assert loop.lost_at is None


@pytest.mark.parametrize("scale", [0.0, 0.5, 0.9])
def test_a_reference_that_deviates_is_a_loss(scale) -> None:
    loop = Loop(delay(0.0), speed=0.3, scale=lambda _: scale)
    loop.send(loop.chunk(0.3))
    with_reference(loop, 0.0, 2.0)
    # 0.01 rad and what it moves in 10 ms, at 0.3 (1 - scale) rad/s, and 20 ms to be sure.
    assert loop.lost_at <= 0.035 + 0.013 / (0.3 * (1.0 - scale)) + 0.05
    assert "the controller's reference of a is" in loop.monitor.current.reason


def test_an_agreeing_reference_does_not_hide_a_blocked_robot() -> None:
    loop = Loop(lambda loop: HOME.copy(), speed=0.3)
    loop.send(loop.chunk(0.3))
    with_reference(loop, 0.0, 2.0)
    assert loop.lost_at == pytest.approx(0.35, abs=0.05) and "does not move" in loop.monitor.current.reason


def test_speed_scaling_is_a_loss_in_motion_and_keeps_from_arming_at_rest() -> None:
    loop = Loop(delay(0.0)).idle(0.1)
    assert loop.monitor.update_speed_scaling(0.5, loop.now).state is FOLLOWS
    assert "speed scaling is 50 %" in loop.monitor.why_not_arm(loop.now).replace("50%", "50 %")
    loop.monitor.update_speed_scaling(1.0, loop.now)
    assert loop.monitor.why_not_arm(loop.now) == ""
    loop.send(loop.chunk(0.3))
    loop.idle(0.2)
    assert loop.monitor.update_speed_scaling(0.5, loop.now).state is LOST
    assert "speed slider" in loop.monitor.why_not_arm(loop.now)
    loop.monitor.update_speed_scaling(0.5, loop.now)
    assert loop.idle(0.02).monitor.current.state is LOST
    assert loop.monitor.why_not_arm(loop.now + 10 * NANOSECONDS) != ""  # still lost, though the scaling is old


def test_nothing_sent_and_nothing_moving_follows() -> None:
    monitor = FollowingMonitor([NAMES])
    assert monitor.update(JointState(NANOSECONDS, NAMES, HOME), ExecutedMotion()) == Following()
    # Ten milliseconds have to pass, and states that were overtaken change nothing.
    assert monitor.update(JointState(NANOSECONDS - 5, NAMES, HOME + 1.0), ExecutedMotion()) == Following()
