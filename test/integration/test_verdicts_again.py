"""The live nodes' observations, chunks, candidates and verdicts come out the same again offline, all of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from offline_predictions import join_again, predictions, states_at
from played_bag import CANDIDATES, SECONDS, TIMING, live_nodes, write_bag
from std_msgs.msg import String

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.evaluation.judged_recordings import guard_of, judge_in_context
from cosmos_ros.evaluation.judged_trajectory import differences
from cosmos_ros.guard.supervision.verdict_context import VerdictContext
from cosmos_ros.messages import joint_trajectory_from_message
from cosmos_ros.nodes import qos
from cosmos_ros.prediction.pipeline import Pipeline, PipelineSettings, Prediction
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.trajectory.joiner import Joiner, JoinSettings
from cosmos_ros.world_models import create_world_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
FRANKA = load_embodiment("franka")


def assert_same(a, b) -> None:
    assert a.joint_names == b.joint_names and a.stamp_ns == b.stamp_ns
    for name in ("times_ns", "positions", "velocities"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


@dataclass(frozen=True)
class Played:
    """A bag, its predictions offline, and what the live nodes published while it was played to them."""

    bag: Path
    offline: list[Prediction]
    provenance: list[dict[str, Any]]
    verdicts: list[dict[str, Any]]
    candidates: list[Any]
    settings: list[dict[str, Any]]


@pytest.fixture(scope="module")
def played(tmp_path_factory) -> Played:
    bag = tmp_path_factory.mktemp("played") / "bag"
    write_bag(bag, fast_from=2.0)
    model = create_world_model("flow")
    model.load()
    cameras = {view: f"/{view}/image_raw" for view in FRANKA.views}
    with BagReader(bag) as reader:
        offline = list(predictions(reader, Pipeline(FRANKA, model, PipelineSettings()), cameras, timing=TIMING))
    assert all(isinstance(p, Prediction) for p in offline)
    with live_nodes(bag) as (watcher, group, environment, play):
        watcher.listen(String, "guard/settings", qos.latched())
        group.start("player", play, environment)
        watcher.wait(lambda: "player" in group.ended(), "the player to end", 60.0)
        assert group.ended() == {"player": 0}

        def all_judged() -> bool:
            records = watcher.json("predictor/provenance")
            joined = sum("held" not in record["join"] for record in records)
            counts = {len(watcher.messages[topic]) for topic in ("guard/verdict_json", CANDIDATES)}
            return len(records) >= len(offline) and counts == {joined}

        watcher.wait(all_judged, "a verdict for every candidate")
        return Played(
            bag,
            offline,
            watcher.json("predictor/provenance"),
            watcher.json("guard/verdict_json"),
            list(watcher.messages[CANDIDATES]),
            watcher.json("guard/settings"),
        )


def essence(record: dict) -> dict:
    """What must be equal: inputs by stamp, and every digest of the canvas, frames and actions."""
    keys = ("stamp_ns", "image_stamps_ns", "joint_stamp_ns", "prompt", "seed", "digests", "config_hash")
    return {key: record[key] for key in keys}


def test_a_played_bag_gives_what_an_offline_walk_gives(played: Played):
    offline = {p.stamp_ns: essence(p.provenance) for p in played.offline}
    assert len(offline) >= round(SECONDS * TIMING.prediction_rate) - 2
    live = {record["stamp_ns"]: essence(record) for record in played.provenance}
    assert list(live) == list(offline)
    assert live == offline
    assert len(played.verdicts) >= len(offline) - 1
    assert all(not verdict["armed"] for verdict in played.verdicts)


def test_candidates_and_verdicts_of_a_played_bag_are_made_again_offline(played: Played):
    bag, offline = played.bag, played.offline
    joins = {record["stamp_ns"]: record["join"] for record in played.provenance}
    verdicts = {verdict["stamp_ns"]: verdict for verdict in played.verdicts}
    candidates = {joint_trajectory_from_message(c).stamp_ns: c for c in played.candidates}
    (settings,) = played.settings
    assert list(joins) == [p.stamp_ns for p in offline]
    assert len(verdicts) == len(candidates) >= round(SECONDS * TIMING.prediction_rate) - 3
    assert len({verdict["response"] for verdict in verdicts.values()}) > 1, "a test of one answer only"
    assert settings["parameters"]["dry_run"] and settings["config_hash"] == FRANKA.config_hash

    with BagReader(bag) as reader:
        states = states_at(reader, {join["measured_stamp_ns"] for join in joins.values()}, FRANKA.all_joints)
    joiner = Joiner(FRANKA.limits.joints, FRANKA.gripper_speeds)
    guard, policies = guard_of(FRANKA, settings["parameters"])
    made = 0
    for prediction in offline:
        join = joins[prediction.stamp_ns]
        again = join_again(prediction.trajectory, join, joiner, states, JoinSettings())
        assert json.loads(json.dumps(again.record)) == join
        if again.trajectory is None:
            continue
        made += 1
        candidate, live = candidates[again.trajectory.stamp_ns], verdicts[again.trajectory.stamp_ns]
        assert_same(again.trajectory, joint_trajectory_from_message(candidate))
        verdict = judge_in_context(candidate, VerdictContext.from_dict(live["context"]), (), guard, policies)
        assert differences(live, verdict) == {}
    assert made == len(verdicts)
