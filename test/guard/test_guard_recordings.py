"""``cosmos-ros guard run``: the trajectories of a recording, judged as the guard would have."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from guard_support import HOME, NOW, PANDA, reach

from cosmos_ros.cli.main import main
from cosmos_ros.recordings.writer import BagWriter
from cosmos_ros.types import JointTrajectory

FINGER = "panda_finger_joint1"


def header(types: dict[str, Any], ns: int) -> Any:
    stamp = types["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)
    return types["std_msgs/msg/Header"](stamp=stamp, frame_id="")


def joint_state(types: dict[str, Any], ns: int, q: np.ndarray = HOME) -> Any:
    names = [*PANDA, FINGER]
    whole = np.append(q, 0.04)
    return types["sensor_msgs/msg/JointState"](
        header=header(types, ns), name=names, position=whole, velocity=np.zeros(8), effort=np.zeros(0)
    )


def message(types: dict[str, Any], trajectory: JointTrajectory) -> Any:
    points = []
    for k, ns in enumerate(trajectory.times_ns):
        duration = types["builtin_interfaces/msg/Duration"](sec=int(ns) // 10**9, nanosec=int(ns) % 10**9)
        points.append(
            types["trajectory_msgs/msg/JointTrajectoryPoint"](
                positions=trajectory.positions[k],
                velocities=trajectory.velocities[k],
                accelerations=np.zeros(0),
                effort=np.zeros(0),
                time_from_start=duration,
            )
        )
    return types["trajectory_msgs/msg/JointTrajectory"](
        header=header(types, trajectory.stamp_ns), joint_names=list(trajectory.joint_names), points=points
    )


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
    assert len(printed) == 5 and printed[-1] == "1 accept, 1 slow_down, 0 truncate, 2 reject"
    assert "panda_joint1" in printed[1]
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
    from cosmos_ros.guard.verdict import Violation

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
