"""Cosmos3 from the command line and in the live predictor, with the tiny checkpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from world_model_scenes import observation_of, textured

from cosmos_ros.cli.main import main
from cosmos_ros.embodiment import load_embodiment

pytest.importorskip("torch", reason="torch is not installed; `make test-cosmos3` installs it")
pytest.importorskip("diffusers", reason="diffusers is not installed; `make test-cosmos3` installs it")
from tiny_cosmos3 import write_tiny_checkpoint

pytestmark = [pytest.mark.cosmos3, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("cosmos3") / "Cosmos3-Tiny")


@pytest.fixture(scope="module")
def small_robot(tmp_path_factory):
    """The WidowX at the smallest tier, which a CPU does in about a second."""
    path = tmp_path_factory.mktemp("embodiment") / "widow_small.yaml"
    path.write_text("extends: widowx250s.yaml\nname: widow_small\ncanvas: {rows: [[image_0]], tier: 256}\n")
    return path


def test_predict_writes_metres_and_radians_and_replays(checkpoint, tmp_path, capsys):
    picture, out = tmp_path / "wrist.png", tmp_path / "out"
    cv2.imwrite(str(picture), textured(90, 160)[..., ::-1])
    words = ["--world-model", "cosmos3", "--model", checkpoint, "--embodiment", "franka", "--image", picture]
    words += ["--instruction", "put the cup on the shelf", "--setting", "num_inference_steps=2", "--out", out]
    words += ["--option", "warm_up=false"]
    assert main(["predict", *map(str, words)]) == 0
    found = json.loads((out / "prediction.json").read_text())
    assert found["frames"] == [17, 128, 160, 3]
    assert (out / "frames.mp4").stat().st_size > 1000
    franka = load_embodiment("franka")
    positions = np.array(found["trajectory"]["positions"])
    assert found["trajectory"]["joint_names"] == list(franka.all_joints)
    start = np.array([franka.home[name] for name in franka.all_joints])
    np.testing.assert_allclose(positions[0], start, atol=1e-9)
    assert 0 < np.abs(positions[:, :7] - start[:7]).max() < 0.5
    tool = np.array(found["decoded"]["tools"]["panda_link8"]["positions"])
    assert 0 < np.linalg.norm(tool[-1] - tool[0]) < 0.2
    chunk = found["chunks"][0]
    assert chunk["sampler"]["num_inference_steps"] == 2
    assert chunk["fingerprint"]
    record = json.loads((out / "predictions.jsonl").read_text())
    assert "The top row is from the wrist-mounted camera." in record["request"]["prompt"]
    assert '"description": "put the cup on the shelf."' in record["request"]["prompt"]
    capsys.readouterr()
    assert main(["replay-request", str(out / "predictions.jsonl")]) == 0
    assert json.loads(capsys.readouterr().out)["largest_difference"] == 0.0


def test_rollout_is_chained(checkpoint, small_robot, tmp_path):
    picture, out = tmp_path / "image.png", tmp_path / "out"
    cv2.imwrite(str(picture), textured(96, 128)[..., ::-1])
    words = ["--world-model", "cosmos3", "--model", checkpoint, "--embodiment", small_robot, "--image", picture]
    words += ["--setting", "num_inference_steps=1", "--horizon", 20, "--out", out, "--option", "warm_up=false"]
    assert main(["rollout", *map(str, words)]) == 0
    found = json.loads((out / "prediction.json").read_text())
    assert (found["seams"], found["frames"]) == ([16], [21, 96, 128, 3])
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 2


@pytest.mark.integration
def test_live_predictor(checkpoint, small_robot, tmp_path, capsys):
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
    try:
        from live import Cameras, processes
    finally:
        sys.path.pop(0)
    from diagnostic_msgs.msg import DiagnosticArray  # noqa: F401  # its import fails early where ROS is incomplete
    from std_msgs.msg import String
    from trajectory_msgs.msg import JointTrajectory

    from cosmos_ros.bringup.graph import NodeSpec, predict_arguments, predict_nodes, resolve
    from cosmos_ros.messages import joint_state_message
    from cosmos_ros.nodes import qos

    embodiment = load_embodiment(small_robot)
    home = observation_of(embodiment, 96, 128).joints
    chosen = {"world_model": "cosmos3", "model": str(checkpoint), "embodiment": "widowx250s"}
    spec = next(s for s in predict_nodes(resolve(predict_arguments(), chosen)) if s.name == "predictor")
    overrides = {
        "embodiment": str(small_robot),
        "num_inference_steps": 1,
        "prediction_rate": 0.5,
        "max_image_age": 5.0,
        "max_joint_age": 5.0,
        "model_timeout": 60.0,
        "prediction_log": str(tmp_path / "predictions.jsonl"),
    }
    spec = NodeSpec(spec.executable, spec.module, spec.name, spec.config, {**spec.parameters, **overrides})
    with processes() as (watcher, group, environment, lines):
        Cameras(watcher, embodiment.views)
        joints = watcher.node.create_publisher(type(joint_state_message(home)), "joint_states", qos.reliable(5))

        def send() -> None:
            from dataclasses import replace

            now = watcher.node.get_clock().now().nanoseconds
            joints.publish(joint_state_message(replace(home, stamp_ns=now)))

        watcher.node.create_timer(0.02, send)
        watcher.listen(JointTrajectory, "predictor/action_trajectory")
        watcher.listen(String, "predictor/provenance")
        group.start_nodes([spec], {}, environment)
        try:
            watcher.wait_diagnostic("predictor: prediction", "predicting", 180.0)
            watcher.wait(lambda: watcher.messages["predictor/provenance"], "provenance", 30.0)
            watcher.wait(lambda: watcher.messages["predictor/action_trajectory"], "a trajectory", 60.0)
        except AssertionError as error:
            raise AssertionError(f"{error}\n" + "\n".join(lines[-30:])) from None
        assert group.ended() == {}
    record = watcher.json("predictor/provenance")[-1]
    assert record["backend"] == "cosmos3"
    assert record["fingerprint"]
    assert record["sampler"]["num_inference_steps"] == 1
    message = watcher.messages["predictor/action_trajectory"][-1]
    assert set(message.joint_names) == set(embodiment.all_joints)
    assert all(np.isfinite(point.positions).all() for point in message.points)
    # What the node was asked, asked again by hand.
    assert main(["replay-request", str(tmp_path / "predictions.jsonl"), "--number", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True
