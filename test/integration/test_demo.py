"""The demo as a newcomer runs it: the arm does its task through real topics, and what it leaves can be read."""

from __future__ import annotations

import json

import cv2
import pytest
from machine import slowness

from cosmos_ros.cli.main import main
from cosmos_ros.recordings.reader import BagReader
from cosmos_ros.sim.rendering import GL_BACKEND, INSTALL_HINT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.mark.skipif(GL_BACKEND == "disable", reason=f"no off-screen OpenGL. {INSTALL_HINT}")
def test_the_arm_does_its_task_and_everything_is_recorded(tmp_path, capsys):
    out = tmp_path / "demo"
    # How long a prediction takes says something of the machine that runs the tests, not of the code: the gate is wide,
    # and the simulator makes time go as slowly as the machine is slow.
    pace = tmp_path / "pace.yaml"
    pace.write_text(f"/**/sim_robot: {{ros__parameters: {{real_time_factor: {1.0 / slowness()}}}}}\n")
    words = ["--duration", str(60.0 * slowness()), "--deadline", "10", "use_sim_time:=true", f"params_file:={pace}"]
    assert main(["demo", "--out", str(out), *words]) == 0
    printed = capsys.readouterr().out
    assert "SCRIPTED, not predicted" in printed
    summary = json.loads((out / "summary.json").read_text())
    assert summary["failures"] == []
    assert summary["task_done"] is True
    assert summary["travel_rad"] > 0.3
    assert summary["broken_physical_limits"] == 0
    assert summary["sent"]["joint_trajectory"] >= 5
    for name in ("contact_sheet.png", "joints.png"):
        assert min(cv2.imread(str(out / name)).shape[:2]) > 200
    with BagReader(out / "bag") as reader:
        for topic in (
            "/predictor/rollout/image/compressed",
            "/guard/verdict",
            "/joint_trajectory",
            "/wrist/camera_info",
        ):
            reader.require(topic)
    # Judged again from the bag, every verdict is the live one. What was published while the recorder joined may lack.
    judged = tmp_path / "judged.json"
    assert main(["guard", "run", str(out / "bag"), "--strict", "--json", str(judged)]) == 0
    again = json.loads(judged.read_text())
    assert again["notes"][0] == "settings: recorded on /guard/settings"
    assert again["differing"] == again["unknown"] == 0
    assert again["found_again"] >= sum(summary["verdicts"].values()) - 2
    # A second run replaces the first; a folder with something else in it is left alone.
    (out / ".cosmos_ros_demo").unlink()
    assert main(["demo", "--out", str(out)]) == 2
    assert "not a demo's result" in capsys.readouterr().err
    assert (out / "summary.json").exists()
