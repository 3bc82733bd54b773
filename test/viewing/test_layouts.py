"""The shipped layouts show topics that our nodes publish, with these types: asked of the running nodes."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")
pytest.importorskip("mujoco", reason="the simulated robot publishes the cameras and the scene")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from live import processes
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from sensor_msgs.msg import JointState
from shown_topics import foxglove_paths, rviz_topics
from trajectory_msgs.msg import JointTrajectory
from visualization_msgs.msg import Marker, MarkerArray

from cosmos_ros.bringup.arguments import resolve
from cosmos_ros.bringup.graph import BRINGUPS
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.messages import joint_state_from_message, joint_trajectory_message
from cosmos_ros.nodes import qos
from cosmos_ros.resources import resource
from cosmos_ros.sim.rendering import GL_BACKEND, INSTALL_HINT
from cosmos_ros.types import JointTrajectory as Trajectory

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def demo():
    """The running demo and everything it publishes: absolute topic → type → QoS profiles."""
    if GL_BACKEND == "disable":
        pytest.skip(f"no off-screen OpenGL. {INSTALL_HINT}")
    bringup = BRINGUPS["demo"]
    values = resolve(bringup.arguments(), {"image_width": "64", "image_height": "48", "viewer": "markers"})
    with processes() as (watcher, group, environment, _):
        group.start_nodes(bringup.nodes(values), values, environment)
        watcher.wait_diagnostic("predictor: state", "active", 60.0)
        watcher.wait_diagnostic("sim_robot: cameras", "running", 60.0)
        yield watcher


def published(watcher, topic: str) -> dict[str, list]:
    found: dict[str, list] = {}
    for info in watcher.node.get_publishers_info_by_topic(f"/{topic}"):
        found.setdefault(info.topic_type, []).append(info.qos_profile)
    return found


def test_rviz_shows_topics_that_exist(demo):
    shown = rviz_topics(resource("config", "rollout.rviz"))
    assert len({entry.topic for entry in shown}) == len(shown)
    for entry in shown:
        offers = demo.wait(lambda topic=entry.topic: published(demo, topic), f"a publisher of {entry.topic}")
        assert set(offers) == {entry.type}, entry.topic
        for offer in offers[entry.type]:
            # A subscription that asks for more than is offered gets nothing.
            assert not entry.reliable or offer.reliability == ReliabilityPolicy.RELIABLE, entry.topic
            assert not entry.latched or offer.durability == DurabilityPolicy.TRANSIENT_LOCAL, entry.topic


def test_the_foxglove_layout_shows_topics_and_fields_that_exist(demo):
    paths = foxglove_paths(resource("config", "foxglove.json"))
    for path in paths:
        (kind,) = demo.wait(lambda topic=path.topic: published(demo, topic[1:]), f"a publisher of {path.topic}")
        assert not path.types or kind in path.types, path.topic
        if path.field:
            package, _, name = kind.split("/")
            fields = getattr(importlib.import_module(f"{package}.msg"), name).get_fields_and_field_types()
            assert re.fullmatch(r"(\w+)(\[\d+\])?", path.field)[1] in fields, path
    # Both layouts show the same robot.
    both = {shown.topic for shown in rviz_topics(resource("config", "rollout.rviz"))}
    assert both <= {path.topic[1:].removesuffix("/compressed") for path in paths}


def test_the_visualizer_draws_robot_ghost_path_and_what_the_guard_would_send(demo):
    topics = ("visualizer/robot", "visualizer/path", "visualizer/guard", "predictor/rollout/markers")
    for topic in topics:
        demo.listen(MarkerArray, topic)

    def shown() -> set[str]:
        return {marker.ns for topic in topics for array in demo.messages[topic][-3:] for marker in array.markers}

    wanted = {"robot", "ghost", "panda_link8/recent", "panda_link8/guarded", "panda_link8/path", "panda_link8/gripper"}
    demo.wait(lambda: wanted <= shown(), f"markers {sorted(wanted)}", 30.0)
    for topic in topics:
        for marker in demo.messages[topic][-1].markers:
            assert marker.header.frame_id == "panda_link0", topic
    robot = [m for m in demo.messages["visualizer/robot"][-1].markers if m.ns == "robot" and m.type == Marker.CYLINDER]
    assert len(robot) > 10
    assert all(abs(np.linalg.norm([getattr(m.pose.orientation, k) for k in "xyzw"]) - 1.0) < 1e-9 for m in robot)
    # The DELETEALL in front makes each array replace the last one, so that nothing stays that is no longer so.
    assert all(demo.messages[topic][-1].markers[0].action == Marker.DELETEALL for topic in topics)


def test_a_candidate_that_breaks_a_limit_is_marked_in_red_where_it_does(demo):
    demo.listen(MarkerArray, "visualizer/guard")
    demo.listen(JointState, "joint_states", qos.sensor(10))
    candidates = demo.node.create_publisher(JointTrajectory, "predictor/action_trajectory", qos.reliable(5))
    joints = load_embodiment("franka").joint_names
    demo.wait(
        lambda: candidates.get_subscription_count() >= 2 and demo.messages["joint_states"], "guard and visualizer"
    )

    def too_far() -> JointTrajectory:
        state = joint_state_from_message(demo.messages["joint_states"][-1], joints=list(joints))
        rows = np.stack([state.positions, state.positions + 4.0 * np.eye(7)[0]])
        now = int(demo.node.get_clock().now().nanoseconds)
        record = Trajectory(joints, now, np.array([0, 2_000_000_000]), rows, np.zeros_like(rows))
        return joint_trajectory_message(record)

    def red() -> list[Marker]:
        # Asked again until seen: the predictor's own candidates come in between.
        candidates.publish(too_far())
        found = [m for array in demo.messages["visualizer/guard"][-20:] for m in array.markers]
        return [m for m in found if m.ns == "panda_link8/violated_limits" and "panda_joint1" in m.text]

    marked = demo.wait(red, "violations of panda_joint1 in red", 30.0)
    assert {"position panda_joint1", "velocity panda_joint1"} & {m.text for m in marked}
    assert all(m.color.r > 0.9 and m.color.g < 0.2 for m in marked)
