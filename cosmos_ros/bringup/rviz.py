"""RViz with the shipped configuration, where it is installed."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from cosmos_ros.errors import ConfigError
from cosmos_ros.resources import resource


def rviz_command(values: Mapping[str, str]) -> list[str]:
    """Return the command that opens RViz.

    Raises:
        ConfigError: rviz2 is not on the PATH.
    """
    rviz = shutil.which("rviz2")
    if rviz is None:
        raise ConfigError(
            "rviz2 is not on the PATH", where="rviz:=true", hint="Source a ROS 2 desktop installation, or leave it out."
        )
    command = [rviz, "-d", str(resource("config", "rollout.rviz")), "--ros-args"]
    namespace = values.get("namespace", "").strip("/")
    if namespace:
        command += ["-r", f"__ns:=/{namespace}"]
    return [*command, "-p", f"use_sim_time:={values['use_sim_time']}"]
