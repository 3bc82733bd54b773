"""What a model is told about the executed motion, and how its answer then joins it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from wandering import Wanderer
from wandering_loop import Loop

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.prediction.committed_motion import CommittedMotion, committed_motion
from cosmos_ros.se3 import pose_error
from cosmos_ros.sim.episode import EpisodeSettings, run_episode
from cosmos_ros.trajectory.executing import ExecutedMotion
from cosmos_ros.trajectory.joiner import Joiner, JoinSettings
from cosmos_ros.types import NANOSECONDS, JointState, JointTrajectory, Observation

SETTINGS = JoinSettings(committed_rows=True)
START = 10 * NANOSECONDS
SEEN = START + round(0.7 * NANOSECONDS)


class Moving:
    """A robot that is commanded along a smooth path from home, while its grippers close by a third."""

    def __init__(self, name: str, *, seconds: float = 4.0, delay: float | None = 0.25, reach: float = 0.15) -> None:
        self.robot = load_embodiment(name)
        self.joiner = Joiner(self.robot.limits.joints, self.robot.gripper_speeds)
        self.home = np.array([self.robot.home[joint] for joint in self.robot.all_joints])
        times = np.linspace(0.0, 1.0, 81)
        course, slope = times**3 * (10 - 15 * times + 6 * times**2), 30 * times**2 * (1 - times) ** 2
        way = np.zeros(len(self.home))
        for k, joint in enumerate(self.robot.all_joints):
            if joint in self.robot.joint_names and not any(part in joint for part in ("head", "body", "waist")):
                way[k] = reach * (-1.0) ** k
        for gripper in self.robot.gripper_joints.values():
            way[self.robot.all_joints.index(gripper.joint)] = (gripper.closed - gripper.open) / 3.0
        stamps = np.rint(times * seconds * NANOSECONDS).astype(np.int64)
        positions, velocities = self.home + course[:, None] * way, slope[:, None] * way / seconds
        self.path = JointTrajectory(self.robot.all_joints, START, stamps, positions, velocities)
        if delay is not None:
            self.wait_for_an_answer(delay)
        for _, names in self.robot.controllers:
            self.joiner.sent(self.path.select(names), START)

    def wait_for_an_answer(self, delay: float) -> None:
        """Join a plan that takes over so late, as measured by the joiner."""
        still = JointState(START, self.robot.all_joints, self.home)
        plan = replace(self.path, stamp_ns=START)
        self.joiner.join(plan, START + round((delay - SETTINGS.join_lead) * NANOSECONDS), still, SETTINGS)

    def commanded(self, time_ns: int) -> JointState:
        state = self.joiner.executed.at(time_ns)
        assert state is not None
        order = [state.joint_names.index(name) for name in self.robot.all_joints]
        return JointState(time_ns, self.robot.all_joints, state.positions[order], state.velocities[order])

    def observation(self, time_ns: int = SEEN, off: float = 0.0) -> Observation:
        joints = self.commanded(time_ns)
        return Observation(time_ns, {}, {}, replace(joints, positions=joints.positions + off), "move")

    def committed(self, observation: Observation | None = None, settings: JoinSettings = SETTINGS) -> CommittedMotion:
        seen = observation or self.observation()
        delay = self.joiner.expected_delay
        return committed_motion(self.robot, self.joiner, seen, self.robot.chunk_size, settings, delay)


@pytest.mark.parametrize("name", ["franka", "ur5e", "widowx250s", "agibot_g1", "franka_joint"])
def test_rows_decode_to_the_executed_motion(name):
    moving = Moving(name, delay=0.5)
    robot, observation = moving.robot, moving.observation()
    found = moving.committed(observation)
    assert found.rows is not None and len(found.rows) == int(np.ceil(0.5 * robot.fps))
    chunk = robot.decode_actions(found.rows, robot.tool_poses(observation), stamp_ns=observation.stamp_ns)
    for k, after in enumerate(chunk.times_ns):
        state = moving.commanded(observation.stamp_ns + int(after))
        if chunk.joint_positions is not None:
            there = [state.position_of(joint) for joint in chunk.joint_names]
            assert chunk.joint_positions[k] == pytest.approx(there, abs=1e-5)
        for link, pose in robot.tool_poses(state).items():
            distance, angle = pose_error(chunk.poses[link][k], pose)
            assert distance < 1e-5 and angle < 1e-5, (link, k)
        for gripper, opening in robot.gripper_openings(state).items():
            assert chunk.grippers[gripper][k] == pytest.approx(opening, abs=1e-6)
    moved = [np.linalg.norm(p[-1][:3, 3] - chunk.start_poses[link][:3, 3]) for link, p in chunk.poses.items()]
    assert max(moved) > 0.003
    assert found.openings == pytest.approx(robot.gripper_openings(moving.commanded(observation.stamp_ns)))


def test_rows_of_a_robot_that_sags_start_where_it_is_seen_and_move_as_commanded():
    moving = Moving("ur5e")
    off = moving.observation(off=0.02)
    found, straight = moving.committed(off), moving.committed()
    assert found.joints is not None and straight.joints is not None
    assert found.joints == pytest.approx(straight.joints + 0.02, abs=1e-9)
    assert found.openings == straight.openings


@pytest.mark.parametrize(("delay", "rows"), [(0.06, 1), (0.1, 2), (0.2, 3), (0.21, 4), (0.4, 6), (0.9, 8), (3.0, 8)])
def test_a_longer_delay_commits_more_rows_up_to_half_of_the_chunk(delay, rows):
    moving = Moving("franka", delay=delay)
    found = moving.committed()
    assert found.rows is not None and len(found.rows) == rows
    assert found.record["rows"] == rows
    assert found.record["expected_delay"] == pytest.approx(delay, abs=1e-6)
    assert found.record["executing_stamps_ns"] == [START]


def test_the_record_gives_the_same_rows_again():
    live, again = Moving("franka"), Moving("franka", delay=None)
    found = live.committed()
    assert found.rows is not None
    delay = found.record["expected_delay"]
    made = committed_motion(again.robot, again.joiner, again.observation(), again.robot.chunk_size, SETTINGS, delay)
    assert np.array_equal(made.rows, found.rows)


def test_the_expected_delay_is_that_of_most_of_the_last_plans():
    moving = Moving("franka", delay=None)
    assert moving.joiner.expected_delay is None
    for delay in [2.0] * 5 + [0.1] * 18 + [0.3] * 2:
        moving.wait_for_an_answer(delay)
    assert 0.1 <= moving.joiner.expected_delay <= 0.3
    moving.joiner.forget()
    assert moving.joiner.expected_delay is None


@pytest.mark.parametrize(
    "case", ["no delay is known", "over", "not begun", "not followed", "of another robot", "nothing", "only a gripper"]
)
def test_nothing_is_committed_when_what_comes_is_not_known_or_is_rest(case):
    moving = Moving("franka", delay=None if case == "no delay is known" else 0.25)
    observation = moving.observation()
    if case == "over":
        observation = moving.observation(START + 5 * NANOSECONDS)
    elif case == "not begun":
        observation = moving.observation(START - NANOSECONDS)
    elif case == "not followed":
        observation = moving.observation(off=0.2)
    elif case in ("of another robot", "nothing", "only a gripper"):
        moving.joiner.executed = ExecutedMotion()
        if case == "of another robot":
            names = tuple(f"other_{name}" for name in moving.path.joint_names)
            moving.joiner.sent(replace(moving.path, joint_names=names), START)
        elif case == "only a gripper":
            moving.joiner.sent(moving.path.select(("panda_finger_joint1",)), START)
    found = moving.committed(observation)
    assert found.rows is None and found.joints is None and found.record == {}
    known = case not in ("nothing", "of another robot")
    assert set(found.openings) == ({"gripper"} if known else set())


def test_an_absurd_command_is_not_committed():
    moving = Moving("franka")
    moving.joiner.sent(replace(moving.path, positions=moving.path.positions * 1e3, stamp_ns=SEEN + 1), SEEN)
    assert moving.committed().rows is None


@pytest.mark.parametrize("name", ["franka", "ur5e"])
@pytest.mark.parametrize("lag", [0.0, 0.1])
def test_an_answer_that_continues_the_rows_joins_without_a_step(name, lag):
    """Asked again as soon as it has answered, for a redundant arm's posture would drift apart otherwise."""
    seams = {}
    for continues in (False, True):
        loop = Loop(name, Wanderer(continues=continues, speed=0.04), lag=lag)
        for _ in range(24):
            loop.ask(0.3)
        given = [request.committed is not None for request in loop.model.requests]
        assert any(given) == continues and sum(given) >= 20 * continues
        seams[continues] = [
            (seam.position, seam.velocity) for seam, had in zip(loop.seams, given[1:], strict=True) if had == continues
        ]
    for free, given in zip(np.median(seams[False], axis=0), np.max(seams[True], axis=0), strict=True):
        assert given < 0.1 * free


@pytest.mark.parametrize("wanted", [True, False])
def test_only_models_that_take_rows_are_given_some_and_only_if_wanted(wanted):
    # Wanted of a model that takes none, or not wanted of one that would.
    loop = Loop("franka", Wanderer(continues=not wanted), settings=JoinSettings(committed_rows=wanted))
    for _ in range(4):
        prediction = loop.ask(0.2)
        assert prediction.input_provenance["committed"] == {}
    assert all(request.committed is None for request in loop.model.requests)
    assert [request.commanded is None for request in loop.model.requests[1:]] == [wanted] * 3


def test_a_request_tells_what_the_gripper_was_commanded_last():
    loop = Loop("franka", Wanderer(continues=True))
    for _ in range(3):
        prediction = loop.ask(0.2)
    assert prediction.request.commanded == pytest.approx([1.0], abs=1e-6)
    assert prediction.input_provenance["committed"]["rows"] == len(prediction.request.committed) == 4


@pytest.mark.parametrize("wanted", [True, False])
def test_an_episode_tells_it_as_the_live_node_does(wanted):
    model = Wanderer(continues=True)
    run_episode(load_embodiment("franka"), model, settings=EpisodeSettings(longest=2.0, committed_rows=wanted))
    given = [0 if request.committed is None else len(request.committed) for request in model.requests]
    assert given[0] == 0 and len(given) == 4
    # 0.15 s, and up to a frame more since the observation.
    assert set(given[1:]) <= ({3, 4} if wanted else {0})
