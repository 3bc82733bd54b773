"""Drills in the closed loop: robots that do not do what they are told, and what the guard hears of them.

Right is always: the command has no jump, the arm is within its bounds at every cycle, and where the guard cannot go on
it brakes, says why, and needs a reset before it is armed again.
"""

from __future__ import annotations

import numpy as np
import pytest
from closed_loop import MS, Blocked, Delayed, Lagging, Robot, S, Sagging, World, merged, separate, unmeasured
from dense_checks import faults_of, stream_faults
from hostile_chains import smooth
from loop_controller import Controller
from test_guard_reported import accepted, armed, at_rest, towards

from cosmos_ros.guard.supervision.supervisor_states import State
from cosmos_ros.types import JointState, JointTrajectory

PAN = "shoulder_pan_joint"


PATIENT = 60.0  # for motions longer than the predictor may be silent


def onwards(world: World, joint: str, speed: float, seconds: float = 1.1, *, of: str = "commanded") -> JointTrajectory:
    """Go on at a speed, and come to rest at the end, from what is commanded, measured, or was sent to be now."""
    k = world.column(joint)
    t = np.linspace(0.0, seconds, 17)
    position, velocity, _ = world.commanded()
    if of == "measured" or (of == "sent" and not world.record.sent):
        position, velocity = world.position.copy(), world.velocity.copy()
    elif of == "sent":
        position, velocity = as_sent(world)
    reached = position + speed * seconds * (np.arange(len(position)) == k)
    q, v, _ = smooth(t, position, velocity, reached)
    return JointTrajectory(world.names, world.now, np.round(t * S).astype(np.int64), q, v)


def as_sent(world: World) -> tuple[np.ndarray, np.ndarray]:
    """Where a predictor that trusts its controllers believes the command to be now."""
    sent = world.record.sent[-1][1]
    believed = Controller(sent.joint_names, sent.positions[0], world.now)
    believed.take(sent, world.record.sent[-1][0], sent.positions[0], 0.0 * sent.positions[0])
    believed.advance(1, world.now - world.record.sent[-1][0])
    position, velocity, _ = believed.commanded()
    order = [sent.joint_names.index(name) for name in world.names]
    return position[order], velocity[order]


def following_is_named(world: World) -> bool:
    text = f"{world.supervisor.reason} {world.record.events}".lower()
    return any(word in text for word in ("follow", "progress", "scal", "pause", "controller", "slider"))


# -- controllers that run slower, or not at all ----------------------------------------------------------------------


@pytest.mark.parametrize("keeps_lost_time", [False, True])
@pytest.mark.parametrize(("scaling", "speed"), [(1.0, 0.25), (0.7, 0.25), (0.5, 0.35), (0.3, 0.25), (0.1, 0.1)])
def test_speed_slider_below_full(scaling: float, speed: float, keeps_lost_time: bool) -> None:
    world = armed("ur5e", tick_ns=2 * MS, keeps_lost_time=keeps_lost_time)
    world.scale(scaling)
    for _ in range(12):
        world.candidate(onwards(world, PAN, speed, of="sent"))
        world.run(0.5)
    assert not stream_faults(world, stopped_by_others=True), world.why()
    if scaling < 0.6 and not world.armed:
        assert world.supervisor.state is State.LATCHED and following_is_named(world), world.why()
    if scaling == 1.0:
        assert world.armed and world.commanded()[0, 0] > 0.5, world.why()


def test_pause_of_seconds_in_a_motion() -> None:
    world = armed("ur5e", tick_ns=2 * MS)
    for _ in range(3):
        world.candidate(onwards(world, PAN, 0.4))
        world.run(0.5)
    world.scale(0.0)
    for _ in range(11):
        world.candidate(onwards(world, PAN, 0.4, of="sent"))
        world.run(0.5)
    assert world.supervisor.state is State.LATCHED and following_is_named(world), world.why()
    world.scale(1.0)
    world.run(1.0)
    assert world.recover(), world.why()
    before = world.position.copy()
    for _ in range(3):
        world.candidate(onwards(world, PAN, 0.4))
        world.run(0.5)
    assert world.armed and world.position[0] > before[0] + 0.1, world.why()
    assert not stream_faults(world, stopped_by_others=True), world.why()


def test_controller_that_only_listens() -> None:
    """A subscription (an echo, a recorder, an inactive controller) moves nothing."""
    world = armed("ur5e", silence_timeout=PATIENT)
    for controller in world.controllers:
        controller.deaf = True
    world.candidate(towards(world, 2.0, shoulder_pan_joint=0.5))
    world.run(1.2)
    assert world.supervisor.state is State.LATCHED and following_is_named(world), world.why()
    assert not world.supervisor.arm(world.now)[0]


@pytest.mark.parametrize("embodiment", ["franka_joint", "ur5e"])
def test_arm_at_an_obstacle(embodiment: str) -> None:
    start = World(embodiment).position[0]
    world = armed(embodiment, silence_timeout=PATIENT, robot=Blocked(0, most=start + 0.02))
    world.candidate(towards(world, 2.0, **{world.names[0]: 0.6}))
    world.run(1.6)
    assert world.supervisor.state is State.LATCHED and following_is_named(world), world.why()
    assert world.commanded()[0, 0] - start < 0.3, "stopped long before its end"
    assert at_rest(world), world.why()
    # Where the arm is held is not where its command was: the stop begins where it is measured.
    assert not [fault for fault in faults_of(world) if "bounds" in fault], world.why()


@pytest.mark.parametrize("embodiment", ["franka_joint", "ur5e", "widowx250s", "agibot_g1"])
def test_gripper_at_an_object_stops_nothing(embodiment: str) -> None:
    home = World(embodiment)
    grippers = list(home.embodiment.gripper_joints.values())
    column, opened, closed = home.column(grippers[0].joint), grippers[0].open, grippers[0].closed
    middle = 0.5 * (opened + closed)
    least, most = (middle, np.inf) if opened > closed else (-np.inf, middle)
    world = armed(
        embodiment, silence_timeout=PATIENT, robot=Blocked(column, least, most), start={grippers[0].joint: opened}
    )
    seconds = 2.4 * abs(closed - opened) / home.embodiment.limits.joints[grippers[0].joint].velocity
    assert accepted(world, towards(world, max(seconds, 1.5), **{grippers[0].joint: closed - opened}))
    world.run(max(seconds, 1.5) + 0.5)
    arm = world.names[5]
    for _ in range(4):
        verdict = world.candidate(towards(world, 0.8, **{arm: 0.1})).verdict
        assert verdict is not None and verdict.response.value == "accept", verdict.summary
        world.run(1.0)
    assert world.armed and abs(world.commanded()[0, column] - closed) < 1e-6, world.why()
    assert not faults_of(world)


# -- stops -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["e-stop", "disarm", "silence"])
def test_refused_stop_is_repeated_until_the_robot_rests(way: str) -> None:
    world = armed("ur5e", silence_timeout=1.0 if way == "silence" else PATIENT)
    assert accepted(world, towards(world, 6.0, shoulder_pan_joint=2.0))
    world.run(0.9 if way == "silence" else 1.5)
    for controller in world.controllers:
        controller.deaf = True
    if way == "e-stop":
        world.e_stop()
    elif way == "disarm":
        world.disarm()
    world.run(1.0)
    refused = sum(len(controller.refusals) for controller in world.controllers)
    assert refused >= 4, "asked once only"
    for controller in world.controllers:
        controller.deaf = False
    world.run(1.5)
    assert at_rest(world) and world.position[0] < 1.6, world.why()
    sent = len(world.record.sent)
    world.run(1.0)
    assert len(world.record.sent) == sent, "still repeated although the robot rests"
    # The first stop that is taken begins where the guard knows the arm to be, one joint state ago at most.
    assert not [fault for fault in stream_faults(world) if "step" in fault or "bounds" in fault]


def test_e_stop_after_an_arm_only_chunk_stops_the_gripper() -> None:
    world = armed("franka_joint", silence_timeout=PATIENT)
    assert accepted(world, towards(world, 2.0, panda_joint1=0.2, panda_finger_joint1=-0.04))
    world.run(0.5)
    arm = world.controllers[0].joints
    world.candidate(onwards(world, "panda_joint1", 0.2).select(arm))
    world.run(0.3)
    finger = world.column("panda_finger_joint1")
    assert world.commanded()[1, finger] < -0.01
    world.e_stop()
    world.run(0.3)
    assert at_rest(world) and world.commanded()[0, finger] > 0.005
    world.run(1.0)
    assert not faults_of(world)


def test_e_stop_while_disarmed_does_not_say_that_it_brakes() -> None:
    world = World("ur5e")
    output = world.e_stop()
    assert output.send is None and output.event and "braking" not in output.event
    assert not world.arm()[0]


def test_stop_brakes_what_another_stop_left_moving() -> None:
    """Disarmed in mid-motion, then e-stop at once: still one legal way to rest."""
    world = armed("franka_joint")
    assert accepted(world, towards(world, 1.4, panda_joint1=1.2))
    world.run(0.7)
    world.disarm()
    world.run(0.03)
    world.e_stop()
    world.run(1.0)
    assert at_rest(world) and not faults_of(world)


# -- joint states ----------------------------------------------------------------------------------------------------


def test_joint_state_from_the_future_does_not_blind() -> None:
    world = armed("ur5e", silence_timeout=PATIENT)
    world.run(0.1)
    world.publish([JointState(world.now + 3600 * S, world.names, world.position, world.velocity)])
    world.run(0.1)
    assert accepted(world, towards(world, 3.0, shoulder_pan_joint=0.6)), world.why()
    world.run(1.0)
    assert world.armed and world.commanded()[1, 0] > 0.1, world.why()
    world.frozen = True
    world.run(1.2)
    assert at_rest(world) and "joint state" in str(world.record.events), world.why()
    assert not faults_of(world)


@pytest.mark.parametrize("when", ["while moving", "while joining"])
def test_joint_states_that_freeze(when: str) -> None:
    world = armed("ur5e", silence_timeout=PATIENT)
    assert accepted(world, towards(world, 3.0, shoulder_pan_joint=0.9))
    world.run(1.0)
    world.frozen = True
    if when == "while joining":
        for _ in range(4):
            world.candidate(onwards(world, PAN, 0.4))
            world.run(0.1)
    world.run(1.5)
    assert at_rest(world) and world.commanded()[0, 0] < 0.8, world.why()
    assert not faults_of(world)


def with_zeros(world: World) -> list[JointState]:
    """A second publisher's all-zero state after every real one."""
    zeros = np.zeros(len(world.names))
    return [*merged(world), JointState(world.now + 1, world.names, zeros, zeros)]


def test_zeros_between_joint_states_are_refused() -> None:
    world = World("ur5e", states=with_zeros)
    world.run(0.2)
    ok, why = world.arm()
    assert not ok and why, "armed on states that cannot be"
    world = armed("ur5e", silence_timeout=PATIENT)
    world.run(0.1)
    world.states = with_zeros
    for _ in range(3):
        world.candidate(towards(world, 1.0, shoulder_pan_joint=0.1))
        world.run(0.5)
    assert world.supervisor.joint_state_problem(world.now) or not world.armed, world.why()
    assert not faults_of(world), world.why()
    measured = world.supervisor.measured
    assert measured is not None and abs(measured.position_of("elbow_joint")) > 1.0


def test_separate_messages_of_arm_and_gripper() -> None:
    world = armed("franka_joint", states=separate)
    for number in range(100):
        verdict = world.candidate(onwards(world, "panda_joint1", 0.1 * (-1) ** (number // 10))).verdict
        assert verdict is not None and verdict.response.value == "accept", (number, verdict.summary)
        world.run(0.1)
    assert world.armed and not faults_of(world)


def test_joint_that_is_never_measured_is_named() -> None:
    world = World("franka_joint", states=lambda w: separate(w)[:1])
    ok, why = world.arm()
    verdict = world.candidate(towards(world, 1.0, panda_joint1=0.1)).verdict
    assert verdict is not None and not verdict.accepted
    assert "panda_finger_joint1" in verdict.summary and (ok or "panda_finger_joint1" in why)


def test_velocity_that_is_not_measured() -> None:
    world = World("franka_joint")
    world.states = unmeasured("panda_finger_joint1", "panda_joint7")
    assert world.arm() == (True, "armed")
    assert accepted(world, towards(world, 1.5, panda_joint1=0.3))
    world.run(0.7)
    assert accepted(world, onwards(world, "panda_joint1", 0.2)), world.why()
    world.run(0.9)
    assert world.armed and not faults_of(world)


def wrapping(world: World) -> list[JointState]:
    """A driver that gives a continuous joint in [-π, π)."""
    (state,) = merged(world)
    positions = state.positions.copy()
    k = world.column("wrist_3_joint")
    positions[k] = np.mod(positions[k] + np.pi, 2 * np.pi) - np.pi
    return [JointState(state.stamp_ns, state.names, positions, state.velocities)]


def test_continuous_joint_that_wraps_in_mid_motion() -> None:
    world = armed("ur3e", silence_timeout=PATIENT, start={"wrist_3_joint": 2.9}, states=wrapping)
    assert accepted(world, towards(world, 2.0, wrist_3_joint=0.8))
    world.run(1.2)
    assert accepted(world, onwards(world, "wrist_3_joint", 0.2)), world.why()
    world.run(1.5)
    verdict = world.candidate(onwards(world, "wrist_3_joint", 0.2, of="measured")).verdict
    assert verdict is not None and verdict.response.value == "accept", verdict.summary
    world.run(1.5)
    wrapped = world.stream()[1]
    assert world.armed and np.abs(np.diff(wrapped[:, world.column("wrist_3_joint")])).max() < 0.01, world.why()
    assert not faults_of(world)


# -- robots that are not where they were told to be ------------------------------------------------------------------


@pytest.mark.parametrize("sag", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("of", ["measured", "commanded"])
def test_arm_that_rests_off_its_command_goes_on(sag: float, of: str) -> None:
    offsets = np.zeros(7)
    offsets[1] = -sag
    world = armed("ur5e", silence_timeout=PATIENT, robot=Sagging(offsets))
    assert accepted(world, towards(world, 2.0, shoulder_pan_joint=0.8))
    world.run(3.0)
    assert abs(world.position[1] - world.commanded()[0, 1]) == pytest.approx(sag, abs=1e-9)
    moved = 0
    for _ in range(4):
        output = world.candidate(onwards(world, PAN, 0.2, of=of))
        moved += output.send is not None and output.verdict is not None and output.verdict.trajectory is not None
        world.run(1.5)
    assert moved == 4 and world.armed and world.position[0] > 0.5, world.why()
    assert not faults_of(world), world.why()


@pytest.mark.parametrize("lag", [0.02, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("kind", [Delayed, Lagging])
def test_constant_lag_rejects_nothing(kind: type, lag: float) -> None:
    world = armed("ur5e", robot=kind(min(lag, 0.1) if kind is Lagging else lag))
    for _ in range(10):
        verdict = world.candidate(onwards(world, PAN, 0.3)).verdict
        assert verdict is not None and verdict.response.value == "accept", verdict.summary
        world.run(0.5)
    assert world.armed and world.position[0] > 1.0 and not faults_of(world), world.why()


class Pushed(Robot):
    """A rival moves it by the controller's action: nothing was commanded."""

    def __init__(self) -> None:
        self.rate, self._moved = 0.0, 0.0

    def follow(self, commands: np.ndarray, tick: float) -> np.ndarray:
        moved = self._moved + self.rate * tick * np.arange(1, len(commands) + 1)
        self._moved = float(moved[-1])
        return commands + moved[:, None] * (np.arange(commands.shape[1]) == 0)


@pytest.mark.parametrize("before", ["at rest after a motion", "in a motion"])
def test_motion_that_nobody_commanded_is_noticed(before: str) -> None:
    robot = Pushed()
    world = armed("ur5e", silence_timeout=PATIENT, robot=robot)
    assert accepted(world, towards(world, 1.5 if before.startswith("at") else 6.0, shoulder_lift_joint=0.2))
    world.run(2.0 if before.startswith("at") else 0.5)
    assert world.armed and not world.record.events, world.why()
    robot.rate = 0.4
    world.run(0.9)
    assert world.record.events or not world.armed, "0.36 rad moved by somebody else, and no word"


# -- clocks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [5.0, -5.0, 3600.0])
@pytest.mark.parametrize("moving", [True, False])
def test_clock_jumps_are_events(seconds: float, moving: bool) -> None:
    world = armed("ur5e", silence_timeout=PATIENT)
    if moving:
        assert accepted(world, towards(world, 3.0, shoulder_pan_joint=0.9))
    world.run(1.0)
    world.jump(seconds)
    world.run(1.5)
    assert any("clock" in event for _, event in world.record.events), world.why()
    assert at_rest(world) and world.commanded()[0, 0] < 0.7
    assert not faults_of(world), world.why()
    assert world.recover() or world.armed, world.why()


def test_controller_whose_clock_has_lost_time_is_not_moved_backward() -> None:
    """UR's older scaled controller: below 100 % its own clock falls behind for good."""
    world = armed("ur5e", tick_ns=2 * MS, keeps_lost_time=True)
    world.scale(0.5)
    world.run(3.0)  # at rest: nothing to notice
    world.scale(1.0)
    for _ in range(4):
        world.candidate(onwards(world, PAN, 0.3))
        world.run(0.5)
    world.run(1.0)
    moved = np.diff(world.stream()[1][:, 0])
    assert world.armed and world.position[0] > 0.5, world.why()
    assert moved.min() > -1e-9, f"backward by {moved.min():.4f} rad in a cycle"
    assert not stream_faults(world), world.why()
