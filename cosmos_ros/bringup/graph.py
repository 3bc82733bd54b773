"""The nodes of each bring-up with their parameters and remappings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cosmos_ros.bringup.arguments import (
    Argument,
    demo_arguments,
    predict_arguments,
    replay_arguments,
    whole_number,
)
from cosmos_ros.errors import ConfigError


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


def predict_nodes(values: Mapping[str, str]) -> list[NodeSpec]:
    """Return the predictor and the guard."""
    shared = {"embodiment": values["embodiment"], "use_sim_time": values["use_sim_time"] == "true"}
    described = {"robot_description": values.get("robot_description", "")}
    inputs, sent = _inputs(values), _sent(values)
    instruction = values.get("task", values.get("instruction", ""))
    return [
        NodeSpec(
            "predictor",
            "cosmos_ros.nodes.predictor",
            "predictor",
            "predictor.yaml",
            {
                **shared,
                **described,
                "world_model": values["world_model"],
                "model": values["model"],
                "model_options": values["model_options"],
                "cameras": values["cameras"],
                "image_converter": values["image_converter"],
                **({"instruction": instruction} if instruction and not instruction.startswith("/") else {}),
            },
            (*inputs, *sent, *((("instruction", instruction),) if instruction.startswith("/") else ())),
        ),
        NodeSpec(
            "guard",
            "cosmos_ros.nodes.guard_node",
            "guard",
            "guard.yaml",
            {
                **shared,
                **described,
                "cameras": values["cameras"],
                "controllers": values.get("controllers", ""),
                "dry_run": values["dry_run"] == "true",
                "arm_when_ready": values.get("arm") == "true",
            },
            (
                ("action_trajectory", "predictor/action_trajectory"),
                *inputs,
                *((name, values[name]) for name in ("e_stop", "speed_scaling") if values.get(name)),
            ),
        ),
        *viewer_nodes(values, shared, (*inputs, *sent)),
    ]


def _inputs(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the remappings of what every node hears."""
    return (("joint_states", values["joint_states"]),) if values.get("joint_states") else ()


def _sent(values: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the remappings from the embodiment's controller topics to where the guard says what it sent."""
    from cosmos_ros.embodiment import load_embodiment
    from cosmos_ros.embodiment.controller_interfaces import parse_controllers

    controllers = parse_controllers(values.get("controllers", ""), load_embodiment(values["embodiment"]).controllers)
    return tuple((one.controller, one.sent_topic.replace("~", "guard", 1)) for one in controllers)


def viewer_nodes(
    values: Mapping[str, str], shared: Mapping[str, Any], inputs: tuple[tuple[str, str], ...] = ()
) -> list[NodeSpec]:
    """Return the nodes that only show what happens.

    Args:
        values: The launch arguments.
        shared: Parameters of every node.
        inputs: Remappings beside those to the outputs of predictor and guard.

    Raises:
        ConfigError: The viewer is not installed.
    """
    outputs = (
        ("action_trajectory", "predictor/action_trajectory"),
        ("would_send", "guard/would_send"),
        ("verdict_json", "guard/verdict_json"),
        ("guard_settings", "guard/settings"),
        *inputs,
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
            "seed": whole_number(values, "seed"),
            "image_width": whole_number(values, "image_width"),
            "image_height": whole_number(values, "image_height"),
            "scene": values["scene"],
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
