"""The guard as a process over DDS: armed and disarmed, and what happens when things around it fail."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")

from guard_support import PANDA, broken_limits, panda_limits
from live_arm import FINGER, NAMES, START, Arm, cell, start_guard
from machine import Deadline
from trajectory_msgs.msg import JointTrajectory as JointTrajectoryMessage
from trajectory_msgs.msg import JointTrajectoryPoint

from cosmos_ros.bringup.domain import private_domain, private_environment
from cosmos_ros.bringup.processes import child_environment
from cosmos_ros.limits import JointLimit
from cosmos_ros.messages import joint_trajectory_message, stamp_message
from cosmos_ros.trajectory.splice import motion_at
from cosmos_ros.types import JointState, JointTrajectory

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
ONE = np.eye(7)
# Wrong parameter → what is said of it.
WRONG = {"max_state_age:=-1.0": "0.01", "embodiment:=toaster": "toaster", "embodiment:=umi": "no controllers"}

LIMITS = panda_limits()
LIMITS = replace(LIMITS, joints={**LIMITS.joints, FINGER: JointLimit(0.0, 0.04, 0.2)})


@pytest.fixture(scope="module")
def shared() -> Iterator[Arm]:
    with cell(silence_timeout=30.0, tracking_tolerance=0.3) as (arm, _, _):
        yield arm


@pytest.fixture
def arm(shared: Arm) -> Iterator[Arm]:
    """The shared arm at home, its guard disarmed and idle."""
    assert shared.clock is not None
    shared.clock.follow_machine()
    shared.e_stop(False)
    shared.watcher.call("guard/disarm")
    shared.watcher.call("guard/reset")
    shared.home()
    until_accepted(shared, 0.0)  # until the guard has heard of it
    shared.received.clear()
    shared.watcher.messages.clear()
    yield shared
    check_what_was_sent(shared)


def check_what_was_sent(arm: Arm) -> None:
    """Everything the controllers were sent: accepted, inside all limits, without a jump, ending at rest.

    On a machine so busy that a message takes longer than what is sent lasts, nothing can be said about the rest.
    """
    assert not [reason for late, reason in arm.refused if late < 0.4]
    before = None
    for when, trajectory in arm.received:
        assert not broken_limits(trajectory, LIMITS)
        assert not trajectory.velocities[-1].any()
        late = max(when - trajectory.stamp_ns, 0) * 1e-9
        if before is not None and late < 0.05:
            # A controller that gets it late cuts in where it has already begun to brake or to speed up.
            was, is_ = motion_at(before, when), motion_at(trajectory, when)
            assert np.abs(was.positions - is_.positions).max() < 0.03 + late
            assert np.abs(was.velocities - is_.velocities).max() < 0.1 + 20.0 * late
        before = trajectory


def armed(arm: Arm) -> None:
    """Arm the guard; asks until what it waits for (states, listeners) is there."""
    arm.watcher.call_until_success("guard/arm")


def verdicts(arm: Arm) -> list[dict[str, Any]]:
    return [json.loads(m.data) for m in list(arm.watcher.messages["guard/verdict_json"])]


def verdict(arm: Arm, count: int = 1) -> dict[str, Any]:
    arm.watcher.wait(lambda: len(arm.watcher.messages["guard/verdict_json"]) >= count, f"{count} verdicts")
    return verdicts(arm)[count - 1]


def judged(arm: Arm, candidate: JointTrajectory | JointTrajectoryMessage) -> dict[str, Any]:
    """Propose a candidate; return the verdict on it, once the arm has what was sent. Meanwhile no time passes."""
    count, sent = len(verdicts(arm)), len(arm.received)
    with arm.time_stops():
        (arm.propose if isinstance(candidate, JointTrajectory) else arm.propose_message)(candidate)
        said = verdict(arm, count + 1)
        if said["published_ns"] is not None:
            arm.watcher.wait(lambda: len(arm.received) > sent, "what was sent")
    return said


def until_accepted(arm: Arm, delta: float, **kind: float) -> None:
    """Propose a motion again until one is accepted: once the guard has heard that the arm has come to rest."""
    deadline = Deadline(30.0)
    while (said := judged(arm, arm.chunk(delta, **kind)))["response"] != "accept":
        assert not deadline.passed(), said["summary"]
        at_rest(arm)


def set_in_motion(arm: Arm, delta: float = 0.2, duration: float = 3.0, lead: float = 0.1) -> None:
    """Propose a motion until the arm runs it."""
    arm.received.clear()
    until_accepted(arm, delta, duration=duration, lead=lead)
    arm.watcher.wait(arm.moving, "motion")


def at_rest(arm: Arm) -> None:
    arm.watcher.wait(arm.resting, "the arm at rest")


# -- the shared guard ------------------------------------------------------------------------------------------------


def test_disarmed_it_says_what_it_would_send(arm: Arm) -> None:
    said = judged(arm, arm.chunk(0.1))
    assert said["response"] == "accept" and not said["armed"] and said["state"] == "disarmed"
    arm.watcher.wait(lambda: arm.watcher.messages["guard/would_send"], "would_send")
    assert list(arm.watcher.messages["guard/would_send"][0].joint_names) == list(NAMES)
    assert not arm.received
    arm.watcher.wait_diagnostic("guard: state", "disarmed")
    arm.watcher.wait_diagnostic("guard: verdict", "accept")


def test_armed_it_moves_the_arm(arm: Arm) -> None:
    armed(arm)
    arm.watcher.wait_diagnostic("guard: state", "armed")
    target = arm.chunk(0.15)
    assert judged(arm, target)["armed"]
    arm.watcher.wait(lambda: arm.received and arm.moving(), "motion")
    at_rest(arm)
    assert np.allclose(arm.state(arm.now()).positions, target.positions[-1], atol=1e-6)


def test_too_fast_is_slowed_and_too_far_is_refused_or_cut(arm: Arm) -> None:
    armed(arm)
    said = judged(arm, arm.chunk(ONE[0] * 0.6, duration=0.4))
    assert said["response"] == "slow_down" and said["time_scale"] > 1.0 and said["violations"]
    at_rest(arm)
    assert judged(arm, arm.chunk(ONE[3] * 2.6, duration=2.0))["response"] in ("truncate", "reject")
    at_rest(arm)
    arm.watcher.wait_diagnostic("guard: verdict", verdicts(arm)[1]["response"])


def test_a_rejected_candidate_brakes_the_motion(arm: Arm) -> None:
    armed(arm)
    set_in_motion(arm)
    bad = arm.chunk(0.0)
    positions = bad.positions.copy()
    positions[2, 1] = np.nan
    message = joint_trajectory_message(bad)
    message.points[2].positions[1] = float("nan")
    said = judged(arm, message)
    assert said["violations"][0]["limit"] == "nonfinite" and said["violations"][0]["joint"] == "panda_joint2"
    at_rest(arm)
    assert len(arm.received) >= 2
    assert arm.received[1][1].times_ns[-1] < 2_000_000_000


@pytest.mark.parametrize(
    "spoil",
    ["empty", "short", "unknown", "mixed", "backwards", "ragged velocities", "old", "far"],
)
def test_malformed_candidates_are_named_and_the_node_lives(arm: Arm, spoil: str) -> None:
    armed(arm)
    message = joint_trajectory_message(arm.chunk(0.1))
    expected = {
        "empty": "structure", "short": "lengths", "unknown": "joint_names", "mixed": "structure",
        "backwards": "timing", "ragged velocities": "lengths", "old": "stamp", "far": "stamp",
    }[spoil]  # fmt: skip
    if spoil == "empty":
        message.points = []
    elif spoil == "short":
        message.points[3].positions = [0.0] * 7
    elif spoil == "unknown":
        message.joint_names = ["elbow", *NAMES[1:]]
    elif spoil == "mixed":
        message.points[5].velocities = []
    elif spoil == "backwards":
        message.points[5].time_from_start = message.points[3].time_from_start
    elif spoil == "ragged velocities":
        message.points[4].velocities = [0.0] * 9
    elif spoil == "old":
        message.header.stamp.sec -= 100
    else:
        message.header.stamp.sec += 100
    assert judged(arm, message)["violations"][0]["limit"] == expected
    assert judged(arm, arm.chunk(0.05))["response"] == "accept"
    at_rest(arm)


def test_without_the_gripper_and_with_a_name_missing(arm: Arm) -> None:
    armed(arm)
    whole = joint_trajectory_message(arm.chunk(0.05))
    whole.joint_names = list(PANDA)
    whole.points = [
        JointTrajectoryPoint(
            positions=list(p.positions)[:7], velocities=list(p.velocities)[:7], time_from_start=p.time_from_start
        )
        for p in whole.points
    ]
    assert judged(arm, whole)["response"] == "accept"
    at_rest(arm)
    whole.joint_names = list(PANDA[:6])
    assert judged(arm, whole)["violations"][0]["joint"] == "panda_joint7"


def test_joint_states_that_are_not_numbers_are_dropped(arm: Arm) -> None:
    def spoiled(state: JointState) -> JointState:
        positions = state.positions.copy()
        positions[2] = np.nan
        return replace(state, positions=positions)

    armed(arm)
    set_in_motion(arm)
    arm.spoil = spoiled
    arm.watcher.wait_diagnostic("guard: joint states", "panda_joint3")
    at_rest(arm)  # the last good one grew old: braked
    assert len(arm.received) >= 2 and arm.received[1][1].times_ns[-1] < 2_000_000_000
    refused = arm.watcher.call("guard/arm")
    assert refused.success or "dropped" in refused.message
    arm.spoil = None
    arm.watcher.wait_diagnostic("guard: joint states", "fresh")
    until_accepted(arm, 0.05)
    at_rest(arm)


def test_frozen_joint_states_brake_and_arming_is_refused(arm: Arm) -> None:
    armed(arm)
    set_in_motion(arm)
    arm.frozen = True
    arm.watcher.wait_diagnostic("guard: event", "braking")
    at_rest(arm)
    assert arm.received[-1][1].times_ns[-1] < 2_000_000_000
    arm.watcher.call("guard/disarm")
    assert "old" in arm.watcher.call("guard/arm").message
    arm.watcher.wait_diagnostic("guard: joint states", "stale")


def test_topics_that_come_late(arm: Arm) -> None:
    armed(arm)
    arm.delay_ns = 120_000_000  # late, but within the gate
    set_in_motion(arm, duration=1.0)
    at_rest(arm)
    for late in (0.02, 0.1, 0.3, 0.45, 0.8):  # candidates that were long on their way
        chunk = arm.chunk(0.2, lead=0.04)
        said = judged(arm, replace(chunk, stamp_ns=chunk.stamp_ns - round(late * 1e9)))
        assert late < 0.5 or said["response"] == "reject"
        at_rest(arm)
    arm.watcher.call("guard/reset")
    armed(arm)
    arm.delay_ns = 0
    set_in_motion(arm, -0.2)
    arm.delay_ns = 600_000_000  # beyond the gate
    arm.watcher.wait_diagnostic("guard: event", "joint state is")
    at_rest(arm)


def test_a_frozen_camera_brakes_once_it_was_heard() -> None:
    with cell() as (arm, _, _):
        arm.watcher.wait_diagnostic("guard: cameras", "not watched")
        arm.filming = True
        arm.watcher.wait_diagnostic("guard: cameras", "exterior")  # only the others are not
        armed(arm)
        set_in_motion(arm)
        arm.filming = False
        arm.watcher.wait_diagnostic("guard: event", "camera wrist too old")
        at_rest(arm)
        assert arm.received[-1][1].times_ns[-1] < 2_000_000_000
        arm.watcher.wait_diagnostic("guard: cameras", "camera wrist too old")
        assert judged(arm, arm.chunk(0.05))["violations"][0]["limit"] == "stale_camera"
        check_what_was_sent(arm)


def test_e_stop(arm: Arm) -> None:
    armed(arm)
    set_in_motion(arm)
    arm.e_stop(True)
    arm.watcher.wait_diagnostic("guard: state", "e-stop")
    at_rest(arm)
    assert judged(arm, arm.chunk(0.05))["state"] == "e-stop"
    assert not arm.watcher.call("guard/reset").success
    assert not arm.watcher.call("guard/arm").success
    arm.e_stop(False)
    arm.watcher.wait_diagnostic("guard: state", "released")
    assert arm.watcher.call("guard/reset").success
    armed(arm)
    assert judged(arm, arm.chunk(0.05))["response"] == "accept"
    at_rest(arm)


def test_a_flood_of_candidates_and_states(arm: Arm) -> None:
    """1 kHz of joint states and of candidates, good and bad: it answers, nothing breaks, the arm comes to rest."""
    armed(arm)
    rng = np.random.default_rng(0)
    proposals = [
        joint_trajectory_message(arm.chunk(rng.normal(0.0, size, 7), duration=0.8))
        for size in (0.02, 0.1, 2.0, 30.0) * 5
    ]
    began = arm.now()
    sent = 0
    while sent < 1500:
        if sent <= 1e-6 * (arm.now() - began):
            arm.publish_state(arm.now())
            message = proposals[sent % len(proposals)]
            message.header.stamp = stamp_message(arm.now() + 40_000_000)
            arm.propose_message(message)
            sent += 1
        else:
            time.sleep(0.0002)  # paces the flood; nothing is waited for
    arm.watcher.wait(lambda: len(verdicts(arm)) > 5, "verdicts")
    at_rest(arm)
    state = arm.watcher.call("guard/reset")
    assert state.message  # it still answers
    assert {v["response"] for v in verdicts(arm)} - {"accept"}


def test_two_candidates_join_without_a_jump(arm: Arm) -> None:
    """A new chunk arrives while the last is executed, spliced to lie on it."""
    from cosmos_ros.trajectory.splice import splice

    armed(arm)
    set_in_motion(arm, duration=2.0)
    join = arm.now() + 200_000_000
    going = arm.state(join)
    fresh = replace(arm.chunk(-0.1, duration=2.0), stamp_ns=join)
    at = motion_at(arm.received[0][1], join)
    joined = splice(
        fresh, replace(at, joint_names=NAMES, positions=np.append(at.positions, START[-1]),
                       velocities=np.append(at.velocities, 0.0), accelerations=np.append(at.accelerations, 0.0)),
        join, 400_000_000)  # fmt: skip
    assert going.positions.shape == (8,) and joined is not None
    said = judged(arm, joined.trajectory)
    assert said["response"] in ("accept", "slow_down"), said["summary"]
    arm.watcher.wait(lambda: len(arm.received) == 2, "the second trajectory")
    at_rest(arm)


# -- processes that end, start and travel in time --------------------------------------------------------------------


def test_killed_guard_leaves_an_arm_that_comes_to_rest_inside_its_limits() -> None:
    # On the system's time, so with gates that no other work beside it reaches.
    gates = {"max_state_age": 10.0, "silence_timeout": 60.0, "tracking_tolerance": 3.0}
    with cell(system_time=True, **gates) as (arm, group, _):
        armed(arm)
        set_in_motion(arm, 0.3, 1.0, lead=0.3)
        group.kill("guard")
        at_rest(arm)
        check_what_was_sent(arm)
        assert len(arm.received) == 1


def test_a_silent_predictor_and_two_guards() -> None:
    with cell(silence_timeout=0.4) as (arm, group, environment):
        armed(arm)
        assert judged(arm, arm.chunk(0.3, duration=3.0))["response"] == "accept"
        arm.watcher.wait_diagnostic("guard: event", "predictor silent")
        at_rest(arm)
        assert len(arm.received) >= 2
        start_guard(group, environment, "second", remap=("action_trajectory:=nothing",))
        arm.watcher.wait_diagnostic("guard: state", "second also publishes on")
        arm.watcher.wait_diagnostic("second: state", "guard also publishes on")
        assert "also publishes" in arm.watcher.call("second/arm").message
        assert "latched" in arm.watcher.call("guard/arm").message
        group.kill("second")
        check_what_was_sent(arm)


def test_a_clock_that_jumps_back() -> None:
    with cell() as (arm, _, _):
        assert arm.clock is not None
        armed(arm)
        set_in_motion(arm, 0.3)
        before = len(arm.received)
        arm.clock.jump(-1000 * 10**9)
        arm.watcher.wait_diagnostic("guard: state", "disarmed")
        arm.watcher.wait_diagnostic("guard: event", "jumped back")
        arm.watcher.wait(lambda: len(arm.received) > before, "a braking trajectory in the new time")
        stop = arm.received[-1][1]
        assert not broken_limits(stop, LIMITS) and not stop.velocities[-1].any()
        at_rest(arm)


def test_dry_run_cannot_be_armed_and_ends_cleanly() -> None:
    with cell(dry_run=True) as (arm, group, _):
        arm.watcher.wait_diagnostic("guard: state", "disarmed")
        assert "dry run" in arm.watcher.call("guard/arm").message
        os.kill(group.pid("guard"), signal.SIGINT)
        arm.watcher.wait(group.ended, "the end of the guard")
        assert group.ended() == {"guard": 0}


@pytest.fixture(scope="module")
def with_wrong_parameters() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """A guard with each wrong parameter, started side by side."""
    with private_domain() as domain, contextlib.ExitStack() as stack:
        yield {
            parameter: stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "cosmos_ros.nodes.guard_node", "--ros-args", "-p", parameter],
                    env=child_environment(private_environment(domain)), stderr=subprocess.PIPE, text=True,
                )
            )
            for parameter in WRONG
        }  # fmt: skip


@pytest.mark.parametrize("parameter", WRONG)
def test_wrong_parameters_are_refused_in_one_line(with_wrong_parameters, parameter: str) -> None:
    guard = with_wrong_parameters[parameter]
    _, error = guard.communicate()
    assert guard.returncode == 2
    assert WRONG[parameter] in error and "Traceback" not in error
