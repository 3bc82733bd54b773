"""A cell's own description and an arm's own calibration in place of the shipped kinematics."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from robots import ROOT, embodiment

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import ConfigError, KinematicsError
from cosmos_ros.kinematics import RobotModel

FOLDER = ROOT / "embodiments"


def under_a_world(name: str, base: str, link: str) -> str:
    """A shipped URDF as a cell's robot_description has it: turned and raised under another root, with a camera."""
    text = (FOLDER / "urdf" / f"{name}.urdf").read_text()
    return text.replace(
        f'<link name="{base}"/>',
        f'''<link name="{link}"/><link name="{base}"/><link name="cell_camera"/>
        <joint name="mount" type="fixed"><parent link="{link}"/><child link="{base}"/>
        <origin xyz="0.3 -0.2 0.8" rpy="0 0 1.5"/></joint>
        <joint name="camera_mount" type="fixed"><parent link="{link}"/><child link="cell_camera"/></joint>''',
        1,
    )


@pytest.mark.parametrize(
    ("name", "urdf", "base", "root"),
    [("ur5e", "ur5e", "base_link", "world"), ("franka_fr3", "fr3", "fr3_link0", "base")],
)
def test_a_robot_description_with_a_world_above_the_robot(name, urdf, base, root):
    shipped = embodiment(name)
    robot = load_embodiment(name, urdf=under_a_world(urdf, base, root))
    assert robot.robot.root == base
    assert robot.limits == shipped.limits
    (link,) = robot.tool_links
    for q in np.random.default_rng(3).uniform(-1.5, 1.5, (5, len(robot.joint_names))):
        there = dict(zip(robot.joint_names, q, strict=True))
        np.testing.assert_array_equal(robot.robot.fk(there, link), shipped.robot.fk(there, link))
    target = {link: robot.robot.fk(robot.home, link)[None]}
    assert robot.solver().solve(target, robot.home).converged.all()


def test_calibration_and_description_of_ones_own_through_a_file(tmp_path):
    """What nodes and commands are given is the file; both it names stand beside it."""
    turns = {"upper_arm": (np.pi / 2, 0, 0), "wrist_2": (np.pi / 2, 0, 0), "wrist_3": (np.pi / 2, np.pi, np.pi)}
    places = {
        "shoulder": (0, 0, 0.1630), "upper_arm": (0, 0, 0), "forearm": (-0.4257, 0, 0), "wrist_1": (-0.3919, 0, 0.1333),
        "wrist_2": (0, -0.0997, 0), "wrist_3": (0, 0.0996, 0),
    }  # fmt: skip
    rows = {
        link: dict(zip(("x", "y", "z", "roll", "pitch", "yaw"), (*xyz, *turns.get(link, (0, 0, 0))), strict=True))
        for link, xyz in places.items()
    }
    (tmp_path / "calibration.yaml").write_text(yaml.safe_dump({"kinematics": rows}))
    (tmp_path / "cell.urdf").write_text(under_a_world("ur5e", "base_link", "world"))
    path = tmp_path / "my_ur5e.yaml"
    fields = {"plain": "{}", "both": "{ur_calibration: calibration.yaml, urdf: cell.urdf}"}
    robots = {}
    for name, field in fields.items():
        path.write_text(f"extends: ur5e.yaml\nname: my_ur5e\nrobot: {field}\n")
        robots[name] = load_embodiment(path)
    given = load_embodiment("ur5e", urdf=tmp_path / "cell.urdf", ur_calibration=tmp_path / "calibration.yaml")
    home = robots["plain"].home
    pose = robots["both"].robot.fk(home, "tool0")
    np.testing.assert_array_equal(pose, given.robot.fk(home, "tool0"))
    moved = np.linalg.norm((pose - robots["plain"].robot.fk(home, "tool0"))[:3, 3])
    assert 1e-4 < moved < 3e-3
    hashes = {robots["plain"].config_hash, robots["both"].config_hash}
    (tmp_path / "calibration.yaml").write_text(yaml.safe_dump({"kinematics": rows}) + "# again\n")
    hashes.add(load_embodiment(path).config_hash)
    assert len(hashes) == 3
    path.write_text("extends: ur5e.yaml\nname: my_ur5e\nrobot: {ur_calibration: none.yaml}\n")
    with pytest.raises(ConfigError, match=r"robot\.ur_calibration: no such file: .*none\.yaml"):
        load_embodiment(path)


def test_a_base_frame_that_parts_a_joint_from_the_one_it_mimics():
    text = (FOLDER / "urdf" / "panda.urdf").read_text()
    model = embodiment("franka").robot.rooted_at("panda_link8")
    assert (model.root, model.joint_names) == ("panda_link8", ("panda_finger_joint1",))
    torn = RobotModel.from_urdf(text.replace('mimic joint="panda_finger_joint1"', 'mimic joint="panda_joint1"'))
    with pytest.raises(KinematicsError, match=r"panda_finger_joint2: mimics 'panda_joint1', which is not below"):
        torn.rooted_at("panda_link8")
    with pytest.raises(KinematicsError, match="no link 'panda_link9'"):
        torn.rooted_at("panda_link9")


def test_a_urdf_for_what_has_no_robot():
    with pytest.raises(ConfigError, match=r"urdf: umi has no robot"):
        load_embodiment("umi", urdf=(FOLDER / "urdf" / "panda.urdf"))
