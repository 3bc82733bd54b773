"""One bag, played into the live nodes and walked offline: the same observations, chunks and verdict inputs."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from live import SIZE, processes
from std_msgs.msg import String

from cosmos_ros.bringup.graph import predict_arguments, predict_nodes, resolve
from cosmos_ros.bringup.processes import node_command
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.evaluation.bag_types import qos
from cosmos_ros.evaluation.bag_writer import BagWriter
from cosmos_ros.evaluation.bags import BagReader
from cosmos_ros.evaluation.offline import predictions
from cosmos_ros.messages import compress
from cosmos_ros.observation.setup import Timing
from cosmos_ros.pipeline import Pipeline, PipelineSettings, Prediction
from cosmos_ros.world_models import create_world_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

START = 1_700_000_000 * 10**9
SECONDS = 4.0
TIMING = Timing(prediction_rate=3.0, sync_wait=0.5)


def write_bag(path: Path) -> None:
    """Three cameras whose pictures drift, an arm that sways, with the delays and jitter of a real recording."""
    embodiment = load_embodiment("franka")
    rng = np.random.default_rng(4)
    texture = cv2.GaussianBlur(rng.integers(0, 255, size=(*SIZE, 3), dtype=np.uint8), (0, 0), 3.0)
    home = np.array([embodiment.home[name] for name in embodiment.all_joints])
    events: list[tuple[int, str, int]] = []
    for k in range(round(SECONDS * 15)):
        for offset, view in enumerate(embodiment.views):
            stamp = START + round(k * 1e9 / 15) + offset * 3_000_000
            events.append((stamp + int(rng.integers(5e6, 25e6)), view, stamp))
    for k in range(round(SECONDS * 100)):
        stamp = START + k * 10_000_000
        events.append((stamp + int(rng.integers(1e6, 3e6)), "joints", stamp))
    with BagWriter(path) as bag:
        bag.add_topic("/instruction", "std_msgs/msg/String", qos=[qos(latched=True, depth=1)])
        bag.add_topic("/joint_states", "sensor_msgs/msg/JointState", qos=[qos()])
        for view in embodiment.views:
            bag.add_topic(f"/{view}/image_raw/compressed", "sensor_msgs/msg/CompressedImage", qos=[qos(reliable=True)])
        bag.write_message("/instruction", START, bag.factory.string("wipe the table"))
        for log, stream, stamp in sorted(events):
            t = (stamp - START) * 1e-9
            if stream == "joints":
                q = home + np.array([0.1, 0.05, 0, 0, 0.1, 0, 0.2, 0]) * np.sin(1.5 * t)
                rates = np.array([0.1, 0.05, 0, 0, 0.1, 0, 0.2, 0]) * 1.5 * np.cos(1.5 * t)
                message = bag.factory.joint_state(embodiment.all_joints, q, rates, stamp_ns=stamp)
                bag.write_message("/joint_states", log, message)
            else:
                payload = compress(np.roll(texture, round(40 * t), axis=1), image_format="png")
                message = bag.factory.compressed_image(payload, stamp_ns=stamp, frame_id=stream)
                bag.write_message(f"/{stream}/image_raw/compressed", log, message)


def essence(record: dict) -> dict:
    """What must be equal: inputs by stamp, and every digest of the canvas, frames and actions."""
    keys = ("stamp_ns", "image_stamps_ns", "joint_stamp_ns", "prompt", "seed", "digests", "config_hash")
    return {key: record[key] for key in keys}


def test_a_played_bag_gives_what_an_offline_walk_gives(tmp_path):
    bag = tmp_path / "bag"
    write_bag(bag)
    embodiment = load_embodiment("franka")
    model = create_world_model("flow")
    model.load()
    cameras = {view: f"/{view}/image_raw" for view in embodiment.views}
    with BagReader(bag) as reader:
        found = list(predictions(reader, Pipeline(embodiment, model, PipelineSettings()), cameras, timing=TIMING))
    assert all(isinstance(p, Prediction) for p in found)
    offline = {p.stamp_ns: essence(p.provenance) for p in found}
    assert len(offline) >= round(SECONDS * TIMING.prediction_rate) - 2

    values = resolve(predict_arguments(), {"use_sim_time": "true", "world_model": "flow", "dry_run": "true"})
    with processes() as (watcher, group, environment, lines):
        watcher.listen(String, "predictor/provenance")
        watcher.listen(String, "guard/verdict_json")
        for spec in predict_nodes(values):
            extra = {"prediction_rate": TIMING.prediction_rate, "sync_wait": TIMING.sync_wait}
            if spec.name == "predictor":
                spec = type(spec)(**{**spec.__dict__, "parameters": {**spec.parameters, **extra}})
            group.start(spec.name, node_command(spec, group.folder), environment)
        watcher.wait_diagnostic("predictor: state", "active")
        play = [sys.executable, "-m", "cosmos_ros.cli.main", "play", str(bag), "--clock", "--wait-for"]
        topics = [f"/{view}/image_raw/compressed" for view in embodiment.views]
        group.start("player", [*play, "/joint_states", "/instruction", *topics], environment)
        try:
            watcher.wait(lambda: "player" in group.ended(), "the player to end", 60.0)
            assert group.ended() == {"player": 0}
            watcher.wait(lambda: len(watcher.messages["predictor/provenance"]) >= len(offline), "all predictions")
        finally:
            print("\n".join(lines[-30:]))
        live = {record["stamp_ns"]: essence(record) for record in watcher.json("predictor/provenance")}
        verdicts = watcher.json("guard/verdict_json")
    assert list(live) == list(offline)
    assert live == offline
    assert len(verdicts) >= len(offline) - 1
    assert all(not verdict["armed"] for verdict in verdicts)
