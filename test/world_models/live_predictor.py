"""A live predictor of a small robot in its home posture, for the tests of the backends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from world_model_scenes import observation_of

from cosmos_ros.embodiment import load_embodiment

SMALL_ROBOT = "extends: widowx250s.yaml\nname: widow_small\ncanvas: {rows: [[image_0]], tier: 256}\n"


def write_small_robot(folder: Path) -> Path:
    """The WidowX at the smallest resolution tier."""
    path = folder / "widow_small.yaml"
    path.write_text(SMALL_ROBOT)
    return path


@contextmanager
def live_predictor(robot: Path, parameters: dict[str, Any]) -> Iterator[tuple[Any, Any, list[str]]]:
    """Start a predictor on a private domain, fed with moving pictures and the home posture; yield watcher and group."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
    try:
        from live import Cameras, processes
    finally:
        sys.path.pop(0)
    from machine import slowness
    from std_msgs.msg import String
    from trajectory_msgs.msg import JointTrajectory

    from cosmos_ros.bringup.arguments import predict_arguments, resolve
    from cosmos_ros.bringup.graph import NodeSpec, predict_nodes
    from cosmos_ros.messages import joint_state_message
    from cosmos_ros.nodes import qos

    embodiment = load_embodiment(robot)
    home = observation_of(embodiment, 96, 128).joints
    spec = next(s for s in predict_nodes(resolve(predict_arguments(), {})) if s.name == "predictor")
    # What a busy machine delivers late is not what is tested here.
    ages = {"max_image_age": 5.0 * slowness(), "max_joint_age": 5.0 * slowness(), "joint_tolerance": 5.0}
    overrides = {"embodiment": str(robot), "instruction": "move the block", **ages, **parameters}
    spec = NodeSpec(spec.executable, spec.module, spec.name, spec.config, {**spec.parameters, **overrides})
    with processes() as (watcher, group, environment, lines):
        Cameras(watcher, embodiment.views)
        joints = watcher.node.create_publisher(type(joint_state_message(home)), "joint_states", qos.reliable(5))

        def send() -> None:
            now = watcher.node.get_clock().now().nanoseconds
            joints.publish(joint_state_message(replace(home, stamp_ns=now)))

        watcher.node.create_timer(0.02, send)
        watcher.listen(JointTrajectory, "predictor/action_trajectory")
        watcher.listen(String, "predictor/provenance")
        group.start_nodes([spec], {}, environment)
        try:
            yield watcher, group, lines
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(lines[-30:])) from None
        assert group.ended() == {}
