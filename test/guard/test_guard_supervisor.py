"""The state machine: armed or not, e-stop, latch, liveness, clock jumps, rivals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from guard_support import HOME, NOW, PANDA, broken_limits, joint_guard, panda_limits, reach

from cosmos_ros.guard import Guard, Response, Violation
from cosmos_ros.guard.supervision.supervisor import Supervisor
from cosmos_ros.guard.supervision.supervisor_states import State, SupervisorSettings, without_numbers
from cosmos_ros.trajectory.splice import motion_at
from cosmos_ros.types import JointState, JointTrajectory

MS = 1_000_000


def at(now: int, positions: np.ndarray = HOME, velocities: np.ndarray | None = None) -> JointState:
    return JointState(now, PANDA, positions, np.zeros(7) if velocities is None else velocities)


def supervisor(**settings: object) -> Supervisor:
    return Supervisor(joint_guard(), SupervisorSettings(**settings))


def ready(**settings: object) -> Supervisor:
    """A supervisor that could be armed at NOW."""
    one = supervisor(**settings)
    one.on_joint_state(at(NOW), NOW)
    one.on_graph({"joint_trajectory": []}, {"joint_trajectory": 1}, NOW)
    return one


def armed(**settings: object) -> Supervisor:
    one = ready(**settings)
    assert one.arm(NOW) == (True, "armed")
    return one


def moving(**settings: object) -> tuple[Supervisor, JointTrajectory, int]:
    """An armed supervisor in the middle of a motion, and the time."""
    one = armed(**settings)
    sent = one.on_candidate(reach(0.4), NOW).send
    assert sent is not None
    now = NOW + 500 * MS
    follow(one, sent, now)
    return one, sent, now


def executing(one: Supervisor) -> JointTrajectory:
    """What was sent last."""
    return one.executed.commands[-1].trajectory


def follow(one: Supervisor, sent: JointTrajectory, now: int) -> None:
    """Joint states as of a robot that does what it was sent, up to a time."""
    begin = sent.stamp_ns if one.measured is None else one.measured.stamp_ns
    for time in [*range(begin + 20 * MS, now, 20 * MS), now]:
        motion = motion_at(sent, time)
        one.on_joint_state(at(time, motion.positions, motion.velocities), time)


def is_stop(stop: JointTrajectory | None, from_: JointTrajectory, now: int) -> bool:
    """A legal stop from where the motion is."""
    assert stop is not None and not broken_limits(stop, panda_limits())
    assert np.allclose(stop.positions[0], motion_at(from_, now).positions, atol=1e-6)
    return not stop.velocities[-1].any()


# -- arming ----------------------------------------------------------------------------------------------------------


def test_starts_disarmed_and_says_what_it_would_send() -> None:
    one = ready()
    assert one.state is State.DISARMED
    output = one.on_candidate(reach(0.2), NOW)
    assert output.send is None and output.would_send is not None and output.verdict.accepted
    assert not one.executed
    assert one.on_candidate(reach(10.0), NOW).would_send is None


def test_armed_it_sends() -> None:
    one = armed()
    output = one.on_candidate(reach(0.2), NOW)
    assert output.send is not None and output.would_send is None
    assert executing(one) is output.send and one.moving(NOW) and not one.moving(NOW + 2_000 * MS)
    assert one.counters.responses["accept"] == 1


def test_arming_is_refused_with_a_reason() -> None:
    assert "looked at" in supervisor().arm(NOW)[1]
    one = supervisor()
    one.on_graph({}, {"joint_trajectory": 1}, NOW)
    assert one.arm(NOW) == (False, "not armed: no joint state yet")
    one.on_joint_state(at(NOW - 300 * MS), NOW)
    assert "0.30 s old" in one.arm(NOW)[1]
    one.on_joint_state(at(NOW + 500 * MS), NOW)
    assert "ahead of this node's clock" in one.arm(NOW)[1]
    one = ready()
    one.on_graph({"joint_trajectory": ["/other"]}, {"joint_trajectory": 1}, NOW)
    assert "/other also publishes on joint_trajectory" in one.arm(NOW)[1]
    one.on_graph({"joint_trajectory": []}, {"joint_trajectory": 0}, NOW)
    assert "no controller listens" in one.arm(NOW)[1]
    assert "dry run" in ready(dry_run=True).arm(NOW)[1]
    one = supervisor()
    one.on_graph({}, {"joint_trajectory": 1}, NOW)
    one.on_joint_state(JointState(NOW + MS, PANDA[:6], HOME[:6], np.zeros(6)), NOW + MS)
    assert "panda_joint7" in one.arm(NOW + MS)[1]
    one = ready()
    one.on_bad_joint_state("joint 'x' is nan", NOW)
    assert "dropped" in one.arm(NOW)[1]
    assert all(x.state is State.DISARMED for x in (one,))


def test_arming_needs_no_listener_when_told_so() -> None:
    one = ready(require_controllers=False)
    one.on_graph({}, {"joint_trajectory": 0}, NOW)
    assert one.arm(NOW)[0]


def test_arming_twice_keeps_what_is_executed() -> None:
    one, sent, now = moving()
    assert one.arm(now)[0] and executing(one) is sent


def test_refusals_for_people_do_not_flicker() -> None:
    one = ready()
    one.tick(NOW + 300 * MS)
    assert without_numbers(one.refusal(NOW + 300 * MS)) == without_numbers(one.refusal(NOW + 400 * MS)) != ""


def test_disarming_brakes() -> None:
    one, sent, now = moving()
    output = one.disarm(now)
    assert is_stop(output.send, sent, now) and one.state is State.DISARMED
    assert one.disarm(now).send is None
    assert one.on_candidate(reach(0.2), now).send is None


# -- rejections and the latch ----------------------------------------------------------------------------------------


def bad(now: int) -> JointTrajectory:
    trajectory = reach(0.1, stamp_ns=now)
    positions = trajectory.positions.copy()
    positions[3, 3] = np.nan
    return replace(trajectory, positions=positions)


def test_a_rejection_brakes() -> None:
    one, sent, now = moving()
    assert is_stop(one.on_candidate(bad(now), now).send, sent, now)
    assert one.state is State.ARMED


def test_or_lets_the_verified_motion_run_to_its_end() -> None:
    one, sent, now = moving(brake_on_reject=False)
    assert one.on_candidate(bad(now), now).send is None and executing(one) is sent


@pytest.mark.parametrize("brake", [True, False])
def test_many_rejections_latch(brake: bool) -> None:
    one, sent, now = moving(latch_after=3, brake_on_reject=brake)
    outputs = [one.on_candidate(bad(now), now) for _ in range(3)]
    assert one.state is State.LATCHED and "latched after 3" in outputs[-1].event
    assert any(output.send is not None for output in outputs)
    assert one.on_candidate(reach(0.0), now).send is None
    assert "reset first" in one.arm(now)[1]
    assert one.reset(now)[0] and one.state is State.DISARMED
    follow(one, sent, now)
    assert one.arm(now)[0]


def test_an_accepted_trajectory_clears_the_count() -> None:
    one = armed(latch_after=3)
    for _ in range(5):
        one.on_candidate(bad(NOW), NOW)
        one.on_candidate(bad(NOW), NOW)
        assert one.on_candidate(reach(0.1), NOW).send is not None
    assert one.state is State.ARMED


def test_latching_can_be_switched_off() -> None:
    one = armed(latch_after=0)
    for _ in range(50):
        one.on_candidate(bad(NOW), NOW)
    assert one.state is State.ARMED


def test_a_message_that_is_no_trajectory() -> None:
    one = armed()
    output = one.on_candidate([Violation("lengths", message="6 values for 7 joints")], NOW, stamp_ns=5)
    assert output.send is None and output.verdict.first.limit == "lengths" and output.verdict.stamp_ns == 5
    assert one.last_verdict is output.verdict


def test_an_older_chunk_is_dropped_without_braking() -> None:
    one, sent, now = moving()
    output = one.on_candidate(reach(0.1, stamp_ns=NOW - 100 * MS), now)
    assert output.send is None and "older than" in output.verdict.summary
    assert executing(one) is sent and one.counters.consecutive_rejects == 0


# -- e-stop ----------------------------------------------------------------------------------------------------------


def test_e_stop_brakes_and_stays_until_released_and_reset() -> None:
    one, sent, now = moving()
    output = one.on_e_stop(True, now)
    assert is_stop(output.send, sent, now) and one.state is State.E_STOP
    assert one.on_e_stop(True, now).send is None
    assert one.on_candidate(reach(0.0), now).send is None
    assert "the e-stop is pressed" in one.arm(now)[1] and not one.reset(now)[0]
    assert "released" in one.on_e_stop(False, now).event
    assert "latched" in one.arm(now)[1]
    assert one.reset(now)[0]
    follow(one, sent, now)
    assert one.arm(now)[0]


def test_e_stop_while_disarmed_and_release_without_press() -> None:
    one = ready()
    assert not one.on_e_stop(False, NOW).event
    assert one.on_e_stop(True, NOW).send is None and one.state is State.E_STOP


def test_resetting_when_armed_does_nothing() -> None:
    one = armed()
    assert one.reset(NOW) == (True, "nothing to reset: armed") and one.state is State.ARMED


# -- liveness --------------------------------------------------------------------------------------------------------


def test_all_is_well_while_the_robot_follows() -> None:
    one, _, now = moving()
    assert one.tick(now).send is None
    assert one.tick(NOW + 5_000 * MS).send is None  # at rest there is nothing to watch


def test_frozen_joint_states_brake() -> None:
    one, sent, now = moving()
    later = now + 210 * MS
    output = one.tick(later)
    assert is_stop(output.send, sent, later) and "joint state is 0.21 s old" in output.event
    assert one.tick(later + 20 * MS).send is None  # once is enough
    assert one.joint_state_problem(later) == "stale"


def test_silence_brakes() -> None:
    one, sent, _ = moving(silence_timeout=0.6)
    later = NOW + 650 * MS
    follow(one, sent, later)
    output = one.tick(later)
    assert is_stop(output.send, sent, later) and "predictor silent" in output.event
    assert one.state is State.ARMED


def test_a_robot_that_does_not_follow_latches() -> None:
    one, sent, now = moving()
    one.on_joint_state(at(now + 50 * MS, motion_at(sent, now + 50 * MS).positions + 0.09), now + 50 * MS)
    output = one.on_joint_state(at(now + 100 * MS, motion_at(sent, now + 100 * MS).positions + 0.17), now + 100 * MS)
    assert output.send is not None and "does not follow" in output.event and one.state is State.LATCHED


def test_a_state_without_some_of_the_joints_is_no_proof() -> None:
    one, sent, now = moving()
    motion = motion_at(sent, now)
    one.on_joint_state(JointState(now, PANDA[:6], motion.positions[:6], motion.velocities[:6]), now)
    assert one.tick(now).send is None


def test_bad_joint_states_are_dropped_and_the_last_good_one_ages() -> None:
    one = ready()
    good = one.measured
    for state in (
        at(NOW + MS, np.full(7, np.nan)),
        at(NOW + MS, HOME, np.full(7, np.inf)),
        JointState(NOW + MS, PANDA, HOME[:6], None),
        JointState(NOW + MS, PANDA, HOME, np.zeros(6)),
    ):
        one.on_joint_state(state, NOW + MS)
        assert one.measured is good and one.joint_state_problem(NOW + MS).startswith("joint state dropped")
    one.on_joint_state(JointState(NOW + 2 * MS, PANDA, HOME, None), NOW + 2 * MS)
    assert one.measured is not good and not one.joint_state_problem(NOW + 2 * MS)
    one.on_joint_state(at(NOW), NOW + 3 * MS)
    assert one.measured.stamp_ns == NOW + 2 * MS  # an older one does not replace it
    assert supervisor().joint_state_problem(NOW) == "none yet"


def test_a_clock_that_jumps_back_brakes_disarms_and_forgets() -> None:
    one, sent, now = moving()
    back = now - 10_000 * MS
    output = one.tick(back)
    assert output.send is not None and "jumped back by 10.00 s" in output.event
    assert one.state is State.DISARMED and one.measured is None
    stop = output.send
    assert stop.stamp_ns == back and not broken_limits(stop, panda_limits())
    assert np.allclose(stop.positions[0], motion_at(sent, now).positions, atol=1e-6)
    assert "clock" in one.reason


def test_a_clock_jump_at_rest_or_disarmed() -> None:
    one = armed()
    assert one.tick(NOW - 10_000 * MS).send is None and one.state is State.DISARMED
    other = ready()
    assert "jumped" in other.on_candidate(reach(0.1), NOW - 10_000 * MS).event
    small = armed()
    assert not small.tick(NOW - 50 * MS).event and small.state is State.ARMED


def test_another_guard_on_the_topic_brakes_and_latches() -> None:
    one, sent, now = moving()
    output = one.on_graph({"joint_trajectory": ["/guard2"]}, {"joint_trajectory": 1}, now)
    assert is_stop(output.send, sent, now) and one.state is State.LATCHED and "/guard2" in output.event
    assert not one.on_graph({"joint_trajectory": ["/guard2"]}, {"joint_trajectory": 1}, now).event


def test_the_uncertainty_reaches_the_guard() -> None:
    one = ready()
    assert one.context(NOW, 0.3).uncertainty == 0.3


def with_clock(clock) -> Supervisor:
    one = Supervisor(joint_guard(), clock=clock)
    one.on_joint_state(at(NOW), NOW)
    one.on_graph({"joint_trajectory": []}, {"joint_trajectory": 1}, NOW)
    assert one.arm(NOW)[0]
    return one


@pytest.mark.parametrize("stamp", [0, NOW, NOW - 10 * MS])
def test_a_motion_from_rest_begins_when_judging_has_ended(stamp: int) -> None:
    done = NOW + 200 * MS
    sent = with_clock(lambda: done).on_candidate(replace(reach(0.4), stamp_ns=stamp), NOW).send
    assert sent is not None and sent.stamp_ns == done and np.array_equal(sent.positions[0], HOME)


def test_what_was_judged_too_late_to_join_a_motion_is_not_sent_and_nothing_is_braked_for_it() -> None:
    now = NOW
    one = with_clock(lambda: now)
    sent = one.on_candidate(reach(0.4), NOW).send
    middle = NOW + 500 * MS
    follow(one, sent, middle)
    there = motion_at(sent, middle)
    stop = JointTrajectory(
        PANDA,
        0,
        np.array([0, 300 * MS]),
        np.stack([there.positions, there.positions + 0.15 * there.velocities]),
        np.stack([there.velocities, np.zeros(7)]),
    )
    now = middle + 31 * MS
    output = one.on_candidate(stop, middle)
    assert output.verdict.response.value == "reject" and "too late to begin" in output.verdict.summary
    assert (output.send, output.would_send) == (None, None) and executing(one) is sent
    assert one.counters.consecutive_rejects == 0
    now = middle + 1 * MS  # judging took its time, but the controller can still begin without a jump
    assert one.on_candidate(stop, middle).send is not None


def test_a_fault_inside_the_guard_rejects_and_brakes(monkeypatch):
    one, sent, now = moving()

    def broken(*_, **__):
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(one.guard, "judge", broken)
    output = one.on_candidate(reach(0.4), now)
    assert output.verdict.first.limit == "internal"
    assert "ZeroDivisionError: a bug" in output.verdict.summary
    assert is_stop(output.send, sent, now)


def test_a_stop_begins_when_judging_has_ended():
    """On a busy machine judging takes long; the arm has moved on by then."""
    now = NOW
    one = Supervisor(joint_guard(), clock=lambda: now)
    one.on_joint_state(at(NOW), NOW)
    one.on_graph({"joint_trajectory": []}, {"joint_trajectory": 1}, NOW)
    assert one.arm(NOW)[0]
    sent = one.on_candidate(reach(0.4), NOW).send
    assert sent is not None
    follow(one, sent, NOW + 500 * MS)
    now = NOW + 650 * MS
    assert is_stop(one.on_candidate(reach(10.0), NOW + 500 * MS).send, sent, now)


def test_a_late_joint_state_does_not_undo_a_finished_stop():
    one, _, now = moving()
    stop = one.on_candidate(reach(10.0), now).send
    assert stop is not None
    seen = motion_at(stop, now + 30 * MS)  # the last that was heard of the arm: still moving
    assert np.abs(seen.velocities).max() > 0.05
    one.on_joint_state(at(now + 30 * MS, seen.positions, seen.velocities), now + 30 * MS)
    after = stop.stamp_ns + int(stop.times_ns[-1]) + 20 * MS
    assert one.on_candidate(reach(10.0), after).send is None
    # Much later such a speed is no echo any more.
    long_after = after + 1000 * MS
    one.on_joint_state(at(long_after, seen.positions, seen.velocities), long_after)
    again = one.on_candidate(reach(10.0), long_after).send
    assert again is not None and np.allclose(again.positions[0], seen.positions)


def test_a_rival_may_get_its_name_later_and_the_reason_of_another_latch_stays():
    one, _, now = moving()
    one.on_graph({"joint_trajectory": ["someone"]}, {"joint_trajectory": 1}, now)
    one.on_graph({"joint_trajectory": ["/guard2"]}, {"joint_trajectory": 1}, now)
    assert one.state is State.LATCHED and one.reason == "/guard2 also publishes on joint_trajectory"
    other = armed(latch_after=1)
    other.on_candidate(reach(10.0), NOW)
    assert other.state is State.LATCHED
    other.on_graph({"joint_trajectory": ["/guard2"]}, {"joint_trajectory": 1}, NOW)
    assert "rejections" in other.reason


def test_armed_again_after_a_clock_jump_while_the_stop_still_runs() -> None:
    one, _, now = moving()
    back = now - 10_000 * MS
    stop = one.tick(back).send
    assert stop is not None and one.moving(back)
    follow(one, stop, back + MS)
    assert one.arm(back + MS)[0]
    assert not one.tick(back + 2 * MS).event  # no candidate was heard yet in the new time


def test_a_joint_state_of_before_the_motion_says_nothing_about_following_it() -> None:
    one = armed()
    assert one.on_candidate(reach(0.4), NOW + 5 * MS).send is not None
    assert not one.tick(NOW + 10 * MS).event


@pytest.mark.parametrize("by", [0.01, 0.05, 0.2])
def test_a_robot_that_was_moved_while_disarmed_is_armed_where_it_is_now(by: float) -> None:
    one, sent, now = moving()
    stop = one.disarm(now).send
    assert stop is not None
    end = stop.stamp_ns + int(stop.times_ns[-1])
    follow(one, stop, end)
    rest = motion_at(stop, end).positions
    for time in range(end + 20 * MS, end + 1_500 * MS, 20 * MS):
        there = rest + min(1.0, (time - end) / (200 * MS)) * by * np.eye(7)[1]
        one.on_joint_state(at(time, there), time)
        one.on_graph({"joint_trajectory": []}, {"joint_trajectory": 1}, time)
        if time == end + 120 * MS and by > 0.04:
            assert "off its last motion" in one.arm(time)[1] and one.state is State.DISARMED
    assert one.arm(time) == (True, "armed")
    for later in range(time + 20 * MS, time + 1_000 * MS, 20 * MS):
        assert one.on_joint_state(at(later, there), later).send is None
    assert one.state is State.ARMED
    output = one.on_candidate(
        JointTrajectory(sent.joint_names, later, np.array([0, 10**9]), np.tile(there, (2, 1))), later
    )
    assert output.send is not None
    if by > 0.02:
        assert np.abs(output.send.positions[0] - there).max() < 1e-9
    else:  # sag
        assert np.abs(output.send.positions[0] - there).max() < 0.011


def test_a_robot_that_is_moved_by_hand_is_not_armed_until_it_rests() -> None:
    one = ready()
    time = NOW
    for time in range(NOW, NOW + 600 * MS, 20 * MS):
        one.on_joint_state(at(time, HOME + 2e-10 * (time - NOW) * np.eye(7)[1]), time)
    assert "moves though nothing was sent" in one.arm(time)[1]
    there = one.measured.positions
    for later in range(time, time + 600 * MS, 20 * MS):
        one.on_joint_state(at(later, there), later)
    assert one.arm(later) == (True, "armed")


# -- heartbeats --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beat", ["e_stop", "heartbeat"])
def test_a_heartbeat_that_stops_brakes_latches_and_refuses_arming(beat: str) -> None:
    one = ready(**{f"{beat}_timeout": 0.3})

    def heard(now: int) -> None:
        one.on_e_stop(False, now) if beat == "e_stop" else one.on_heartbeat(now)

    assert "not heard yet" in one.arm(NOW)[1]
    heard(NOW)
    assert one.arm(NOW) == (True, "armed")
    sent = one.on_candidate(reach(0.4), NOW).send
    assert sent is not None
    now = NOW + 250 * MS
    follow(one, sent, now)
    assert one.tick(now).send is None and one.state is State.ARMED
    heard(now)
    now += 250 * MS
    follow(one, sent, now)
    assert one.tick(now).send is None and one.state is State.ARMED
    now += 60 * MS
    follow(one, sent, now)
    output = one.tick(now)
    assert is_stop(output.send, sent, now) and "silent for 0.31 s" in output.event and one.state is State.LATCHED
    assert one.reset(now)[0] and "silent" in one.arm(now)[1]
    heard(now)
    assert one.arm(now)[0]


def test_no_heartbeat_is_needed_unless_asked_for() -> None:
    one, _, now = moving()
    assert one.tick(now).event == "" and one.state is State.ARMED


def test_an_e_stop_that_cannot_be_heard_refuses_arming() -> None:
    one = ready()
    one.on_graph({"joint_trajectory": []}, {"joint_trajectory": 1}, NOW, ["/panel publishes /e_stop as X"])
    assert one.arm(NOW) == (False, "not armed: /panel publishes /e_stop as X")
    one.on_graph({"joint_trajectory": []}, {"joint_trajectory": 1}, NOW)
    assert one.arm(NOW)[0]


def test_a_velocity_scale_that_is_lowered_in_motion_brakes_once_and_slows_what_comes_next() -> None:
    one, sent, now = moving()
    slow = one.guard.settings.replace(velocity_scale=0.1)
    one.use(Guard(one.guard.robot, slow))
    assert one.tick(now).send is None and one.state is State.ARMED
    stop = one.on_candidate(sent, now).send
    assert is_stop(stop, sent, now) and np.allclose(stop.velocities[0], motion_at(sent, now).velocities, atol=1e-6)
    now = stop.stamp_ns + int(stop.times_ns[-1]) + 500 * MS
    follow(one, stop, now)
    output = one.on_candidate(reach(0.4, start=stop.positions[-1], stamp_ns=now), now)
    assert output.verdict.response is Response.SLOW_DOWN and output.send is not None
    bounds = [0.1 * panda_limits().joints[name].velocity for name in output.send.joint_names]
    assert (np.abs(output.send.velocities) <= np.array(bounds) + 1e-9).all()
