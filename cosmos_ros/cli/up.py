"""``cosmos-ros up``: start a bring-up's nodes where ``ros2 launch`` is not installed."""

from __future__ import annotations

import argparse
from collections.abc import Sequence


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "up", help="start the nodes (as ros2 launch would)", description="Start the same nodes as the launch files."
    )
    parser.add_argument("bringup", choices=("predict", "demo", "replay"), help="which launch file's nodes")
    parser.add_argument("arguments", nargs="*", metavar="name:=value", help="launch arguments")
    parser.add_argument("--show-args", action="store_true", help="list the arguments and their defaults, start nothing")
    parser.set_defaults(run=run)


def parse_pairs(pairs: Sequence[str]) -> dict[str, str]:
    """Return ``name:=value`` pairs as a dict; raise ConfigError for anything else."""
    from cosmos_ros.errors import ConfigError

    given: dict[str, str] = {}
    for pair in pairs:
        name, separator, value = pair.partition(":=")
        if not separator:
            raise ConfigError(f"'{pair}' is not name:=value", where="arguments")
        given[name] = value
    return given


def run(arguments: argparse.Namespace) -> int:
    """Start and supervise until Ctrl-C or until a node ends."""
    from cosmos_ros.bringup.graph import BRINGUPS, resolve
    from cosmos_ros.bringup.processes import ProcessGroup

    bringup = BRINGUPS[arguments.bringup]
    declared = bringup.arguments()
    if arguments.show_args:
        print(bringup.description)
        for argument in declared:
            choices = f" One of: {', '.join(argument.choices)}." if argument.choices else ""
            print(f"  {argument.name}:={argument.default!r}\n      {argument.description}{choices}")
        return 0
    values = resolve(declared, parse_pairs(arguments.arguments))
    specs = bringup.nodes(values)
    if values["rviz"] == "true":
        from cosmos_ros.bringup.rviz_process import rviz_command

        rviz = rviz_command(values)
    with ProcessGroup() as group:
        group.start_nodes(specs, values)
        if values["rviz"] == "true":
            group.start("rviz", rviz)
        if arguments.bringup == "replay":
            from cosmos_ros.bringup.player_process import player_command

            group.start("player", player_command(values))
        name, status = group.wait_any()
    if name == "player" and status == 0:
        return 0
    print(f"{name} ended with status {status}; everything was stopped")
    return 1 if status == 0 else status
