"""Every example runs by itself, on a machine without GPU, ROS graph, screen or network, and prints what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"

# Example → what each line of its output looks like.
PRINTS = {
    "guard_a_trajectory.py": [
        r"slow down by 1\.\d+: acceleration panda_joint1 .*",
        r"to be sent: \d+ points, 0\.\d+ s",
    ],
    "predict_from_an_image.py": [r"17 frames of \d+ x \d+, by flow", r"17 points for panda_joint1, .*"],
    "evaluate_a_recording.py": [
        r"4 chunks",
        r"model: frames \d\d\.\d dB, tool [23]\.\d\d cm off after half a second",
        r"persistence: frames \d\d\.\d dB, tool 4\.\d\d cm off after half a second",
        r"constant_velocity: no frames, tool 1\.\d\d cm off after half a second",
    ],
    "own_backend.py": [r"sway: the tool goes 50 mm away and ends 0 mm from its start"],
    "own_limit.py": [r"nobody near: accept", r"somebody near: slow down by 1\.\d+: .*"],
    "own_robot.py": [
        r"my_arm: joints j1, j2, j3, j4, j5, j6, jaw, domain bridge_orig_lerobot, 5 Hz",
        r"at home the tool is at \[0\.273, 0\.0, 0\.265\] m and the fingers point along .*",
        r"truncate at 1\.\d+ s: workspace .*flange leaves the box.*",
    ],
    "repeat_a_prediction.py": [r"asked flow again with seed 3: the same", r"largest difference 0\.0"],
    "lerobot_policy_guard.py": [
        r"gentle: 30 of 30 actions as asked, fastest 0\.94 rad/s, ends 0\.00 rad away",
        r"fast: \d of 30 actions as asked, fastest 1\.\d\d rad/s, ends 1\.\d\d rad away",
        r"broken: 12 of 30 actions as asked, fastest 0\.94 rad/s, ends 0\.5\d rad away",
    ],
}


def test_every_example_is_tested():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PRINTS)


def run(name, folder, *arguments):
    """Run an example in an empty folder and return the lines it printed."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", sorted(PRINTS))
def test_the_example_prints_what_it_says(name, tmp_path):
    lines = run(name, tmp_path)
    assert len(lines) == len(PRINTS[name]), lines
    for line, pattern in zip(lines, PRINTS[name], strict=True):
        assert re.fullmatch(pattern, line), line


def test_an_evaluation_leaves_its_report(tmp_path):
    done = run("evaluate_a_recording.py", tmp_path, "", "report")
    assert done[-1] == "report: report/report.html"
    assert "<html" in (tmp_path / "report" / "report.html").read_text()
