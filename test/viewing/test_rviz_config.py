"""The RViz configuration follows the embodiment's frame and cameras."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is neither sourced nor installed as wheels")

from shown_topics import rviz_topics

from cosmos_ros.bringup.arguments import resolve
from cosmos_ros.bringup.graph import BRINGUPS
from cosmos_ros.bringup.rviz_process import rviz_command, rviz_config
from cosmos_ros.errors import ConfigError
from cosmos_ros.resources import resource


def values(**given):
    return resolve(BRINGUPS["predict"].arguments(), given)


def test_the_shipped_file_is_the_frankas():
    assert rviz_config(values()) == resource("config", "rollout.rviz")


def test_another_robot_gets_its_frame_and_its_cameras_in_the_same_places(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = rviz_config(values(embodiment="agibot_g1", cameras="head=/head/color/image_raw"))
    config = yaml.safe_load(path.read_text())
    shipped = yaml.safe_load(resource("config", "rollout.rviz").read_text())
    assert config["Visualization Manager"]["Global Options"]["Fixed Frame"] != "panda_link0"
    topics = {shown.topic for shown in rviz_topics(path)}
    assert "/head/color/image_raw" in topics
    assert not {"wrist/image_raw", "exterior_1/image_raw"} & topics
    assert {"predictor/rollout/image", "visualizer/robot"} <= topics

    def panels(document) -> list[str]:
        state = bytes.fromhex(document["Window Geometry"]["QMainWindow State"])
        return [name for name in ("Displays", "Rollout", "wrist", "head") if name.encode("utf-16-be") in state]

    assert panels(shipped) == ["Displays", "Rollout", "wrist"]
    assert panels(config) == ["Displays", "Rollout", "head"]


def test_rviz_starts_in_the_namespace_and_is_missed_by_name(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="rviz2 is not installed"):
        rviz_command(values(rviz="true"))
    program = Path(tmp_path / "rviz2")
    program.write_text("#!/bin/sh\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    command = rviz_command(values(rviz="true", namespace="left"))
    assert command[:3] == [str(program), "-d", str(resource("config", "rollout.rviz"))]
    assert "__ns:=/left" in command
    # All topics are relative, so that the namespace reaches them.
    assert not [shown.topic for shown in rviz_topics(resource("config", "rollout.rviz")) if shown.topic[0] == "/"]


def test_rviz_brings_the_nodes_that_draw_for_it():
    bringup = BRINGUPS["predict"]
    plain = {spec.name for spec in bringup.nodes(values())}
    assert {spec.name for spec in bringup.nodes(values(rviz="true"))} - plain == {"visualizer"}
    assert {spec.name for spec in bringup.nodes(values(viewer="markers"))} - plain == {"visualizer"}
