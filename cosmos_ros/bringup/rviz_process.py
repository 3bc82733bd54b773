"""RViz with the shipped configuration, where it is installed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from cosmos_ros.errors import ConfigError
from cosmos_ros.resources import resource

# What is said where it is not installed: problem, place, hint.
MISSING = ("rviz2 is not installed", "rviz:=true", "Source a ROS 2 desktop installation, or leave it out.")


def rviz_command(values: Mapping[str, str]) -> list[str]:
    """Return the command that opens RViz.

    Raises:
        ConfigError: rviz2 is not on the PATH.
    """
    rviz = shutil.which("rviz2")
    if rviz is None:
        raise ConfigError(MISSING[0], where=MISSING[1], hint=MISSING[2])
    command = [rviz, "-d", str(rviz_config(values)), "--ros-args"]
    namespace = values.get("namespace", "").strip("/")
    if namespace:
        command += ["-r", f"__ns:=/{namespace}"]
    return [*command, "-p", f"use_sim_time:={values['use_sim_time']}"]


def rviz_config(values: Mapping[str, str]) -> Path:
    """Return the shipped configuration, or a temporary one for the frame and the cameras of another robot.

    Raises:
        ConfigError: The embodiment or the cameras are wrong.
    """
    from cosmos_ros.embodiment import load_embodiment
    from cosmos_ros.observation.camera_topics import parse_cameras
    from cosmos_ros.viewing.rviz_config import adapted

    shipped = resource("config", "rollout.rviz")
    config = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    embodiment = load_embodiment(values["embodiment"])
    new = adapted(config, embodiment.base_frame, parse_cameras(values["cameras"], embodiment.views))
    if new == config:
        return shipped
    # RViz may save to it, so it outlives this process.
    with tempfile.NamedTemporaryFile("w", prefix="cosmos_ros_", suffix=".rviz", delete=False) as file:
        yaml.safe_dump(new, file, sort_keys=False)
    return Path(file.name)
