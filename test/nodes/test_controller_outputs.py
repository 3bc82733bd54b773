"""What the guard sends to controllers, and what it makes of their answers; with stand-ins for control_msgs."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")

import stand_in_control_msgs as stand_in
from action_msgs.msg import GoalStatus
from machine import Deadline

from cosmos_ros.embodiment.controller_interfaces import parse_controllers
from cosmos_ros.errors import ConfigError
from cosmos_ros.nodes import controller_outputs
from cosmos_ros.types import JointTrajectory

CONTROLLERS = (("joint_trajectory", ("a", "b")), ("gripper_trajectory", ("finger",)))
FOLLOW = "joint_trajectory=FollowJointTrajectory:/arm/follow_joint_trajectory"


class Publisher:
    def __init__(self, topic: str) -> None:
        self.topic_name, self.messages = topic, []

    def publish(self, message: Any) -> None:
        self.messages.append(message)

    def get_subscription_count(self) -> int:
        return 1


class Node:
    """What the outputs need of a node; timers are called by the test."""

    def __init__(self) -> None:
        self.topics: dict[str, Publisher] = {}
        self.timers: list[Any] = []

    def create_publisher(self, kind: Any, topic: str, profile: Any) -> Publisher:
        return self.topics.setdefault(topic, Publisher(self.resolve_topic_name(topic)))

    def create_timer(self, period: float, callback: Any, clock: Any = None) -> None:
        self.timers.append(callback)

    def get_subscriptions_info_by_topic(self, topic: str) -> list[Any]:
        return []

    def resolve_topic_name(self, name: str) -> str:
        return name if name.startswith("/") else f"/{name}"


class Cell:
    def __init__(self, text: str, **options: Any) -> None:
        self.node, self.events, self.notes = Node(), [], []
        stand_in.Client.made.clear()
        self.outputs = controller_outputs.ControllerOutputs(
            self.node,
            parse_controllers(text, CONTROLLERS),
            on_event=self.events.append,
            on_note=self.notes.append,
            **options,
        )

    def client(self, name: str) -> stand_in.Client:
        return stand_in.Client.made[name]

    def watch(self) -> None:
        for timer in self.node.timers:
            timer()


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "control_msgs", type(sys)("control_msgs"))
    sys.modules["control_msgs"].action = stand_in
    monkeypatch.setattr(controller_outputs, "ActionClient", stand_in.Client)


def motion(finger: float = 0.02, joints: tuple[str, ...] = ("a", "b", "finger")) -> JointTrajectory:
    positions = np.tile([[0.0], [1.0]], (1, len(joints)))
    positions[-1, -1] = finger
    return JointTrajectory(joints, 5, np.array([0, 10**9]), positions, np.zeros_like(positions))


def test_every_controller_gets_its_joints_and_only_when_all_are_there() -> None:
    one = Cell("joint_trajectory=/arm/joint_trajectory")
    one.outputs.send(motion(), 5)
    one.outputs.send(motion(joints=("a", "b")), 5)
    arm, gripper = (one.node.topics[name].messages for name in ("/arm/joint_trajectory", "gripper_trajectory"))
    assert [list(m.joint_names) for m in arm] == [["a", "b"]] * 2
    assert [list(m.joint_names) for m in gripper] == [["finger"]]
    assert one.outputs.listeners() == {"/arm/joint_trajectory": 1, "/gripper_trajectory": 1}


def test_what_begins_when_it_arrives_is_told_with_the_time_at_which_it_begins() -> None:
    one = Cell("joint_trajectory=/arm/joint_trajectory")
    one.outputs.send(replace(motion(), stamp_ns=0), 7_000_000_009)
    [sent] = one.node.topics["/arm/joint_trajectory"].messages
    [told] = one.node.topics["~/sent/joint_trajectory"].messages
    assert (sent.header.stamp.sec, sent.header.stamp.nanosec) == (0, 0)
    assert (told.header.stamp.sec, told.header.stamp.nanosec) == (7, 9)
    assert told.points == sent.points


def test_only_the_newest_goal_s_end_is_an_event() -> None:
    one = Cell(FOLLOW)
    client = one.client("/arm/follow_joint_trajectory")
    one.outputs.send(motion(), 5)
    one.outputs.send(motion(), 5)
    first, second = client.handles
    assert list(first.goal.trajectory.joint_names) == ["a", "b"]
    assert len(one.node.topics["~/sent/joint_trajectory"].messages) == 2
    first.accept()
    second.accept()
    first.end(GoalStatus.STATUS_ABORTED, stand_in.FollowJointTrajectory.Result())
    first.end(GoalStatus.STATUS_CANCELED, stand_in.FollowJointTrajectory.Result())
    assert one.events == []
    second.end(GoalStatus.STATUS_SUCCEEDED, stand_in.FollowJointTrajectory.Result())
    one.watch()
    assert one.events == []


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (GoalStatus.STATUS_ABORTED, -4, "gave up a goal, PATH_TOLERANCE_VIOLATED (-4): because"),
        (GoalStatus.STATUS_ABORTED, -5, "gave up a goal, GOAL_TOLERANCE_VIOLATED (-5): because"),
        (GoalStatus.STATUS_SUCCEEDED, -3, "gave up a goal, OLD_HEADER_TIMESTAMP (-3): because"),
        (GoalStatus.STATUS_ABORTED, 0, "gave up a goal, error (0): because"),
        (GoalStatus.STATUS_CANCELED, 0, "cancelled a goal that the guard did not take back"),
    ],
)
def test_a_goal_that_is_not_executed_is_one_event(status: int, code: int, said: str) -> None:
    one = Cell(FOLLOW)
    one.outputs.send(motion(), 5)
    (goal,) = one.client("/arm/follow_joint_trajectory").handles
    goal.accept()
    goal.end(status, stand_in.FollowJointTrajectory.Result(code, "because"))
    one.watch()
    assert one.events == [f"controller joint_trajectory (/arm/follow_joint_trajectory) {said}"]


def test_rejected_gone_and_silent_controllers() -> None:
    one = Cell(FOLLOW, answer_timeout=0.01)
    client = one.client("/arm/follow_joint_trajectory")
    one.outputs.send(motion(), 5)
    client.handles[-1].reject()
    assert "rejected a goal" in one.events[-1]
    one.outputs.send(motion(), 5)
    deadline = Deadline(10.0)
    while len(one.events) < 2:
        assert not deadline.passed()
        one.watch()
        time.sleep(0.005)
    assert "did not answer a goal within 0.01 s" in one.events[-1]
    client.handles[-1].accept()  # too late: said already
    one.outputs.send(motion(), 5)
    client.handles[-1].accept()
    client.ready = False
    one.watch()
    assert "went away during a goal" in one.events[-1]
    assert one.outputs.listeners()["/arm/follow_joint_trajectory"] == 0
    count = len(client.handles)
    one.outputs.send(motion(), 5)
    one.watch()
    assert len(client.handles) == count and len(one.events) == 3  # it is known to be gone
    client.ready = True
    one.outputs.send(motion(), 5)
    assert len(client.handles) == count + 1


@pytest.mark.parametrize("kind", ["GripperCommand", "ParallelGripperCommand"])
def test_a_gripper_is_sent_where_it_is_to_end_and_only_when_that_changes(kind: str) -> None:
    one = Cell(f"gripper_trajectory={kind}:/hand/gripper_cmd", gripper_max_effort=20.0)
    client = one.client("/hand/gripper_cmd")
    for finger in (0.02, 0.0201, 0.04):
        one.outputs.send(motion(finger), 5)
    commands = [handle.goal.command for handle in client.handles]
    if kind == "GripperCommand":
        assert [(c.position, c.max_effort) for c in commands] == [(0.02, 20.0), (0.04, 20.0)]
    else:
        assert [(list(c.name), c.position[0], c.effort[0]) for c in commands] == [
            (["finger"], 0.02, 20.0),
            (["finger"], 0.04, 20.0),
        ]
    client.handles[-1].accept()
    result = getattr(stand_in, kind).Result(stalled=True)
    client.handles[-1].end(GoalStatus.STATUS_ABORTED, result)
    assert one.events == [] and "stalled before its goal" in one.notes[0]
    one.outputs.send(motion(0.0), 5)
    client.handles[-1].reject()
    assert "rejected a goal" in one.events[0]
    one.outputs.send(motion(0.0), 5)  # it was not done, so it is asked for again
    assert len(client.handles) == 4


def test_an_old_control_msgs_and_none_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(stand_in, "ParallelGripperCommand")
    with pytest.raises(ConfigError, match="control_msgs is too old for ParallelGripperCommand"):
        Cell("gripper_trajectory=ParallelGripperCommand:/hand/gripper_cmd")
    monkeypatch.setitem(sys.modules, "control_msgs", None)
    with pytest.raises(ConfigError, match=r"needs the package control_msgs, .*apt install"):
        Cell(FOLLOW)
