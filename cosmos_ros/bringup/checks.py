"""What is found wrong before anything starts: a process that ends later leaves the others running."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from cosmos_ros.errors import ConfigError


def check_arguments(values: Mapping[str, str]) -> None:
    """Read everything that the arguments name as the nodes will read it.

    Raises:
        ConfigError: The embodiment, cameras, controllers, options of the world model, parameter file, robot
            description or a topic name is wrong.
    """
    from cosmos_ros.embodiment import load_embodiment
    from cosmos_ros.embodiment.controller_interfaces import CONTROL_MSGS_HINT, Interface, parse_controllers
    from cosmos_ros.named_values import comma_separated
    from cosmos_ros.observation.camera_topics import parse_cameras
    from cosmos_ros.world_models import parse_options

    description = values.get("robot_description", "")
    if description.endswith((".urdf", ".xml")) and not Path(description).is_file():
        raise ConfigError("no such file", where=f"argument robot_description:={description}")
    embodiment = load_embodiment(values["embodiment"])
    parse_cameras(values["cameras"], embodiment.views)
    controllers = parse_controllers(values.get("controllers", ""), embodiment.controllers)
    actions = [one for one in controllers if one.interface is not Interface.TOPIC]
    if actions and importlib.util.find_spec("control_msgs") is None:
        raise ConfigError(
            f"{actions[0].interface.value} needs the package control_msgs, which is not installed",
            where="argument controllers",
            hint=CONTROL_MSGS_HINT,
        )
    parse_options(
        values["world_model"],
        comma_separated(values["model_options"]),
        model=values["model"],
        embodiment=values["embodiment"],
    )
    for name in ("joint_states", "e_stop", "speed_scaling"):
        if " " in values.get(name, "") or values.get(name, "").endswith("/"):
            raise ConfigError(f"{values[name]!r} is not a topic", where=f"argument {name}")
    if values["params_file"]:
        _check_parameter_file(Path(values["params_file"]))


def _check_parameter_file(path: Path) -> None:
    """Refuse a file that cannot be read, and one whose parameters the guard would ignore or refuse."""
    from cosmos_ros.guard.supervision.node_settings import guard_parameters
    from cosmos_ros.settings import parameter_sections, read_parameters_file

    if not path.is_file():
        raise ConfigError(
            "no such file", where=f"argument params_file:={path}", hint="Without it the shipped parameters would hold."
        )
    nodes = ("predictor", "guard", "sim_robot", "visualizer", "rerun_viewer")
    if not any(parameter_sections(path, node) for node in nodes):
        raise ConfigError(
            f"holds parameters for none of {', '.join(nodes)}",
            where=str(path),
            hint="Write them under '/**/guard: ros__parameters:'.",
        )
    if any(key != "/**" for key, _ in parameter_sections(path, "guard")):
        read_parameters_file(path, "guard", guard_parameters())
