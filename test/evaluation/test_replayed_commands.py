# ruff: noqa: E402  (nothing here can be imported where ROS is not installed)
"""A replay sends nothing that commands a robot, and nothing that live nodes publish themselves."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import recordings

rclpy = pytest.importorskip("rclpy", reason="ROS is not installed")

from live_session import Live, live
from rclpy.serialization import serialize_message

from cosmos_ros.recordings.ros_message_types import message_class, profile
from cosmos_ros.recordings.topic_roles import Role, role_of
from cosmos_ros.recordings.writer import BagWriter

__all__ = ["live"]  # the fixture

COMMANDS = {
    "/joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "/gripper_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "/left/joint_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "/predictor/action_trajectory": "trajectory_msgs/msg/JointTrajectory",
    "/remapped": "trajectory_msgs/msg/JointTrajectory",
    "/poses": "trajectory_msgs/msg/MultiDOFJointTrajectory",
    "/forward_position_controller/input": "std_msgs/msg/Float64MultiArray",
    "/base": "geometry_msgs/msg/Twist",
    "/servo": "geometry_msgs/msg/TwistStamped",
    "/joint_command": "sensor_msgs/msg/JointState",
    "/gripper/command/position": "std_msgs/msg/Float64",
    "/goal_pose": "geometry_msgs/msg/PoseStamped",
    "/right/e_stop": "std_msgs/msg/Bool",
}
OUTPUTS = {
    "/predictor/provenance": "std_msgs/msg/String",
    "/predictor/rollout/image/compressed": "sensor_msgs/msg/CompressedImage",
    "/left/predictor/rollout/joint_states": "sensor_msgs/msg/JointState",
    "/guard/verdict": "diagnostic_msgs/msg/DiagnosticArray",
    "/renamed/verdict_json": "std_msgs/msg/String",
    "/visualizer/path": "visualization_msgs/msg/MarkerArray",
    "/diagnostics": "diagnostic_msgs/msg/DiagnosticArray",
    "/health": "diagnostic_msgs/msg/DiagnosticArray",
}
INPUTS = {
    "/left/joint_states": "sensor_msgs/msg/JointState",
    "/target/image_raw": "sensor_msgs/msg/Image",
    "/wrist/camera_info": "sensor_msgs/msg/CameraInfo",
    "/left/instruction": "std_msgs/msg/String",
    "/arm/pose": "geometry_msgs/msg/PoseStamped",
    "/scene": "visualization_msgs/msg/MarkerArray",
    "/notes": "std_msgs/msg/String",
    "/load": "std_msgs/msg/Float64",
}


@pytest.mark.parametrize(
    ("name", "type_name", "role"),
    [
        *((name, kind, Role.COMMAND) for name, kind in COMMANDS.items()),
        *((name, kind, Role.OUTPUT) for name, kind in OUTPUTS.items()),
        *((name, kind, Role.INPUT) for name, kind in INPUTS.items()),
        ("/servo_node/delta", "control_msgs/msg/JointJog", Role.COMMAND),
        ("/gripper", "control_msgs/msg/GripperCommand", Role.COMMAND),
        ("/arm/state", "control_msgs/msg/JointTrajectoryControllerState", Role.INPUT),
        ("/arm/follow/_action/send_goal", "control_msgs/action/FollowJointTrajectory_SendGoal_Request", Role.COMMAND),
        ("/arm/follow/_action/status", "action_msgs/msg/GoalStatusArray", Role.OUTPUT),
        ("/follow/goal", "control_msgs/msg/FollowJointTrajectoryActionGoal", Role.COMMAND),
        ("/parameter_events", "rcl_interfaces/msg/ParameterEvent", Role.OUTPUT),
        ("/tf_static", "tf2_msgs/msg/TFMessage", Role.INPUT),
        ("/clock", "rosgraph_msgs/msg/Clock", Role.INPUT),
    ],
)
def test_roles(name: str, type_name: str, role: Role) -> None:
    assert role_of(name, type_name) is role


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten messages on each topic, whose types are all installed."""
    path = tmp_path_factory.mktemp("bags") / "everything"
    with BagWriter(path) as bag:
        for k in range(10):
            for topic, kind in (COMMANDS | OUTPUTS | INPUTS).items():
                bag.add_topic(topic, kind)
                bag.write(topic, recordings.START + k * 20 * recordings.MS, serialize_message(message_class(kind)()))
    return path


def listen(session: Live, topics: dict[str, str], name: str = "controller") -> Counter[str]:
    """Subscribe as a controller does; count what arrives."""
    heard: Counter[str] = Counter()
    node = session.node(name)
    for topic, kind in topics.items():

        def count(_: object, topic: str = topic) -> None:
            heard[topic] += 1

        sensor = profile(reliable=True, latched=False, depth=100)
        node.create_subscription(message_class(kind), topic, count, sensor)
    return heard


@pytest.mark.integration
def test_a_replay_sends_no_command_and_no_output_of_live_nodes(live: Live, everything: Path) -> None:
    heard = listen(live, COMMANDS | OUTPUTS | INPUTS)
    player, played = live.verb("play", everything, "--wait-for", *INPUTS)
    live.until(lambda: player.poll() is not None, "the end of the recording")
    assert player.returncode == 0, played.read_text()
    live.until(lambda: sum(heard.values()) >= 10 * len(INPUTS), "every input")
    assert heard == dict.fromkeys(INPUTS, 10)
    (line,) = [line for line in played.read_text().splitlines() if "left out" in line]
    assert all(topic in line for topic in COMMANDS | OUTPUTS) and "--include-commands" in line


@pytest.mark.integration
def test_choosing_a_command_topic_does_not_play_it(live: Live, everything: Path) -> None:
    heard = listen(live, COMMANDS)
    player, played = live.verb("play", everything, "--topics", "/joint_trajectory", "base")
    live.until(lambda: player.poll() is not None, "the refusal")
    assert player.returncode == 2 and "nothing can be played" in played.read_text()
    assert not heard


@pytest.mark.integration
def test_commands_are_played_when_asked_for_and_no_guard_is_there(live: Live, everything: Path) -> None:
    chosen = {topic: COMMANDS[topic] for topic in ("/joint_trajectory", "/base")}
    heard = listen(live, chosen)
    player, played = live.verb("play", everything, "--include-commands", "--topics", *chosen, "--wait-for", *chosen)
    live.until(lambda: player.poll() is not None, "the end of the recording")
    assert player.returncode == 0, played.read_text()
    live.until(lambda: sum(heard.values()) >= 20, "every command")
    assert "commands are played, past the guard: /base, /joint_trajectory" in played.read_text()


@pytest.mark.integration
@pytest.mark.parametrize("guard", ["named", "renamed"])
def test_commands_are_refused_while_a_controller_listens_beside_a_guard(live: Live, everything: Path, guard) -> None:
    if guard == "named":
        live.node("guard")
    else:
        kind = message_class("trajectory_msgs/msg/JointTrajectory")
        live.node("safety").create_publisher(kind, "~/would_send", 1)
    heard = listen(live, COMMANDS, "arm_controller")
    player, played = live.verb("play", everything, "--include-commands", "--wait-for", "/joint_trajectory")
    live.until(lambda: player.poll() is not None, "the refusal")
    assert player.returncode == 2 and not heard
    (line,) = [line for line in played.read_text().splitlines() if "commands are not played" in line]
    assert "arm_controller on /joint_trajectory" in line


@pytest.mark.integration
def test_a_controller_that_comes_later_ends_the_replay(live: Live, everything: Path) -> None:
    live.node("guard")
    recorder = listen(live, COMMANDS, "cosmos_ros_recorder")  # recorders move nothing
    player, played = live.verb("play", everything, "--include-commands", "--loop")
    live.until(lambda: recorder["/joint_trajectory"] > 3, "playing")
    assert player.poll() is None
    listen(live, COMMANDS, "arm_controller")
    live.until(lambda: player.poll() is not None, "the refusal")
    assert player.returncode == 2 and "arm_controller on /joint_trajectory" in played.read_text()
