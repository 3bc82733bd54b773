"""Cosmos3 from the command line and in the live predictor, with the tiny checkpoint."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from live_predictor import live_predictor, write_small_robot
from machine import slowness
from world_model_scenes import textured

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
    """A robot that a CPU does in about a second."""
    return write_small_robot(tmp_path_factory.mktemp("embodiment"))


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
    parameters = {
        "world_model": "cosmos3",
        "model": str(checkpoint),
        "num_inference_steps": 1,
        "prediction_rate": 0.5,
        "model_timeout": 60.0 * slowness(),
        "prediction_log": str(tmp_path / "predictions.jsonl"),
    }
    with live_predictor(small_robot, parameters) as (watcher, _, _):
        watcher.wait_diagnostic("predictor: prediction", "predicting", 180.0)
        watcher.wait(lambda: watcher.messages["predictor/provenance"], "provenance", 30.0)
        watcher.wait(lambda: watcher.messages["predictor/action_trajectory"], "a trajectory", 60.0)
    record = watcher.json("predictor/provenance")[-1]
    assert record["backend"] == "cosmos3"
    assert record["fingerprint"]
    assert record["sampler"]["num_inference_steps"] == 1
    message = watcher.messages["predictor/action_trajectory"][-1]
    assert set(message.joint_names) == set(load_embodiment(small_robot).all_joints)
    assert all(np.isfinite(point.positions).all() for point in message.points)
    # What the node was asked, asked again by hand.
    assert main(["replay-request", str(tmp_path / "predictions.jsonl"), "--number", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True
