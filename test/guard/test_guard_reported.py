"""Faults of the guard that were reported, each with the value that is right; all with the node's default settings."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from body_checks import body_faults, body_of
from closed_loop import MS, S, World, embodiment_of, guard_of
from dense_checks import faults_of, stream_faults
from hostile_chains import EMBODIMENTS, chunk, smooth

from cosmos_ros.guard.supervision.supervisor import Supervisor
from cosmos_ros.types import JointState, JointTrajectory

BUDGET = 0.05  # CPU seconds that a judgement may take


def armed(embodiment: str, **options: object) -> World:
    world = World(embodiment, **options)
    world.run(0.1)  # every driver has published
    ok, why = world.arm()
    assert ok, why
    return world


def path(world: World, times: list[float], positions: list[np.ndarray], *, velocities: bool = True) -> JointTrajectory:
    q = np.array(positions)
    return JointTrajectory(
        world.names,
        world.now,
        np.round(np.array(times) * S).astype(np.int64),
        q,
        np.zeros_like(q) if velocities else None,
    )


def towards(world: World, seconds: float, points: int = 30, **deltas: float) -> JointTrajectory:
    """A quintic from where the robot is commanded to be, at rest, by some radians or metres a joint."""
    x = np.linspace(0.0, 1.0, points)[:, None]
    d = np.array([deltas.get(name, 0.0) for name in world.names])
    q = world.commanded()[0] + (10 * x**3 - 15 * x**4 + 6 * x**5) * d
    v = (30 * x**2 - 60 * x**3 + 30 * x**4) * d / seconds
    return JointTrajectory(world.names, world.now, np.round(x[:, 0] * seconds * S).astype(np.int64), q, v)


def accepted(world: World, trajectory: JointTrajectory) -> bool:
    verdict = world.candidate(trajectory).verdict
    assert verdict is not None
    return verdict.response.value == "accept"


def at_rest(world: World) -> bool:
    q = world.stream()[1]
    return bool(np.abs(q[-1] - q[-20]).max() < 1e-9)


# -- starts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("embodiment", "joint", "side"),
    [
        ("franka_joint", "panda_joint1", "upper"),
        ("franka_joint", "panda_finger_joint1", "upper"),
        ("franka_fr3", "fr3_joint4", "lower"),
        ("agibot_g1", "idx06_left_arm_joint2", "upper"),
        ("widowx250s", "left_finger", "lower"),
    ],
)
def test_many_small_steps_do_not_leave_a_bound(embodiment: str, joint: str, side: str) -> None:
    bound = getattr(embodiment_of(embodiment).limits.joints[joint], side)
    out = 1.0 if side == "upper" else -1.0
    world = armed(embodiment, start={joint: bound - out * 0.001})
    for _ in range(15):
        q = world.commanded()[0]
        q[world.column(joint)] += out * 0.0199
        world.candidate(path(world, [0.0, 0.6], [q, q]))
        world.run(0.65)
    assert (out * (world.stream()[1][:, world.column(joint)] - bound)).max() <= 2e-6
    assert not faults_of(world)


def test_many_small_steps_do_not_end_in_the_arm_itself() -> None:
    world = armed("franka_joint", start={"panda_joint4": -2.9, "panda_joint6": 0.6})
    body, margin = body_of("franka_joint"), 0.01
    for _ in range(25):
        q = world.commanded()[0]
        tries = [q + 0.0199 * sign * np.eye(len(q))[j] for j in range(7) for sign in (1.0, -1.0)]
        nearest = body.distances(world.names, np.array(tries)).min(axis=1)
        q = q + 0.0199 * np.sign(tries[int(nearest.argmin())] - q)
        world.candidate(path(world, [0.0, 0.6], [q, q]))
        world.run(0.65)
    assert not body_faults(world, margin) and not faults_of(world)


@pytest.mark.parametrize(
    ("embodiment", "joint", "start", "goal"),
    [
        ("franka_joint", "panda_finger_joint1", 0.04001, -0.039),
        ("franka_joint", "panda_joint5", 2.8973 + 2e-6, -0.2),
        ("franka_joint", "panda_joint5", 2.8973 + 2e-6, -3.2),
        ("agibot_g1", "idx06_left_arm_joint2", 1.4801, -2.39),
    ],
)
def test_a_joint_a_little_outside_comes_in_only(embodiment: str, joint: str, start: float, goal: float) -> None:
    world = armed(embodiment, start={joint: start})
    q = world.commanded()[0]
    end = q.copy()
    end[world.column(joint)] = goal
    for velocities in (True, False):
        world.candidate(path(world, [0.0, 1.9], [q, end], velocities=velocities))
        world.run(2.5)
        assert not faults_of(world)


@pytest.mark.parametrize("embodiment", EMBODIMENTS)
@pytest.mark.parametrize("velocities", [True, False])
def test_a_series_of_small_steps_is_no_fast_motion(embodiment: str, velocities: bool) -> None:
    world = armed(embodiment)
    for _ in range(30):
        q = world.commanded()[0]
        q[world.column(world.names[5])] += 0.0195
        world.candidate(path(world, [0.0, 0.6], [q, q], velocities=velocities))
        world.run(0.004)
    world.run(1.0)
    assert not faults_of(world), world.why()


# -- positions without velocities ------------------------------------------------------------------------------------


@pytest.mark.parametrize("lead", [0.0, 0.001, 0.02])
def test_one_position_in_the_middle_of_a_motion_is_no_dead_stop(lead: float) -> None:
    world = armed("franka_joint")
    assert accepted(world, towards(world, 1.4, panda_joint1=1.2))
    world.run(0.7)
    assert world.commanded()[1, 0] == pytest.approx(1.607, abs=0.01)
    world.candidate(path(world, [lead], [world.commanded()[0]], velocities=False))
    world.run(1.5)
    assert at_rest(world) and not faults_of(world)


@pytest.mark.parametrize(("embodiment", "speed"), [("ur5e", 0.25), ("franka_joint", 0.4)])
def test_the_second_half_of_a_polyline_continues_it(embodiment: str, speed: float) -> None:
    """At what the arms can begin with from rest, in segments of 0.2 s; a Panda bounds steps of acceleration."""
    world = armed(embodiment)
    steps = np.arange(11)[:, None]
    line = world.commanded()[0] + speed * 0.2 * steps * (np.arange(len(world.names)) == 0)
    assert accepted(world, path(world, list(0.2 * steps[:, 0]), list(line), velocities=False))
    world.run(1.0)
    assert accepted(world, path(world, list(0.2 * steps[:6, 0]), list(line[5:]), velocities=False))
    world.run(1.5)
    assert world.commanded()[0, 0] == pytest.approx(line[-1, 0], abs=1e-6) and not faults_of(world)


# -- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("velocities", [True, False])
@pytest.mark.parametrize("time_ns", [1, 1000])
def test_one_point_at_a_nanosecond_is_refused_by_its_structure(time_ns: int, velocities: bool) -> None:
    world = armed("franka_joint")
    trajectory = path(
        world, [time_ns / S], [world.position + 0.01 * (np.arange(len(world.names)) == 0)], velocities=velocities
    )
    verdict = world.candidate(trajectory).verdict
    assert verdict is not None and verdict.response.value == "reject"
    assert verdict.violations[0].limit in ("structure", "timing", "time_step"), verdict.summary


def test_what_began_in_the_past_is_cut_and_the_rest_is_judged() -> None:
    for ago in (0.021, 0.1, 0.4):
        world = armed("ur5e", silence_timeout=60.0)
        q = world.commanded()[0]
        late = path(world, [0.0, 2.0], [q, q + 0.05 * (np.arange(len(q)) == 0)])
        late = JointTrajectory(
            late.joint_names, world.now - round(ago * S), late.times_ns, late.positions, late.velocities
        )
        output = world.candidate(late)
        assert output.send is not None, output.verdict
        world.run(2.5)
        assert world.commanded()[0, 0] == pytest.approx(0.05, abs=1e-6) and not faults_of(world)


@pytest.mark.parametrize(("start", "end"), [(-1.0, -0.5), (-0.51, -0.01)])
def test_what_is_over_is_refused(start: float, end: float) -> None:
    world = armed("ur5e")
    q = world.commanded()[0]
    over = path(world, [0.0, end - start], [q, q + 0.05])
    over = JointTrajectory(
        over.joint_names, world.now + round(start * S), over.times_ns, over.positions, over.velocities
    )
    output = world.candidate(over)
    assert output.verdict is not None and output.send is None
    assert [v.limit for v in output.verdict.violations] == ["stamp"]


@pytest.mark.parametrize(("time", "delta"), [(0.0, 0.0), (0.0, 0.1), (0.5, 0.05), (0.02, 0.1)])
@pytest.mark.parametrize("stamp", ["now", "zero"])
def test_single_points_are_reached_legally_or_refused(time: float, delta: float, stamp: str) -> None:
    world = armed("ur5e")
    point = path(world, [time], [world.commanded()[0] + delta * (np.arange(len(world.names)) == 0)])
    if stamp == "zero":
        point = JointTrajectory(point.joint_names, 0, point.times_ns, point.positions, point.velocities)
    output = world.candidate(point)
    world.run(1.5)
    assert not faults_of(world) and at_rest(world)
    if (time, delta) == (0.5, 0.05):
        assert output.send is not None and world.commanded()[0, 0] == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("judging", [0.03, 0.2])
@pytest.mark.parametrize("stamp", ["zero", "now"])
def test_what_was_judged_late_starts_where_the_robot_is_by_then(stamp: str, judging: float) -> None:
    world = armed("ur5e")
    assert accepted(world, towards(world, 3.0, shoulder_pan_joint=1.2))
    world.run(1.0)
    t = np.linspace(0.0, 2.0, 21)
    position, speed, _ = world.commanded()
    q, v, _ = smooth(t, position, speed, position + 0.8 * (np.arange(len(position)) == 0))
    joining = JointTrajectory(world.names, 0 if stamp == "zero" else world.now, np.round(t * S).astype(np.int64), q, v)
    world.candidate(joining, judging=judging)
    world.run(3.0)
    assert not faults_of(world), world.why()


@pytest.mark.parametrize("seconds", [5.0, -5.0])
def test_clock_that_jumps_between_two_messages_steps_nothing(seconds: float) -> None:
    world = armed("ur5e", silence_timeout=60.0)
    assert accepted(world, towards(world, 6.0, shoulder_pan_joint=2.0))
    world.run(1.509)
    world.jump(seconds, noticed=False)
    world.run(2.0)
    assert at_rest(world) and not faults_of(world), world.why()


# -- what is sent ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("embodiment", EMBODIMENTS)
def test_what_was_sent_is_accepted_again(embodiment: str) -> None:
    sent = 0
    for number in range(40):
        first, again = World(embodiment), World(embodiment)
        assert first.arm()[0] and again.arm()[0]
        output = first.candidate(chunk(np.random.default_rng(number), first))
        if output.send is not None and output.verdict is not None and output.verdict.trajectory is not None:
            sent += 1
            verdict = again.candidate(output.send).verdict
            assert verdict is not None and verdict.response.value == "accept", (number, verdict.summary)
    assert sent > 5


def test_stop_that_was_taken_is_not_sent_for_ever() -> None:
    world = armed("ur5e", silence_timeout=60.0)
    assert accepted(world, towards(world, 6.0, shoulder_pan_joint=2.0))
    world.run(1.5)
    world.e_stop()
    world.run(1.5)
    sent = len(world.record.sent)
    world.run(2.0)
    assert at_rest(world) and len(world.record.sent) == sent < 20


CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "guard" / "slow_judgements.json"


def _trajectory(data: dict) -> JointTrajectory:
    q, v = (None if data[key] is None else np.array(data[key], dtype=float) for key in ("p", "v"))
    return JointTrajectory(tuple(data["names"]), data["stamp"], np.array(data["times"], np.int64), q, v)


@pytest.mark.skipif(not CASES.is_file(), reason=f"worked cases are not at {CASES}")
@pytest.mark.parametrize("name", ["ur5e search 1", "franka search 1", "widowx250s fuzz 10034"])
def test_slow_judgements_end_within_their_budget(name: str) -> None:
    case = json.loads(CASES.read_text())[name]
    clock = [0]
    supervisor = Supervisor(guard_of(case["name"]), clock=lambda: clock[0])
    topics = [topic for topic, _ in embodiment_of(case["name"]).controllers]

    def state(stamp: int, q: list[float], v: list[float] | None) -> None:
        clock[0] = stamp + 4 * MS
        speeds = np.zeros(len(q)) if v is None else np.array(v)
        supervisor.on_joint_state(JointState(stamp, tuple(case["js"]["names"]), np.array(q), speeds), clock[0])

    if case["ex"] is not None:
        executing = _trajectory(case["ex"])
        state(executing.stamp_ns - 4 * MS, executing.positions[0].tolist(), None)
        supervisor.on_graph({t: [] for t in topics}, dict.fromkeys(topics, 1), clock[0])
        supervisor.arm(clock[0])
        supervisor.on_candidate(executing, clock[0])
    state(case["now"] - 4 * MS, case["js"]["p"], case["js"]["v"])
    clock[0] = case["now"]
    began = time.thread_time()
    verdict = supervisor.on_candidate(_trajectory(case["tr"]), case["now"]).verdict
    took = time.thread_time() - began
    assert verdict is not None
    # CPU time of this thread does not count what else runs; one step of a search may end after the budget.
    assert took < 1.5 * BUDGET, f"{took:.3f} s: {verdict.summary}"


def test_stream_check_notices_a_step() -> None:
    """The check that all these tests rest on."""
    world = World("ur5e")
    world.run(0.1)
    q = world.position.copy()
    q[0] += 0.02
    world.controllers[0].take(
        path(world, [0.0, 0.5], [q, q]).select(world.controllers[0].joints), world.now, q[:6], 0 * q[:6]
    )
    world.run(0.1)
    assert any("commanded step of shoulder_pan_joint: 0.020" in fault for fault in stream_faults(world))
    assert len(faults_of(world)) == 3  # the step, its speed, the hand-over
