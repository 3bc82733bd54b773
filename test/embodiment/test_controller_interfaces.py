"""How controllers are named on the command line."""

from __future__ import annotations

import pytest

from cosmos_ros.embodiment.controller_interfaces import Interface, parse_controllers
from cosmos_ros.errors import ConfigError

CONTROLLERS = (("joint_trajectory", ("a", "b")), ("gripper_trajectory", ("finger",)))


def test_what_is_left_out_keeps_the_embodiment_s_topic() -> None:
    assert [(c.controller, c.name, c.interface) for c in parse_controllers("", CONTROLLERS)] == [
        ("joint_trajectory", "joint_trajectory", Interface.TOPIC),
        ("gripper_trajectory", "gripper_trajectory", Interface.TOPIC),
    ]
    arm, gripper = parse_controllers("joint_trajectory=/x/joint_trajectory", CONTROLLERS)
    assert (arm.name, arm.sent_topic, gripper.name) == (
        "/x/joint_trajectory",
        "~/sent/joint_trajectory",
        "gripper_trajectory",
    )


def test_all_are_followed_on_topics_of_the_guard() -> None:
    text = "gripper_trajectory=GripperCommand:/hand/gripper_cmd,joint_trajectory=FollowJointTrajectory:arm/follow"
    arm, gripper = parse_controllers(text, CONTROLLERS)
    assert (arm.interface, arm.name, arm.is_gripper) == (Interface.FOLLOW_JOINT_TRAJECTORY, "arm/follow", False)
    assert (gripper.interface, gripper.name, gripper.is_gripper) == (
        Interface.GRIPPER_COMMAND,
        "/hand/gripper_cmd",
        True,
    )
    assert arm.sent_topic == "~/sent/joint_trajectory"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("arm=/x", "'arm' is not one of joint_trajectory, gripper_trajectory"),
        ("joint_trajectory", "is not controller=/topic"),
        ("joint_trajectory=/x,joint_trajectory=/y", "given twice"),
        ("joint_trajectory=Follow:/x", "'Follow' is not one of FollowJointTrajectory, GripperCommand"),
        ("joint_trajectory=GripperCommand:/x", "takes one joint, the controller has a, b"),
        ("joint_trajectory=/x y", "is not a ROS name"),
        ("joint_trajectory=/x/", "is not a ROS name"),
        ("joint_trajectory=FollowJointTrajectory:", "is not a ROS name"),
        ("joint_trajectory=/x,gripper_trajectory=/x", "joint_trajectory, gripper_trajectory all go to /x"),
    ],
)
def test_wrong_controllers_are_named(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_controllers(text, CONTROLLERS)
