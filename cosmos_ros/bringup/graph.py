"""The nodes of each bring-up with their parameters and remappings, and the arguments that choose them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cosmos_ros.errors import ConfigError
from cosmos_ros.settings import Setting, declared

LOG_LEVELS = ("debug", "info", "warn", "error", "fatal")
BOOLEANS = ("true", "false")
VIEWERS = ("none", "rerun", "markers")
RERUN_OUTPUTS = ("window", "web", "connect", "file")


@dataclass(frozen=True)
class Argument:
    """One launch argument. ``choices`` empty means any text."""

    name: str
    default: str
    description: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeSpec:
    """One process.

    Attributes:
        executable: Name under ``lib/cosmos_ros/``.
        module: Python module with the same ``main``, for where nothing is installed.
        name: Node name.
        config: Shipped parameter file in ``config/``.
        parameters: Overrides of it.
        remappings: Pairs (from, to).
    """

    executable: str
    module: str
    name: str
    config: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    remappings: tuple[tuple[str, str], ...] = ()


def _embodiments() -> tuple[str, ...]:
    from cosmos_ros.embodiment import list_embodiments

    return tuple(list_embodiments())


def _world_models() -> tuple[str, ...]:
    from cosmos_ros.world_models import world_model_names

    return tuple(world_model_names())


def _image_conversion() -> Setting:
    from cosmos_ros.messages.cv_bridge_images import ImageConversion

    (one,) = declared(ImageConversion)
    return one


def common_arguments() -> list[Argument]:
    """Return the arguments that every bring-up has."""
    return [
        Argument("namespace", "", "Namespace of all nodes and relative topics."),
        Argument("use_sim_time", "false", "Take the time from /clock.", BOOLEANS),
        Argument("log_level", "info", "Least severity that is logged.", LOG_LEVELS),
        Argument("rviz", "false", "Open RViz with the shipped view of cameras, rollout, paths and robot.", BOOLEANS),
        Argument(
            "viewer",
            "none",
            "rerun: show everything in Rerun (rerun_output says where). "
            "markers: publish robot, paths and violations for RViz or Foxglove elsewhere (rviz:=true implies it).",
            VIEWERS,
        ),
        Argument(
            "rerun_output",
            "window",
            "With viewer:=rerun: see the parameters of config/rerun_viewer.yaml.",
            RERUN_OUTPUTS,
        ),
    ]


def predict_arguments(
    *, embodiment: str = "franka", world_model: str = "flow", dry_run: str = "false"
) -> list[Argument]:
    """Return the arguments of predict.launch.py."""
    return [
        Argument("embodiment", embodiment, f"Shipped embodiment ({', '.join(_embodiments())}) or path of a YAML file."),
        Argument("world_model", world_model, "World model that predicts.", _world_models()),
        Argument("model", "", "Checkpoint directory, hub id or server address of the world model."),
        Argument("model_options", "", "Comma-separated option=value pairs of the world model, e.g. device=cuda:1."),
        Argument(
            "cameras",
            "",
            "Comma-separated view=topic pairs, e.g. wrist=/wrist_cam/image_raw. Views that are left out are black. "
            "Empty: every view of the embodiment at <view>/image_raw.",
        ),
        Argument("image_converter", "auto", _image_conversion().help, _image_conversion().choices),
        Argument("dry_run", dry_run, "Never let the guard be armed: it only says what it would have sent.", BOOLEANS),
        Argument("params_file", "", "YAML file with parameters that override the shipped ones."),
        *common_arguments(),
    ]


def demo_arguments() -> list[Argument]:
    """Return the arguments of demo.launch.py."""
    return [
        *predict_arguments(world_model="expert"),
        Argument("task", "put the red cube on the green pad", "Instruction; the simulator watches whether it is done."),
        Argument("seed", "0", "Seed of the simulated scene."),
        Argument("image_width", "320", "Width of the simulated cameras' images in pixels."),
        Argument("image_height", "180", "Height of the simulated cameras' images in pixels."),
    ]


def replay_arguments() -> list[Argument]:
    """Return the arguments of replay.launch.py."""
    return [
        Argument("bag", "", "rosbag2 directory or file to play into the live nodes."),
        Argument("rate", "1.0", "Playback rate."),
        Argument("loop", "false", "Start again at the end.", BOOLEANS),
        Argument(
            "include_commands",
            "false",
            "Play also recorded commands and outputs of the live nodes; refused while a controller listens.",
            BOOLEANS,
        ),
        *[a for a in predict_arguments(dry_run="true") if a.name != "use_sim_time"],
        Argument("use_sim_time", "true", "Take the time from the bag's /clock.", BOOLEANS),
    ]


def resolve(arguments: list[Argument], given: Mapping[str, str]) -> dict[str, str]:
    """Return every argument's value, checked.

    Raises:
        ConfigError: An unknown argument or a value that is not among the choices.
    """
    known = {argument.name: argument for argument in arguments}
    for name, value in given.items():
        if name not in known:
            raise ConfigError(f"argument {name} is not known; known are: {', '.join(known)}", where="launch")
        choices = known[name].choices
        if choices and value not in choices:
            raise ConfigError(f"argument {name}:={value} is not one of: {', '.join(choices)}", where="launch")
    return {name: given.get(name, argument.default) for name, argument in known.items()}


def predict_nodes(values: Mapping[str, str]) -> list[NodeSpec]:
    """Return the predictor and the guard."""
    shared = {"embodiment": values["embodiment"], "use_sim_time": values["use_sim_time"] == "true"}
    return [
        NodeSpec(
            "predictor",
            "cosmos_ros.nodes.predictor",
            "predictor",
            "predictor.yaml",
            {
                **shared,
                "world_model": values["world_model"],
                "model": values["model"],
                "model_options": values["model_options"],
                "cameras": values["cameras"],
                "image_converter": values["image_converter"],
                **({"instruction": values["task"]} if "task" in values else {}),
            },
        ),
        NodeSpec(
            "guard",
            "cosmos_ros.nodes.guard_node",
            "guard",
            "guard.yaml",
            {**shared, "cameras": values["cameras"], "dry_run": values["dry_run"] == "true"},
            (("action_trajectory", "predictor/action_trajectory"),),
        ),
        *viewer_nodes(values, shared),
    ]


def viewer_nodes(values: Mapping[str, str], shared: Mapping[str, Any]) -> list[NodeSpec]:
    """Return the nodes that only show what happens.

    Raises:
        ConfigError: The viewer is not installed.
    """
    outputs = (
        ("action_trajectory", "predictor/action_trajectory"),
        ("would_send", "guard/would_send"),
        ("verdict_json", "guard/verdict_json"),
        ("guard_settings", "guard/settings"),
    )
    nodes = []
    if values["rviz"] == "true" or values["viewer"] == "markers":
        nodes.append(
            NodeSpec("visualizer", "cosmos_ros.nodes.visualizer", "visualizer", "visualizer.yaml", shared, outputs)
        )
    if values["viewer"] == "rerun":
        from cosmos_ros.viewing.rerun_writer import require_rerun

        require_rerun()
        rollout = [
            (topic, f"predictor/{topic}")
            for topic in ("rollout/image/compressed", "rollout/contact_sheet/compressed", "rollout/markers")
        ]
        nodes.append(
            NodeSpec(
                "rerun_viewer",
                "cosmos_ros.nodes.rerun_viewer",
                "rerun_viewer",
                "rerun_viewer.yaml",
                {**shared, "cameras": values["cameras"], "output": values["rerun_output"]},
                (*outputs, *rollout),
            )
        )
    return nodes


def demo_nodes(values: Mapping[str, str]) -> list[NodeSpec]:
    """Return the simulated robot beside the predictor and the guard."""
    simulator = NodeSpec(
        "sim_robot",
        "cosmos_ros.nodes.sim_robot",
        "sim_robot",
        "sim_robot.yaml",
        {
            "embodiment": values["embodiment"],
            "task": values["task"],
            "driver": "scripted" if values["world_model"] == "expert" else "unknown",
            "seed": _whole(values, "seed"),
            "image_width": _whole(values, "image_width"),
            "image_height": _whole(values, "image_height"),
            "publish_clock": values["use_sim_time"] == "true",
        },
    )
    return [simulator, *predict_nodes(values)]


def replay_nodes(values: Mapping[str, str]) -> list[NodeSpec]:
    """Return the nodes that a played bag feeds; the player itself is not a node of the graph."""
    if not values["bag"]:
        raise ConfigError("argument bag is empty", where="launch", hint="Give bag:=DIRECTORY.")
    return predict_nodes(values)


@dataclass(frozen=True)
class Bringup:
    """A named bring-up: its arguments and its nodes."""

    name: str
    description: str
    arguments: Callable[[], list[Argument]]
    nodes: Callable[[Mapping[str, str]], list[NodeSpec]]


BRINGUPS: dict[str, Bringup] = {
    bringup.name: bringup
    for bringup in (
        Bringup(
            "predict", "Predictor and guard for a robot that is already running.", predict_arguments, predict_nodes
        ),
        Bringup("demo", "Simulated robot, predictor and guard.", demo_arguments, demo_nodes),
        Bringup("replay", "Predictor and guard fed by a bag.", replay_arguments, replay_nodes),
    )
}


def _whole(values: Mapping[str, str], name: str) -> int:
    try:
        return int(values[name])
    except ValueError:
        raise ConfigError(f"argument {name}:={values[name]} is not a whole number", where="launch") from None
