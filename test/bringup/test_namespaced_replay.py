"""A recording is played where the nodes are: in their namespace, but for names that they were given absolutely."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS is not installed")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from live import processes
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from cosmos_ros.bringup.arguments import replay_arguments, resolve
from cosmos_ros.bringup.player_process import player_arguments, player_command
from cosmos_ros.recordings.writer import BagWriter

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    with BagWriter(tmp_path / "bag") as writer:
        for topic in ("/instruction", "/zed/note", "/r1/kept"):
            writer.add_topic(topic, "std_msgs/msg/String")
            writer.write_message(topic, 10**18, writer.factory.string(topic))
        writer.add_topic("/joint_states", "sensor_msgs/msg/JointState")
        for k in range(3):
            stamp = 10**18 + k * 10**8
            state = writer.factory.joint_state(("a",), np.zeros(1), None, stamp_ns=stamp)
            writer.write_message("/joint_states", stamp, state)
    return tmp_path / "bag"


def test_topics_follow_the_namespace(bag: Path) -> None:
    given = {"bag": str(bag), "namespace": "r1", "instruction": "/zed/note", "loop": "true"}
    with processes() as (watcher, group, environment, lines):
        heard = {"/r1/joint_states": JointState, "/r1/instruction": String, "/zed/note": String, "/r1/kept": String}
        for topic, kind in heard.items():
            watcher.listen(kind, topic)
        group.start("player", player_command(resolve(replay_arguments(), given)), environment)
        watcher.wait(lambda: all(watcher.messages[topic] for topic in heard), "\n".join(lines))
        assert ("player", "/r1") in watcher.node.get_node_names_and_namespaces()
        assert not watcher.node.count_publishers("/joint_states")


def test_what_the_nodes_were_given_by_its_name_keeps_it(bag: Path) -> None:
    given = {
        "bag": str(bag),
        "cameras": "wrist=/zed/image_raw,exterior_1=near/image_raw",
        "joint_states": "/arm/states",
    }
    options = json.loads(player_arguments(resolve(replay_arguments(), given))[1])
    assert set(options["keep_names"]) == {"/zed/image_raw", "/zed/image_raw/compressed", "/arm/states"}
    assert options["wait_for"] == ["/instruction"]  # its own joint states are not in the recording
