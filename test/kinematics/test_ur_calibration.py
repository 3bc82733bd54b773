"""Per-unit calibration of Universal Robots arms."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from cosmos_ros.errors import ConfigError, KinematicsError
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.resources import resource

H = np.pi / 2
# default_kinematics.yaml of a UR5e, then millimetres and milliradians off, as ur_calibration writes it: the forearm
# with the equivalent half turns that its decomposition really gives.
NOMINAL = {
    "shoulder": (0, 0, 0.1625, 0, 0, 0),
    "upper_arm": (0, 0, 0, H, 0, 0),
    "forearm": (-0.425, 0, 0, 0, 0, 0),
    "wrist_1": (-0.3922, 0, 0.1333, 0, 0, 0),
    "wrist_2": (0, -0.0997, 0, H, 0, 0),
    "wrist_3": (0, 0.0996, 0, H, np.pi, np.pi),
}
MEASURED = {
    "shoulder": (0, 0, 0.16243, 0, 0, 2e-5),
    "upper_arm": (1.2e-4, 0, 0, H - 3e-4, 0, -1e-5),
    "forearm": (-0.42491, 0, 0, 3.1407, 3.1404, 3.14158),
    "wrist_1": (-0.39193, 0.00021, 0.13343, 0.0016, 0, 0),
    "wrist_2": (6e-5, -0.09971, 3e-5, H - 2e-4, 0, 0),
    "wrist_3": (3e-5, 0.09958, 6e-5, H + 5e-4, np.pi, np.pi),
}
FIELDS = ("x", "y", "z", "roll", "pitch", "yaw")
JOINTS = ["shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3"]


def write(path: Path, numbers: dict, **extra: object) -> Path:
    rows = {link: {field: float(v) for field, v in zip(FIELDS, row, strict=True)} for link, row in numbers.items()}
    path.write_text(yaml.safe_dump({"kinematics": {**rows, "hash": "calib_1234", **extra}}))
    return path


def load(name: str = "ur5e", prefix: str = "") -> RobotModel:
    text = resource("embodiments", "urdf", f"{name}.urdf").read_text()
    # As ur_description's tf_prefix: before every link and joint.
    return RobotModel.from_urdf(re.sub(r'(<(?:link|joint) name="|link="|joint=")', rf"\g<1>{prefix}", text))


def by_hand(numbers: dict, q: np.ndarray) -> np.ndarray:
    pose = np.diag([-1.0, -1.0, 1.0, 1.0])
    for row, angle in zip(numbers.values(), q, strict=True):
        step = np.eye(4)
        step[:3, :3] = (Rotation.from_euler("xyz", row[3:]) * Rotation.from_euler("z", angle)).as_matrix()
        step[:3, 3] = row[:3]
        pose = pose @ step
    return pose


@pytest.mark.parametrize("prefix", ["", "left_"])
def test_calibration_moves_the_joint_origins(tmp_path: Path, prefix: str) -> None:
    nominal = load(prefix=prefix)
    model = nominal.with_ur_calibration(write(tmp_path / "c.yaml", MEASURED))
    assert model.joint_names == nominal.joint_names
    assert model.limits == nominal.limits
    differences = []
    for q in np.random.default_rng(0).uniform(-3, 3, (50, 6)):
        np.testing.assert_allclose(model.fk(q, f"{prefix}wrist_3_link"), by_hand(MEASURED, q), atol=1e-12)
        differences.append(np.linalg.norm((model.fk(q, f"{prefix}tool0") - nominal.fk(q, f"{prefix}tool0"))[:3, 3]))
    assert 1e-4 < np.mean(differences) < 5e-3
    np.testing.assert_array_equal(nominal.fk(q, f"{prefix}tool0"), load(prefix=prefix).fk(q, f"{prefix}tool0"))


def test_nominal_numbers_change_nothing(tmp_path: Path) -> None:
    model = load().with_ur_calibration(write(tmp_path / "c.yaml", NOMINAL))
    q = np.array([0.1, -1.0, 0.5, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(model.fk(q, "tool0"), load().fk(q, "tool0"), atol=1e-15)


@pytest.mark.parametrize("name", ["ur3e", "ur10e", "ur16e", "ur20", "ur30"])
def test_another_size_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(KinematicsError, match=r"mm and .* from .* nominal"):
        load(name).with_ur_calibration(write(tmp_path / "c.yaml", MEASURED))


def test_another_make_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KinematicsError, match="0 links are called 'shoulder_link'"):
        load("panda").with_ur_calibration(write(tmp_path / "c.yaml", MEASURED))


# Aliases of aliases: 26 lines that would be 9^26 letters if they were written out.
LETTERS = "abcdefghijklmnopqrstuvwxyz"
GROWING = "a: &a [x]\n" + "".join(
    f"{this}: &{this} [{', '.join([f'*{last}'] * 9)}]\n" for last, this in pairwise(LETTERS)
)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("kinematics: [", "not YAML"),
        ("[1, 2]", "no 'kinematics'"),
        ("kinematics: {shoulder: 3}", r"kinematics\.shoulder"),
        ("kinematics: {shoulder: {x: 0, y: 0, z: 0.16, roll: 0, pitch: 0}}", r"shoulder\.yaw: None"),
        ("kinematics: {shoulder: {x: 0, y: .nan, z: 0.16, roll: 0, pitch: 0, yaw: 0}}", r"shoulder\.y: nan"),
        ("kinematics: {shoulder: {x: 0, y: '0', z: 0.16, roll: 0, pitch: 0, yaw: 0}}", r"shoulder\.y: '0'"),
        ("kinematics: !!python/object/apply:os.getcwd []", "not YAML"),
        ("kinematics: 2001-99-99", "not YAML"),
        (f"kinematics: {{shoulder: {{x: {'9' * 400}, y: 0, z: 0, roll: 0, pitch: 0, yaw: 0}}}}", r"shoulder\.x: int"),
        (GROWING + "kinematics: {shoulder: {x: *z, y: 0, z: 0, roll: 0, pitch: 0, yaw: 0}}", r"shoulder\.x: list is"),
        ("# " + "x" * 70000, "larger than"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, match: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=match):
        load().with_ur_calibration(file)
    with pytest.raises(ConfigError, match="cannot read"):
        load().with_ur_calibration(tmp_path / "none.yaml")
