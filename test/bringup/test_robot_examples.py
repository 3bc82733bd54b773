"""The launch files for known drivers: arguments that predict.launch.py takes, for robots that they fit."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from unittest import mock

import pytest
import yaml

from cosmos_ros.bringup.arguments import predict_arguments, resolve
from cosmos_ros.bringup.checks import check_arguments
from cosmos_ros.bringup.graph import predict_nodes
from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.guard.supervision.node_settings import read_guard_parameters

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "robots"
NAMES = ("franka_ros2", "gazebo_ur", "interbotix_xsarm", "ur_robot_driver")


def arguments(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The defaults that a launch file gives predict.launch.py; launch itself need not be installed."""
    for module in (
        "launch",
        "launch.actions",
        "launch.launch_description_sources",
        "launch.substitutions",
        "launch_ros",
        "launch_ros.substitutions",
    ):
        monkeypatch.setitem(sys.modules, module, mock.MagicMock())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    return dict(runpy.run_path(str(FOLDER / f"{name}.launch.py"))["ARGUMENTS"])


def test_every_example_is_tested() -> None:
    assert {path.name for path in FOLDER.glob("*.launch.py")} == {f"{name}.launch.py" for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_driver_s_launch_file_fits_its_robot(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = resolve(predict_arguments(), arguments(name, monkeypatch))
    assert values["dry_run"] == "true"
    check_arguments(values)
    assert {"predictor", "guard"} <= {spec.name for spec in predict_nodes(values)}
    embodiment = load_embodiment(values["embodiment"])
    assert [pair.partition("=")[0] for pair in values["controllers"].split(",")] == [
        c for c, _ in embodiment.controllers
    ]
    assert set(embodiment.all_joints) == {joint for _, joints in embodiment.controllers for joint in joints}
    if values["params_file"]:
        assert read_guard_parameters(Path(values["params_file"]))
    text = (FOLDER / f"{name}.launch.py").read_text(encoding="utf-8")
    assert "not tried" in text  # on hardware; whoever tries it may say so


def test_the_controller_file_for_franka_names_the_embodiment_s_joints() -> None:
    file = yaml.safe_load((FOLDER / "franka_ros2_controllers.yaml").read_text(encoding="utf-8"))["/**"]
    joints = list(load_embodiment(FOLDER / "fr3_cell.yaml").joint_names)
    parameters = file["fr3_arm_controller"]["ros__parameters"]
    assert parameters["joints"] == joints == list(parameters["gains"])
