"""The live nodes' candidates and verdicts come out the same again offline, all of them."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from parity_bag import SECONDS, TIMING, live_nodes, write_bag
from std_srvs.srv import SetBool
from trajectory_msgs.msg import JointTrajectory

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import InputError
from cosmos_ros.evaluation.offline_predictions import predictions
from cosmos_ros.evaluation.replayed_decisions import (
    differences,
    join_again,
    judge_again,
    judge_recording_again,
    states_at,
)
from cosmos_ros.guard import Guard
from cosmos_ros.guard.robot_checks import surroundings_of
from cosmos_ros.messages import joint_trajectory_from_message
from cosmos_ros.nodes import guard_parameters, predictor_parameters
from cosmos_ros.prediction.pipeline import Pipeline, PipelineSettings
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.trajectory.joiner import Joiner
from cosmos_ros.world_models import create_world_model

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
FRANKA = load_embodiment("franka")
CANDIDATES = "predictor/action_trajectory"


def defaults(module) -> dict:
    return {spec.name: spec.default for spec in module.parameters()}


def the_live_guard() -> Guard:
    groups = tuple(joints for _, joints in FRANKA.controllers)
    config = guard_parameters.guard_config(defaults(guard_parameters), surroundings_of(FRANKA), groups)
    return Guard(FRANKA.limits, config, FRANKA.robot)


def assert_same(a, b) -> None:
    assert a.joint_names == b.joint_names and a.stamp_ns == b.stamp_ns
    for name in ("times_ns", "positions", "velocities"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_candidates_and_verdicts_of_a_played_bag_are_made_again_offline(tmp_path):
    bag = tmp_path / "bag"
    write_bag(bag, fast_from=2.0)
    model = create_world_model("flow")
    model.load()
    cameras = {view: f"/{view}/image_raw" for view in FRANKA.views}
    with BagReader(bag) as reader:
        offline = list(predictions(reader, Pipeline(FRANKA, model, PipelineSettings()), cameras, timing=TIMING))
    with live_nodes(bag) as (watcher, group, environment, play):
        watcher.listen(JointTrajectory, CANDIDATES)
        group.start("player", play, environment)
        watcher.wait(lambda: "player" in group.ended(), "the player to end", 60.0)

        def all_told() -> bool:
            told = watcher.json("predictor/provenance")
            joined = sum("held" not in record["join"] for record in told)
            counts = {len(watcher.messages[topic]) for topic in ("guard/verdict_json", CANDIDATES)}
            return len(told) >= len(offline) and counts == {joined}

        watcher.wait(all_told, "a verdict for every candidate")
        told = {record["stamp_ns"]: record["join"] for record in watcher.json("predictor/provenance")}
        verdicts = {verdict["stamp_ns"]: verdict for verdict in watcher.json("guard/verdict_json")}
        candidates = {c.stamp_ns: c for c in map(joint_trajectory_from_message, watcher.messages[CANDIDATES])}
    assert list(told) == [p.stamp_ns for p in offline]
    assert len(verdicts) == len(candidates) >= round(SECONDS * TIMING.prediction_rate) - 3
    assert len({verdict["response"] for verdict in verdicts.values()}) > 1, "a test of one answer only"

    stamps = {join["measured_stamp_ns"] for join in told.values()}
    stamps |= {verdict["context"]["measured_stamp_ns"] for verdict in verdicts.values()}
    with BagReader(bag) as reader:
        ordered, published = states_at(reader, stamps, joints=FRANKA.all_joints), states_at(reader, stamps)
    joiner = Joiner(FRANKA.limits.joints, [g.joint for g in FRANKA.gripper_joints.values()])
    settings = predictor_parameters.join_settings(defaults(predictor_parameters))
    policies = guard_parameters.supervisor_config(defaults(guard_parameters))
    guard, made = the_live_guard(), 0
    for prediction in offline:
        join = told[prediction.stamp_ns]
        again = join_again(prediction.trajectory, join, joiner, ordered, settings)
        assert json.loads(json.dumps(again.record)) == join
        if again.trajectory is None:
            continue
        made += 1
        live = verdicts[again.trajectory.stamp_ns]
        assert_same(again.trajectory, candidates[again.trajectory.stamp_ns])
        verdict = judge_again(again.trajectory, live["context"], guard, published, {}, policies)
        assert differences(live, verdict) == {}
    assert made == len(verdicts)


def test_a_recording_of_an_armed_guard_gives_its_verdicts_again(tmp_path):
    bag, recorded = tmp_path / "bag", tmp_path / "live"
    write_bag(bag, seconds=6.0, fast_from=4.0, share=0.3)
    with live_nodes(bag, dry_run=False) as (watcher, group, environment, play):
        wanted = ["/joint_states", f"/{CANDIDATES}", "/guard/verdict_json", *(topic for topic, _ in FRANKA.controllers)]
        verb = [sys.executable, "-m", "cosmos_ros.cli.main"]
        group.start("recorder", [*verb, "record", str(recorded), "--topics", *wanted], environment)
        group.start("player", [*play, "--start-paused"], environment)
        # Nothing is played before it is heard.
        count = watcher.node.count_subscribers
        watcher.wait(lambda: count("/joint_states") == 3 and count("/guard/verdict_json") == 2, "the recorder")
        watcher.ask(SetBool, "/cosmos_ros_player/pause", SetBool.Request(data=False))
        watcher.wait(lambda: watcher.messages["guard/verdict_json"], "a verdict")
        assert watcher.call("/guard/arm").success
        watcher.wait(lambda: "player" in group.ended(), "the player to end", 60.0)
    policies = guard_parameters.supervisor_config(defaults(guard_parameters))
    found = list(judge_recording_again(recorded, FRANKA, the_live_guard(), policies))
    assert len(found) >= 6.0 * TIMING.prediction_rate - 4
    assert [entry.differences for entry in found] == [{}] * len(found)
    assert sum(entry.live["context"]["executing_stamp_ns"] is not None for entry in found) > 3
    assert len({entry.live["response"] for entry in found}) > 1
    assert sum(entry.live["published_ns"] is not None for entry in found) > 3


def test_verdicts_without_their_context_are_refused(tmp_path):
    path = tmp_path / "old"
    with BagWriter(path) as bag:
        bag.add_topic("/joint_states", "sensor_msgs/msg/JointState")
        bag.add_topic(f"/{CANDIDATES}", "trajectory_msgs/msg/JointTrajectory")
        bag.add_topic("/guard/verdict_json", "std_msgs/msg/String")
        types = bag.types.types
        empty = types["trajectory_msgs/msg/JointTrajectory"](bag.factory.header(5, ""), joint_names=[], points=[])
        bag.write_message(f"/{CANDIDATES}", 5, empty)
        bag.write_message("/guard/verdict_json", 6, bag.factory.string(json.dumps({"stamp_ns": 5})))
    policies = guard_parameters.supervisor_config(defaults(guard_parameters))
    with pytest.raises(InputError, match="tells no context"):
        list(judge_recording_again(path, FRANKA, the_live_guard(), policies))
