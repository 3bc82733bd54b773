"""The whole chain on the recording of a real robot: flow predicts, the guard is disarmed, its verdicts are recorded."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from live import processes
from machine import slowness
from std_msgs.msg import String
from trajectory_msgs.msg import JointTrajectory

from cosmos_ros.bringup.arguments import resolve
from cosmos_ros.bringup.graph import BRINGUPS
from cosmos_ros.bringup.player_process import player_command
from cosmos_ros.bringup.processes import node_command
from cosmos_ros.cli.main import main
from cosmos_ros.recordings.reader import BagReader

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

SAMPLE = Path(os.environ.get("COSMOS_ROS_DROID", Path(__file__).parents[3] / "shared" / "data" / "droid"))


@pytest.mark.skipif(not (SAMPLE / "episode.parquet").exists(), reason=f"the DROID sample is not at {SAMPLE}")
def test_a_real_episode_is_predicted_and_judged(tmp_path):
    bag, out = tmp_path / "bag", tmp_path / "out"
    assert main(["import-lerobot", str(SAMPLE), str(bag), "--instruction", "put the bag into the bin"]) == 0

    bringup = BRINGUPS["replay"]
    given = {"bag": str(bag), "cameras": "exterior_2=exterior_2/image_raw", "world_model": "flow"}
    given["rate"] = str(1.0 / slowness())
    values = resolve(bringup.arguments(), given)
    with processes() as (watcher, group, environment, lines):
        for topic in ("predictor/provenance", "guard/verdict_json"):
            watcher.listen(String, topic)
        watcher.listen(JointTrajectory, "joint_trajectory")
        record = [sys.executable, "-m", "cosmos_ros.cli", "record", str(out), "--topics"]
        group.start("recorder", [*record, "/guard/verdict_json", "/predictor/action_trajectory"], environment)
        for spec in bringup.nodes(values):
            group.start(spec.name, node_command(spec, group.folder), environment)
        watcher.wait_diagnostic("predictor: state", "active")
        count = watcher.node.count_subscribers
        watcher.wait(lambda: count("/guard/verdict_json") == 2, "the recorder beside us")
        group.start("player", player_command(values), environment)
        try:
            watcher.wait(lambda: len(watcher.messages["guard/verdict_json"]) >= 12, "twelve verdicts", 90.0)
            assert not watcher.call("guard/arm").success  # a replay is a dry run
        finally:
            print("\n".join(lines[-30:]))
        predictions, verdicts = watcher.json("predictor/provenance"), watcher.json("guard/verdict_json")
        assert not watcher.messages["joint_trajectory"]
        assert group.ended() == {}
    assert {p["backend"] for p in predictions} == {"flow"}
    assert {"description": "put the bag into the bin."}.items() <= _action(predictions[-1]["prompt"]).items()
    assert all(p["image_stamps_ns"].keys() == {"exterior_2"} for p in predictions)
    assert all(not v["armed"] and v["published_ns"] is None for v in verdicts)
    assert {v["response"] for v in verdicts} <= {"accept", "slow_down", "truncate", "reject"}
    with BagReader(out) as reader:
        recorded = sum(1 for _ in reader.messages(["/guard/verdict_json"]))
    assert recorded >= len(verdicts) - 2


def _action(prompt: str) -> dict[str, str]:
    return json.loads(prompt)["actions"][0]
