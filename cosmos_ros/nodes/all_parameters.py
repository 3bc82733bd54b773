"""The declared parameters of every node, for what is generated from them."""

from __future__ import annotations

from cosmos_ros.guard.supervision.node_settings import guard_parameters
from cosmos_ros.settings import Setting, declared


def node_parameters() -> dict[str, tuple[Setting, ...]]:
    """Return the declarations of each node's parameters, by the node's name."""
    from cosmos_ros.nodes import (  # nodes import ROS
        predictor_parameters,
        rerun_viewer,
        sim_robot,
        visualizer,
    )

    return {
        "predictor": predictor_parameters.parameters(),
        "guard": guard_parameters(),
        "sim_robot": declared(sim_robot.SimRobotSettings),
        "visualizer": declared(visualizer.VisualizerSettings),
        "rerun_viewer": declared(rerun_viewer.RerunViewerSettings),
    }
