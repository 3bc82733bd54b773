"""One bag, played into the live nodes and walked offline: the same observations and chunks."""

from __future__ import annotations

import pytest
from parity_bag import SECONDS, TIMING, live_nodes, write_bag

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.evaluation.offline_predictions import predictions
from cosmos_ros.prediction.pipeline import Pipeline, PipelineSettings, Prediction
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.world_models import create_world_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


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

    with live_nodes(bag) as (watcher, group, environment, play):
        group.start("player", play, environment)
        watcher.wait(lambda: "player" in group.ended(), "the player to end", 60.0)
        assert group.ended() == {"player": 0}
        watcher.wait(lambda: len(watcher.messages["predictor/provenance"]) >= len(offline), "all predictions")
        live = {record["stamp_ns"]: essence(record) for record in watcher.json("predictor/provenance")}
        verdicts = watcher.json("guard/verdict_json")
    assert list(live) == list(offline)
    assert live == offline
    assert len(verdicts) >= len(offline) - 1
    assert all(not verdict["armed"] for verdict in verdicts)
