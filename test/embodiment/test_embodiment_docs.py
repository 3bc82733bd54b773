"""The tutorial works as written, and the reference names every robot."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from robots import NAMES, ROOT

from cosmos_ros.cli.main import main
from cosmos_ros.embodiment import RecordedStates, load_embodiment

DOCS = ROOT / "docs"


def block(text: str, language: str) -> str:
    """Return the one fenced block of a language."""
    found = re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)
    assert len(found) == 1
    return found[0]


@pytest.fixture
def tutorial(tmp_path):
    text = (DOCS / "tutorials" / "own_robot.md").read_text(encoding="utf-8")
    (tmp_path / "my_arm.urdf").write_text(block(text, "xml"))
    (tmp_path / "my_arm.yaml").write_text(block(text, "yaml"))
    return tmp_path


def test_tutorial_robot_is_valid(tutorial, capsys):
    assert main(["embodiments", "validate", str(tutorial / "my_arm.yaml")]) == 0
    robot = load_embodiment(tutorial / "my_arm.yaml")
    assert robot.all_joints == ("j1", "j2", "j3", "j4", "j5", "j6", "jaw")
    assert robot.limits.joints["jaw_mirror"].mimic.source == "jaw"
    assert robot.spec.workspace.table_height == 0.0
    assert robot.domain_name == "bridge_orig_lerobot"


def test_tutorial_recording_moves_forward_along_z(tutorial, capsys):
    robot = load_embodiment(tutorial / "my_arm.yaml")
    start = robot.robot.fk(robot.home, "flange")
    forward = np.stack([start @ _along_x(0.01 * k) for k in range(5)])
    encoded = robot.encode(RecordedStates(tool_poses={"flange": forward}, gripper_openings={"gripper": np.ones(5)}))
    np.testing.assert_allclose(encoded.physical[:, :3], [[0.0, 0.0, 0.01]] * 4, atol=1e-12)


def test_tutorial_commands(tutorial, capsys):
    robot = load_embodiment(tutorial / "my_arm.yaml")
    home = np.array([robot.home[name] for name in robot.joint_names])
    np.savez(tutorial / "run.npz", q=home + np.linspace(0, 0.05, 9)[:, None], gripper=np.linspace(0, 1, 9))
    arguments = ["--embodiment", str(tutorial / "my_arm.yaml"), "--states", str(tutorial / "run.npz")]
    arguments += ["--joints-column", "q", "--gripper-column", "gripper", "--json", str(tutorial / "run.json")]
    assert main(["actions", "encode", *arguments]) == 0
    content = json.loads((tutorial / "run.json").read_text())
    assert np.shape(content["actions"]) == (8, 10)
    assert content["actions"][-1][9] == pytest.approx(2 * 0.875 - 1)


def test_reference_names_every_embodiment():
    text = (DOCS / "reference" / "embodiments.md").read_text(encoding="utf-8")
    assert set(NAMES) - set(re.findall(r"[A-Za-z0-9_]+", text)) == set()


def _along_x(metres: float) -> np.ndarray:
    pose = np.eye(4)
    pose[0, 3] = metres
    return pose
