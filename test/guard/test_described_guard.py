"""A guard that is given the robot's own description on a latched topic."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")

from live_arm import start_guard
from std_msgs.msg import String

from cosmos_ros.bringup.domain import private_domain, private_environment
from cosmos_ros.bringup.processes import ProcessGroup
from cosmos_ros.nodes import qos
from cosmos_ros.resources import resource

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


def test_the_tighter_limits_are_told_and_another_robot_ends_the_guard() -> None:
    from live import Watcher

    lines: list[str] = []
    panda = resource("embodiments", "urdf/panda.urdf").read_text(encoding="utf-8")
    with private_domain() as domain, ProcessGroup(lambda name, line: lines.append(f"{name}: {line}")) as group:
        watcher = Watcher(domain)
        try:
            for topic, text in (
                (
                    "/mine",
                    re.sub(r'(<joint name="panda_joint1".*?velocity=)"[^"]*"', r'\1"1.25"', panda, count=1, flags=re.S),
                ),
                ("/other", resource("embodiments", "urdf/ur5e.urdf").read_text(encoding="utf-8")),
            ):
                watcher.node.create_publisher(String, topic, qos.latched()).publish(String(data=text))
            environment = private_environment(domain)
            start_guard(group, environment, robot_description="/mine")
            watcher.wait_diagnostic("guard: robot description", "1 differences")
            assert any(
                "panda_joint1: velocity 2.175 in the embodiment, 1.25 in the robot: 1.25 holds" in x for x in lines
            )
            start_guard(group, environment, "second", robot_description="/other")
            watcher.wait(lambda: "second" in group.ended(), "the end of the second guard")
            assert group.ended() == {"second": 2}
            watcher.wait(lambda: any("robot.base_frame" in line for line in lines), "the reason")
        finally:
            watcher.close()
