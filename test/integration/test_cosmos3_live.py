"""The in-process Cosmos3 behind the live predictor: a tiny checkpoint with random weights, real pipeline, real DDS."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.integration, pytest.mark.cosmos3, pytest.mark.timeout(300)]

for package in ("torch", "diffusers", "rclpy"):
    pytest.importorskip(package, reason=f"{package} is not installed; make test-cosmos3 installs it")

from live import processes  # noqa: E402
from std_msgs.msg import String  # noqa: E402
from trajectory_msgs.msg import JointTrajectory  # noqa: E402

from cosmos_ros.bringup.graph import NodeSpec, predict_arguments, predict_nodes, resolve  # noqa: E402
from cosmos_ros.bringup.processes import node_command, write_parameters  # noqa: E402


def tiny_checkpoint(folder: Path) -> Path:
    """Write the checkpoint of the world models' own tests."""
    path = Path(__file__).parents[1] / "world_models" / "tiny_cosmos3.py"
    spec = importlib.util.spec_from_file_location("tiny_cosmos3", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_tiny_checkpoint(folder)


def test_the_launched_nodes_predict_with_cosmos3(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path / "tiny")
    given = {"world_model": "cosmos3", "model": str(checkpoint), "embodiment": "franka", "dry_run": "true"}
    values = resolve(predict_arguments(), given)
    with processes({"HF_HUB_OFFLINE": "1"}) as (watcher, group, environment, lines):
        for topic in ("predictor/provenance", "guard/verdict_json"):
            watcher.listen(String, topic)
        watcher.listen(JointTrajectory, "predictor/action_trajectory")
        for spec in predict_nodes(values):
            extra = {"num_inference_steps": 2} if spec.name == "predictor" else {}
            spec = NodeSpec(
                spec.executable, spec.module, spec.name, spec.config, {**spec.parameters, **extra}, spec.remappings
            )
            group.start(spec.name, node_command(spec, group.folder), environment)
        load = write_parameters({"image_rate": 5.0, "width": 320, "height": 180}, group.folder, "load")
        command = [sys.executable, "-m", "cosmos_ros.bench.load", "--ros-args", "--params-file", str(load)]
        group.start("load", command, environment)
        try:
            watcher.wait_diagnostic("predictor: state", "active: franka with world model cosmos3", 120.0)
            watcher.wait(lambda: watcher.messages["predictor/provenance"], "a prediction", 120.0)
        finally:
            print("\n".join(lines[-40:]))
        record = watcher.json("predictor/provenance")[0]
        assert group.ended() == {}
    assert record["backend"] == "cosmos3"
    assert record["domain_name"] == "droid_lerobot"
    assert record["digests"]["actions"]
    assert record["digests"]["frames"]
