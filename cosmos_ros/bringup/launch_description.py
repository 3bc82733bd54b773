"""Launch descriptions for ``ros2 launch``, made from the graph."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cosmos_ros.bringup.arguments import resolve
from cosmos_ros.bringup.checks import check_arguments
from cosmos_ros.bringup.graph import BRINGUPS, NodeSpec
from cosmos_ros.errors import ConfigError
from cosmos_ros.resources import resource

RESPAWN_DELAY_S = 2.0
# Launch configurations that ros2 launch and launch_ros themselves set.
_OF_LAUNCH = ("launch-prefix", "launch-prefix-filter", "ros_namespace", "ros_remaps", "ros_params")


def generate(name: str) -> Any:
    """Return the LaunchDescription of a bring-up."""
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, OpaqueFunction

    bringup = BRINGUPS[name]
    declared = bringup.arguments()
    description = LaunchDescription()
    for argument in declared:
        description.add_action(
            DeclareLaunchArgument(
                argument.name,
                default_value=argument.default,
                description=argument.description,
                choices=list(argument.choices) or None,
            )
        )

    def start(context: Any) -> list[Any]:
        _look_for_misspelt(context, name, [a.name for a in declared])
        values = resolve(declared, {a.name: context.launch_configurations[a.name] for a in declared})
        check_arguments(values)
        actions = [_node(spec, values) for spec in bringup.nodes(values)]
        if values["rviz"] == "true":
            actions.append(_rviz(values))
        if name == "replay":
            actions.append(_player(values))
        return actions

    description.add_action(OpaqueFunction(function=start))
    return description


def _look_for_misspelt(context: Any, name: str, declared: list[str]) -> None:
    """Refuse arguments that are not declared; launch itself drops them without a word.

    Where another launch file includes this one, arguments may be that file's own: those that look like one of ours are
    warned of.

    Raises:
        ConfigError: One is not known.
    """
    own_file = resource("launch", f"{name}.launch.py")
    given = [argument.split(":=", 1)[0] for argument in context.argv if ":=" in argument]
    if _is_started_itself(own_file):
        # Other arguments than ours only come from the command line.
        resolve(BRINGUPS[name].arguments(), {n: "" for n in given if n not in (*declared, *_OF_LAUNCH)})
        return
    from launch.logging import get_logger

    for other in sorted({*given, *context.launch_configurations} - {*declared, *_OF_LAUNCH}):
        near = difflib.get_close_matches(other, declared, n=1, cutoff=0.8)
        if near:
            get_logger("cosmos_ros").warning(f"{own_file.name} has no argument {other}; meant {near[0]}?")


def _is_started_itself(own_file: Path) -> bool:
    """Whether ``ros2 launch`` was given this file: by package and name, or by its path."""
    words = sys.argv[1:]
    for before, word in zip(["", *words], words, strict=False):
        if Path(word).name == own_file.name and (before == "cosmos_ros" or _same_file(Path(word), own_file)):
            return True
    return False


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _environment() -> dict[str, str]:
    """Return the variables that our nodes get beside those of everybody."""
    from cosmos_ros.messages.dds import use_shared_memory_profile

    environment = dict(os.environ)
    use_shared_memory_profile(environment)
    return {key: value for key, value in environment.items() if os.environ.get(key) != value}


def _end_all(reason: str) -> Any:
    """Return what ends the launch when a process has ended, unless it ends already."""
    from launch.actions import Shutdown

    return lambda _, context: None if context.is_shutdown else Shutdown(reason=reason)


def _node(spec: NodeSpec, values: Mapping[str, str]) -> Any:
    from launch_ros.actions import Node

    parameters: list[Any] = [str(resource("config", spec.config)), dict(spec.parameters)]
    if values["params_file"]:
        parameters.append(values["params_file"])
    ending: dict[str, Any] = {"on_exit": _end_all(f"{spec.name} has ended")}
    if values["on_exit"] == "respawn":
        ending = {"respawn": True, "respawn_delay": RESPAWN_DELAY_S}
    return Node(
        package="cosmos_ros",
        executable=spec.executable,
        name=spec.name,
        namespace=values["namespace"],
        parameters=parameters,
        remappings=list(spec.remappings),
        additional_env=_environment(),
        output="screen",
        emulate_tty=True,
        ros_arguments=["--log-level", values["log_level"]],
        **ending,
    )


def _rviz(values: Mapping[str, str]) -> Any:
    """Return RViz; that its window is closed ends nothing else."""
    from ament_index_python.packages import PackageNotFoundError, get_package_prefix
    from launch_ros.actions import Node

    from cosmos_ros.bringup.rviz_process import MISSING, rviz_config

    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        raise ConfigError(MISSING[0], where=MISSING[1], hint=MISSING[2]) from None
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        namespace=values["namespace"],
        arguments=["-d", str(rviz_config(values))],
        parameters=[{"use_sim_time": values["use_sim_time"] == "true"}],
        output="screen",
    )


def _player(values: Mapping[str, str]) -> Any:
    """Return the player of a replay; with the bag's end everything ends."""
    from launch_ros.actions import Node

    from cosmos_ros.bringup.player_process import player_arguments

    return Node(
        package="cosmos_ros",
        executable="player",
        name="player",
        namespace=values["namespace"],
        arguments=player_arguments(values),
        additional_env=_environment(),
        output="screen",
        on_exit=_end_all("the bag has ended"),
    )
