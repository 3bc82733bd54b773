"""Every example runs by itself, on a machine without GPU, ROS graph, screen or network, and prints what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
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
        r"model: frames \d\d\.\d dB, tool \d+\.\d\d cm off after half a second",
        r"persistence: frames \d\d\.\d dB, tool \d+\.\d\d cm off after half a second",
        r"constant_velocity: no frames, tool \d+\.\d\d cm off after half a second",
        r"report: .*report\.html",
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
        r"gentle: accept, joint 1 goes 0\.20 of 0\.20 rad in these 16 rows",
        r"fast: slow_down, joint 1 goes [01]\.\d\d of 1\.60 rad in these 16 rows",
        r"broken: reject, joint 1 goes 0\.00 of nan rad in these 16 rows",
    ],
}


def test_every_example_is_tested():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PRINTS)


@pytest.mark.parametrize("name", sorted(PRINTS))
def test_the_example_prints_what_it_says(name, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(EXAMPLES.parent)}
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / name)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(PRINTS[name]), done.stdout
    for line, pattern in zip(lines, PRINTS[name], strict=True):
        assert re.fullmatch(pattern, line), line


def test_the_guard_step_keeps_type_and_shape_of_an_action(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from lerobot_policy_guard import GuardStep

    class Tensor(np.ndarray):
        """What the step asks of a torch tensor."""

        def new_tensor(self, data):
            return np.asarray(data, dtype=self.dtype).view(Tensor)

    step = GuardStep("franka", fps=15.0)
    home = np.array([step._rest[name] for name in step._joints])
    for shape in ((7,), (3, 7), (1, 3, 7)):
        action = np.broadcast_to(home.astype(np.float32), shape).copy().view(Tensor)
        out = step({"action": action, "observation": {"observation.state": home}, "reward": 1.0})
        assert isinstance(out["action"], Tensor) and out["action"].dtype == np.float32
        assert out["action"].shape == shape and out["reward"] == 1.0
        assert np.allclose(out["action"], action, atol=1e-6)
    assert GuardStep(**step.get_config()).get_config() == step.get_config()
    features = SimpleNamespace()
    assert step.transform_features(features) is features
    step.reset()
    assert step.last_verdict is None and step.state_dict() == {}
