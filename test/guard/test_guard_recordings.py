"""``cosmos-ros guard run``: the trajectories of a recording, judged as the guard would have."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guard_bags import (
    CANDIDATES,
    CONTROLLERS,
    SETTINGS,
    VERDICTS,
    joint_state,
    message,
    record_live,
)
from guard_support import HOME, NOW, reach

from cosmos_ros.cli.main import main
from cosmos_ros.guard import Violation
from cosmos_ros.recordings.writer import BagWriter


def record(path: Path, *, states: bool = True, two_states: bool = False, trajectories: bool = True) -> Path:
    """A good candidate, one that is too fast, one with NaN, one that joins the first badly, and what was sent."""
    nan = reach(0.1)
    positions = nan.positions.copy()
    positions[3, 2] = np.nan
    with BagWriter(path) as bag:
        types = bag.types.types
        bag.add_topic("/joint_states", "sensor_msgs/msg/JointState")
        bag.add_topic("/predictor/action_trajectory", "trajectory_msgs/msg/JointTrajectory")
        bag.add_topic("/joint_trajectory", "trajectory_msgs/msg/JointTrajectory")
        if two_states:
            bag.add_topic("/other/joint_states", "sensor_msgs/msg/JointState")
        if states:
            bag.write_message("/joint_states", NOW - 1000, joint_state(types, NOW - 1000))
            broken = HOME.copy()
            broken[0] = np.nan
            bag.write_message("/joint_states", NOW - 500, joint_state(types, NOW - 500, broken))
        if trajectories:
            topic = "/predictor/action_trajectory"
            bag.write_message(topic, NOW, message(types, reach(0.1)))
            bag.write_message(topic, NOW + 1, message(types, reach(np.eye(7)[0] * 1.5)))
            bag.write_message(topic, NOW + 2, message(types, replace(nan, positions=positions)))
            bag.write_message("/joint_trajectory", NOW + 3, message(types, reach(0.3)))
            later = NOW + 400_000_000
            bag.write_message("/joint_states", later, joint_state(types, later))
            bag.write_message(topic, later + 1, message(types, reach(0.1, stamp_ns=later)))
    return path


def test_every_candidate_is_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag, out = record(tmp_path / "bag"), tmp_path / "verdicts.json"
    assert main(["guard", "run", str(bag), "--json", str(out)]) == 0
    data = json.loads(out.read_text())
    assert [v["response"] for v in data["verdicts"]] == ["accept", "slow_down", "reject", "reject"]
    assert data["verdicts"][2]["violations"][0]["limit"] == "nonfinite"
    # It starts where the measured arm is, but another trajectory is being executed.
    assert any(v["limit"] == "start_discontinuity" for v in data["verdicts"][3]["violations"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "1 accept, 1 slow_down, 0 truncate, 2 reject"
    assert "panda_joint1" in printed[-4]
    # What a bag of topics alone does not say is assumed, and said.
    assumed = "\n".join(data["notes"])
    assert printed[: len(data["notes"])] == data["notes"]
    for what in ("node's defaults", "robot: franka", "for 4 trajectories", "/joint_states", "on /joint_trajectory"):
        assert what in assumed
    assert main(["guard", "run", str(bag), "--strict"]) == 1


def test_topics_may_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = record(tmp_path / "bag")
    assert main(["guard", "run", str(bag), "--topic", "/joint_trajectory", "--joint-states", "/joint_states"]) == 0
    assert "1 accept" in capsys.readouterr().out
    assert main(["guard", "run", str(bag), "--topic", "/nothing"]) == 2
    assert main(["guard", "run", str(bag), "--joint-states", "/joint_trajectory"]) == 2


def test_without_joint_states_nothing_is_fresh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with BagWriter(tmp_path / "bag") as bag:
        bag.add_topic("/joint_trajectory", "trajectory_msgs/msg/JointTrajectory")
        bag.write_message("/joint_trajectory", NOW, message(bag.types.types, reach(0.1)))
    assert main(["guard", "run", str(tmp_path / "bag")]) == 0
    assert "stale_state" in capsys.readouterr().out


def test_what_cannot_be_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with BagWriter(tmp_path / "empty") as bag:
        bag.add_topic("/joint_states", "sensor_msgs/msg/JointState")
        bag.write_message("/joint_states", NOW, joint_state(bag.types.types, NOW))
    assert main(["guard", "run", str(tmp_path / "empty")]) == 2
    assert "no joint trajectory" in capsys.readouterr().err
    assert main(["guard", "run", str(record(tmp_path / "two", two_states=True))]) == 2
    assert "several topics" in capsys.readouterr().err
    assert main(["guard", "run", str(tmp_path / "none")]) == 2


def test_malformed_messages_in_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from cosmos_ros.guard.supervision.trajectory_intake import read_message

    with BagWriter(tmp_path / "bag") as bag:
        types = bag.types.types
        bag.add_topic("/joint_trajectory", "trajectory_msgs/msg/JointTrajectory")
        short = message(types, reach(0.1))
        short.points[2].positions = np.zeros(3)
        bag.write_message("/joint_trajectory", NOW, short)
    assert main(["guard", "run", str(tmp_path / "bag")]) == 0
    assert "lengths" in capsys.readouterr().out
    from guard_support import panda_limits

    def first(spoil: Any, max_points: int = 100) -> Violation:
        whole = message(types, reach(0.1))
        spoil(whole)
        found, _ = read_message(whole, panda_limits(), max_points)
        assert isinstance(found, list)
        return found[0]

    assert first(lambda m: setattr(m.header.stamp, "sec", -5)).limit == "stamp"
    assert first(lambda m: setattr(m.points[1].time_from_start, "nanosec", 2 * 10**9)).limit == "timing"
    assert first(lambda m: None, max_points=5).message == "too many points"


def judged(bag: Path, *arguments: str, status: int = 0) -> dict[str, Any]:
    out = bag.parent / f"{bag.name}.json"
    assert main(["guard", "run", str(bag), "--json", str(out), *arguments]) == status
    data: dict[str, Any] = json.loads(out.read_text())
    return data


def test_recorded_verdicts_are_found_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = judged(record_live(tmp_path / "bag"), "--strict")
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "6 of 6 verdicts found again"
    assert data["notes"] == ["settings: recorded on /guard/settings by version 0.0.1, judged by 0.1.0"]
    assert "recorded accept · again accept" in printed[1]
    limits = [[v["limit"] for v in one["violations"]] for one in data["verdicts"]]
    messages = [" ".join(v["message"] for v in one["violations"]) for one in data["verdicts"]]
    assert limits[:2] == [[], []] and "older than" in messages[2] and "what is commanded" in messages[3]
    assert limits[5] == ["stale_camera"]


def test_what_the_recording_lacks_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Other settings than the live guard's: the verdicts differ, and the cause is named.
    data = judged(record_live(tmp_path / "settings", SETTINGS), "--strict", status=1)
    assert data["notes"][0].startswith("assumed settings: the guard node's defaults")
    assert (data["found_again"], data["differing"]) == (4, 2)
    assert data["verdicts"][3]["differences"].keys() == {"summary", "violations"}
    assert "· differs in summary, violations" in capsys.readouterr().out
    # What the guard let through is known from its verdicts, its stops from the controllers' topics alone.
    data = judged(record_live(tmp_path / "controllers", *CONTROLLERS), "--strict")
    assert "not recorded: what was sent on joint_trajectory, gripper_trajectory" in data["notes"]
    assert (data["found_again"], data["unknown"]) == (5, 1)
    assert "is not in the recording" in data["verdicts"][4]["missing"]
    assert capsys.readouterr().out.endswith("5 of 5 verdicts found again; 1 rest on what the recording does not tell\n")
    data = judged(record_live(tmp_path / "gripper", "/gripper_trajectory"))
    assert "not recorded: what was sent on gripper_trajectory" in data["notes"]
    assert data["found_again"] == 6


def test_what_took_too_long_when_it_was_judged_cannot_be_found_again(tmp_path: Path, capsys) -> None:
    """And a machine on which the budget is short finds again what was judged in time."""
    bag = record_live(tmp_path / "bag", parameters={"judging_budget": 0.005}, slow=True)
    data = judged(bag, "--strict", status=1)
    assert data["unknown"] == 6 and data["differing"] == data["found_again"] == 0
    assert data["verdicts"][0]["missing"] == "it was not judged in time then"
    assert data["verdicts"][0]["response"] == "accept"


def test_verdicts_without_context_are_compared_by_response(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = judged(record_live(tmp_path / "bag", context=False), "--strict")
    assumed = "\n".join(data["notes"])
    for what in (
        "6 trajectories",
        "on /gripper_trajectory, /joint_trajectory",
        "cameras: /wrist/camera_info",
        "only the response is compared",
    ):
        assert what in assumed
    assert [one["response"] for one in data["verdicts"]] == ["accept", "accept", *["reject"] * 4]
    assert capsys.readouterr().out.endswith("6 of 6 verdicts found again\n")


def test_settings_that_changed_hold_from_then_on(tmp_path: Path) -> None:
    data = judged(record_live(tmp_path / "bag", relax=True), "--strict")
    assert data["found_again"] == 6 and data["verdicts"][5]["response"] == "accept"


def test_other_settings_may_be_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag, file = record_live(tmp_path / "bag"), tmp_path / "guard.yaml"
    file.write_text("/**/guard:\n  ros__parameters:\n    velocity_scale: 0.1\n    check: {stale_camera: true}\n")
    assert main(["guard", "run", str(bag), "--guard-config", str(file)]) == 2
    assert "stale_camera" in capsys.readouterr().err
    file.write_text(
        "/**/guard:\n  ros__parameters:\n    velocity_scale: 0.1\n    check: {start_discontinuity: false}\n"
    )
    data = judged(bag, "--guard-config", str(file), "--strict", status=1)
    assert data["notes"][0] == f"settings: {file}"
    assert data["verdicts"][0]["response"] == "slow_down"
    assert data["verdicts"][0]["differences"]["response"] == ["accept", "slow_down"]
    assert "recorded accept · again slow down by" in capsys.readouterr().out
    shipped = Path(__file__).parents[2] / "config" / "guard.yaml"
    assert judged(bag, "--guard-config", str(shipped))["differing"] == 2  # by the start tolerance
    for wrong in ("[1, 2", "/**/guard: {ros__parameters: {velocity_scale: 7.0}}", "just text"):
        file.write_text(wrong)
        assert main(["guard", "run", str(bag), "--guard-config", str(file)]) == 2
    assert main(["guard", "run", str(bag), "--guard-config", str(tmp_path / "none.yaml")]) == 2


def write_verdicts(path: Path, verdicts: dict[int, Any], **others: str) -> Path:
    """Two unstamped candidates of which the first was overtaken, verdicts by recording time, and other texts."""
    with BagWriter(path) as bag:
        bag.add_topic(CANDIDATES, "trajectory_msgs/msg/JointTrajectory")
        for topic in (VERDICTS, *others):
            bag.add_topic(topic, "std_msgs/msg/String")
        for k, delta in enumerate((0.1, 0.2)):
            bag.write_message(CANDIDATES, NOW + k, message(bag.types.types, reach(delta, stamp_ns=0)))
        for ns, verdict in verdicts.items():
            text = verdict if isinstance(verdict, str) else json.dumps(verdict)
            bag.write_message(VERDICTS, ns, bag.factory.string(text))
        for topic, text in others.items():
            bag.write_message(topic, NOW, bag.factory.string(text))
    return path


def test_a_verdict_belongs_to_the_candidate_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rejected, unknown = {"stamp_ns": 0, "response": "reject"}, {"stamp_ns": 77, "response": "accept"}
    data = judged(write_verdicts(tmp_path / "bag", {NOW + 2: rejected, NOW + 3: unknown}))
    assert [one["recorded"] for one in data["verdicts"]] == [None, rejected]
    assert "of 1 recorded verdicts the trajectory is not in the recording" in data["notes"]
    assert capsys.readouterr().out.endswith("1 of 1 verdicts found again\n")
    changed = {"version": "1", "config_hash": "other", "parameters": {"embodiment": "franka", "urdf": "/gone.urdf"}}
    data = judged(write_verdicts(tmp_path / "robot", {NOW + 2: rejected}, **{SETTINGS: json.dumps(changed)}))
    assert any(line.startswith("the robot differs from the recorded one") for line in data["notes"])
    assert "effort is not checked: /gone.urdf is not on this machine" in data["notes"]


def test_broken_records_of_a_guard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = {"now_ns": 0, "measured": {"stamp_ns": "x"}}
    wrong = {"a": "[1]", "b": "no JSON", "c": {}, "d": {"stamp_ns": 0, "response": "accept", "context": context}}
    for name, verdict in wrong.items():
        assert main(["guard", "run", str(write_verdicts(tmp_path / name, {NOW + 2: verdict}))]) == 2
        assert capsys.readouterr().err
    assert main(["guard", "run", str(write_verdicts(tmp_path / "settings", {}, **{SETTINGS: "{}"}))]) == 2
    assert "not the settings" in capsys.readouterr().err
    two = write_verdicts(
        tmp_path / "two", {NOW + 2: {"stamp_ns": 0, "response": "reject"}}, **{"/b/verdict_json": "{}"}
    )
    assert main(["guard", "run", str(two)]) == 2
    assert "several guards: /b, /guard" in capsys.readouterr().err
    assert judged(two, "--guard", "/guard")["found_again"] == 1
    assert main(["guard", "run", str(two), "--guard", "/c"]) == 2
