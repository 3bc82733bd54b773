"""``cosmos-ros up``: start the nodes (as ros2 launch would)."""

from __future__ import annotations

from dataclasses import dataclass, field, make_dataclass
from typing import Annotated, ClassVar

from tyro.conf import Positional

from cosmos_ros.bringup.arguments import resolve
from cosmos_ros.bringup.graph import BRINGUPS, Bringup
from cosmos_ros.cli._arguments import LAUNCH_ARGUMENTS

_EXAMPLES = {
    "predict": "cosmos-ros up predict world_model:=flow dry_run:=true cameras:=wrist=/wrist_cam/image_raw",
    "demo": "cosmos-ros up demo viewer:=rerun",
    "replay": "cosmos-ros up replay bag:=out/bag world_model:=flow",
}


@dataclass(frozen=True)
class Up:
    """Start the nodes of a launch file where ``ros2 launch`` is not installed.

    Attributes:
        arguments: Launch arguments, listed above.
        show_args: List the arguments and their defaults, start nothing.
    """

    bringup: ClassVar[Bringup]

    arguments: Positional[Annotated[dict[str, str], LAUNCH_ARGUMENTS]] = field(default_factory=dict)
    show_args: bool = False

    @classmethod
    def describe(cls) -> str:
        """Return what is started, with its arguments and their defaults."""
        lines = [cls.bringup.description, "", "Arguments:"]
        for argument in cls.bringup.arguments():
            choices = f" One of: {', '.join(argument.choices)}." if argument.choices else ""
            lines += [f"  {argument.name}:={argument.default!r}", f"      {argument.description}{choices}"]
        return "\n".join([*lines, "", f"For example: {_EXAMPLES[cls.bringup.name]}"])

    def run(self) -> int:
        """Start and supervise until a signal or until a node ends."""
        from cosmos_ros.bringup.checks import check_arguments
        from cosmos_ros.bringup.processes import ProcessGroup

        if self.show_args:
            print(self.describe())
            return 0
        values = resolve(self.bringup.arguments(), self.arguments)
        check_arguments(values)
        specs = self.bringup.nodes(values)
        others: dict[str, list[str]] = {}
        if values["rviz"] == "true":
            from cosmos_ros.bringup.rviz_process import rviz_command

            others["rviz"] = rviz_command(values)
        if self.bringup.name == "replay":
            from cosmos_ros.bringup.player_process import player_command

            others["player"] = player_command(values)
        with ProcessGroup() as group:
            group.start_nodes(specs, values)
            for name, command in others.items():
                group.start(name, command)
            name, status = group.supervise(
                respawn=[spec.name for spec in specs] if values["on_exit"] == "respawn" else (), ignore=("rviz",)
            )
        if name == "player" and status == 0:
            return 0
        print(f"{name} ended with status {status}; everything was stopped")
        return 1 if status == 0 else status


VERB = {
    name: make_dataclass(
        name.capitalize(), [], bases=(Up,), frozen=True, namespace={"bringup": bringup, "__doc__": bringup.description}
    )
    for name, bringup in BRINGUPS.items()
}
