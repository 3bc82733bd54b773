"""Launch descriptions for ``ros2 launch``, made from the graph."""

from __future__ import annotations

import os
from typing import Any

from cosmos_ros.bringup.graph import BRINGUPS, NodeSpec, resolve
from cosmos_ros.resources import resource


def generate(name: str) -> Any:
    """Return the LaunchDescription of a bring-up."""
    from launch import LaunchDescription
    from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable

    from cosmos_ros.messages.dds import use_shared_memory_profile

    bringup = BRINGUPS[name]
    declared = bringup.arguments()
    description = LaunchDescription()
    environment = dict(os.environ)
    use_shared_memory_profile(environment)
    for key, value in environment.items():
        if os.environ.get(key) != value:
            description.add_action(SetEnvironmentVariable(key, value))
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
        values = resolve(declared, {a.name: context.launch_configurations[a.name] for a in declared})
        actions = [_node(spec, values) for spec in bringup.nodes(values)]
        if values["rviz"] == "true":
            from cosmos_ros.bringup.rviz_process import rviz_command

            actions.append(_process(rviz_command(values)))
        if name == "replay":
            from launch.actions import RegisterEventHandler, Shutdown
            from launch.event_handlers import OnProcessExit

            from cosmos_ros.bringup.player_process import player_command

            player = _process(player_command(values))
            actions.append(player)
            actions.append(
                RegisterEventHandler(
                    OnProcessExit(target_action=player, on_exit=[Shutdown(reason="the bag has ended")])
                )
            )
        return actions

    description.add_action(OpaqueFunction(function=start))
    return description


def _node(spec: NodeSpec, values: dict[str, str]) -> Any:
    from launch_ros.actions import Node

    parameters: list[Any] = [str(resource("config", spec.config)), dict(spec.parameters)]
    if values["params_file"]:
        parameters.append(values["params_file"])
    return Node(
        package="cosmos_ros",
        executable=spec.executable,
        name=spec.name,
        namespace=values["namespace"],
        parameters=parameters,
        remappings=list(spec.remappings),
        output="screen",
        emulate_tty=True,
        ros_arguments=["--log-level", values["log_level"]],
    )


def _process(command: list[str]) -> Any:
    from launch.actions import ExecuteProcess

    return ExecuteProcess(cmd=command, output="screen")
