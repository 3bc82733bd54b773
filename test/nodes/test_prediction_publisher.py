"""What is published of a prediction when a part of that fails: the rest goes on, and it is reported."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed")

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.nodes.prediction_publisher import PredictionPublisher
from cosmos_ros.prediction.pipeline import Pipeline, PipelineSettings
from cosmos_ros.prediction.state_api import StateModel
from cosmos_ros.types import JointState, Observation
from cosmos_ros.world_models import create_world_model

FRANKA = load_embodiment("franka")


class Node:
    """Publishers that keep what is published, and a logger that keeps what is said."""

    def __init__(self):
        self.published = {}
        self.errors = []

    def create_publisher(self, kind, topic, *_, **__):
        kept = self.published.setdefault(topic, [])
        return SimpleNamespace(publish=kept.append, get_subscription_count=lambda: 0, topic_name=topic)

    def destroy_publisher(self, _):
        pass

    def get_logger(self):
        return SimpleNamespace(error=self.errors.append, warning=self.errors.append, debug=lambda _: None)


@pytest.fixture
def observation():
    images = {view: np.zeros((90, 160, 3), np.uint8) for view in FRANKA.views}
    posture = np.array([FRANKA.home[name] for name in FRANKA.all_joints])
    return Observation(5, images, dict.fromkeys(images, 5), JointState(4, FRANKA.all_joints, posture))


@pytest.fixture
def model():
    return create_world_model("persistence")


def until(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_full_disk_is_said_and_the_poses_still_go_out(tmp_path, monkeypatch, observation, model):
    node = Node()
    prediction = Pipeline(FRANKA, model, PipelineSettings()).predict(observation)
    publisher = PredictionPublisher(node, FRANKA, model, str(tmp_path / "log.jsonl"))

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.write_bytes", full)
        publisher.publish(prediction, {"n": 1})
        until(lambda: publisher.problem and node.published["~/action_poses"])
    assert "No space left on device" in publisher.problem
    assert node.errors == [publisher.problem]
    odd = replace(prediction, rollout=replace(prediction.rollout, provenance={"speed": float("nan")}))
    publisher.publish(odd, {"n": 2})
    until(lambda: not publisher.problem)
    publisher.close()
    assert [json.loads(message.data)["n"] for message in node.published["~/provenance"]] == [1, 2]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["n"], line["pictures"]) for line in lines] == [(1, False), (2, True)]
    assert lines[1]["speed"] is None


def test_answers_of_the_services_are_published_chunk_by_chunk(tmp_path, observation, model):
    node = Node()
    result = StateModel(model, FRANKA, seed=3).generate_rollout(observation, "stack the cups", 20)
    named = {"name": "persistence", "options": {}}
    publisher = PredictionPublisher(node, FRANKA, model, str(tmp_path / "log.jsonl"), named)
    publisher.publish_states(result)
    publisher.close()  # what was handed over is finished
    published = [json.loads(message.data) for message in node.published["~/provenance"]]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [(line["first_row"], line["seed"], line["mode"]) for line in lines] == [(0, 3, "policy"), (16, 4, "policy")]
    assert [record["digests"] for record in published] == [line["digests"] for line in lines]
    assert lines[0]["world_model"] == named
    assert (lines[0]["stamp_ns"], lines[0]["joint_stamp_ns"], lines[0]["config_hash"]) == (5, 4, FRANKA.config_hash)
