"""The launch files in the real ``launch``: what they start, with what, and what they refuse.

launch is in no registry of Python packages: these run where ROS has it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

pytest.importorskip("launch", reason="launch is not installed")
pytest.importorskip("launch_ros", reason="launch_ros is not installed")

from launch import LaunchContext
from launch.actions import OpaqueFunction, SetEnvironmentVariable
from launch_ros.actions import Node

from cosmos_ros.bringup import launch_description
from cosmos_ros.bringup.launch_description import generate
from cosmos_ros.errors import ConfigError
from cosmos_ros.recordings.writer import BagWriter


def started(name: str, *words: str, **configurations: str) -> list[Any]:
    """Visit a launch file's description as launch would; return what its function starts."""
    context = LaunchContext(argv=list(words))
    context.launch_configurations.update(word.split(":=", 1) for word in words)
    context.launch_configurations.update(configurations)
    description = generate(name)
    assert not [one for one in description.entities if isinstance(one, SetEnvironmentVariable)]
    actions: list[Any] = []
    for entity in description.entities:
        result = entity.visit(context)
        if isinstance(entity, OpaqueFunction):
            actions += result or []
    return actions


def by_name(actions: list[Any]) -> dict[str, Any]:
    assert all(isinstance(action, Node) for action in actions)
    return {action.node_executable: action for action in actions}


def test_everything_is_a_node_and_the_environment_stays_with_ours(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/instruction", "std_msgs/msg/String")
        bag.write_message("/instruction", 10**18, bag.factory.string("wait"))
    before = dict(os.environ)
    nodes = by_name(started("replay", f"bag:={tmp_path / 'bag'}", "namespace:=r1"))
    assert set(nodes) == {"predictor", "guard", "player"}
    for node in nodes.values():
        given = {key[0].text for key, _ in node.process_description.additional_env}
        assert any(name.endswith("DEFAULT_PROFILES_FILE") for name in given)
    assert dict(os.environ) == before


def test_rviz_is_a_node_of_its_own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "share" / "ament_index" / "resource_index" / "packages"
    index.mkdir(parents=True)
    (index / "rviz2").touch()
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    nodes = by_name(started("predict", "rviz:=true", "use_sim_time:=true"))
    assert set(nodes) == {"predictor", "guard", "visualizer", "rviz2"}
    assert nodes["rviz2"].node_package == "rviz2"


def test_misspelt_arguments_are_refused_at_the_top_and_warned_of_below(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = mock.Mock()
    monkeypatch.setattr("launch.logging.get_logger", lambda name: said)
    monkeypatch.setattr("sys.argv", ["ros2", "launch", "cosmos_ros", "predict.launch.py", "world_modle:=flow"])
    with pytest.raises(ConfigError, match="world_modle is not known; meant world_model"):
        started("predict", "world_modle:=flow")
    monkeypatch.setattr("sys.argv", ["ros2", "launch", "mine", "cell.launch.py", "robot_ip:=1.2.3.4"])
    assert started("predict", "robot_ip:=1.2.3.4", world_modle="flow", ros_namespace="/r1")
    lines = [call.args[0] for call in said.warning.call_args_list]
    assert lines == ["predict.launch.py has no argument world_modle; meant world_model?"]


def test_a_path_of_our_own_file_is_the_top_too(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Path(launch_description.resource("launch", "predict.launch.py"))
    monkeypatch.setattr("sys.argv", ["ros2", "launch", str(own), "camera:=wrist=/x"])
    with pytest.raises(ConfigError, match="camera is not known; meant cameras"):
        started("predict", "camera:=wrist=/x")


@pytest.mark.parametrize(
    ("name", "word", "problem"),
    [
        ("predict", "params_file:=/nowhere.yaml", "no such file"),
        ("predict", "embodiment:=toaster", "no embodiment"),
        ("predict", "rviz:=true", "rviz2 is not installed"),
        ("demo", "seed:=two", "not a whole number"),
        ("replay", "bag:=/nowhere", "no such recording"),
    ],
)
def test_what_is_wrong_is_found_before_anything_starts(name: str, word: str, problem: str) -> None:
    with pytest.raises(Exception, match=problem):
        started(name, word)
