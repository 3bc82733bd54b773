"""URDF is untrusted text: what is refused, and what is understood."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cosmos_ros.errors import ConfigError, KinematicsError
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.kinematics import urdf as urdf_module

LIMIT = '<limit lower="-1" upper="1" velocity="2" effort="3"/>'


def joint(name: str = "j", parent: str = "a", child: str = "b", kind: str = "revolute", inside: str = LIMIT) -> str:
    return f'<joint name="{name}" type="{kind}"><parent link="{parent}"/><child link="{child}"/>{inside}</joint>'


def robot(*joints: str, links: str = "ab") -> str:
    return f'<robot name="r">{"".join(f"<link name={chr(34)}{n}{chr(34)}/>" for n in links)}{"".join(joints)}</robot>'


def refused(text: str, match: str) -> None:
    with pytest.raises(KinematicsError, match=match):
        RobotModel.from_urdf(text)


def test_smallest_robot() -> None:
    model = RobotModel.from_urdf(robot(joint()))
    assert model.joint_names == ("j",)
    assert model.links == ("a", "b")
    assert model.root == "a"
    limit = model.limits["j"]
    assert (limit.lower, limit.upper, limit.velocity, limit.effort) == (-1, 1, 2, 3)
    # The default axis is x.
    np.testing.assert_allclose(model.fk([np.pi / 2], "b")[:3, :3], [[1, 0, 0], [0, 0, -1], [0, 1, 0]], atol=1e-15)


@pytest.mark.parametrize(
    "head",
    [
        '<?xml version="1.0"?><!DOCTYPE robot>',
        '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        "<!doctype robot>",
        "<! ENTITY a>",
    ],
)
def test_dtds_and_entities_are_refused(head: str) -> None:
    refused(head + robot(joint()), "DTD or an entity")


def test_other_encodings_cannot_hide_a_dtd(tmp_path: Path) -> None:
    file = tmp_path / "robot.urdf"
    file.write_bytes(('<?xml version="1.0" encoding="utf-16"?><!DOCTYPE r>' + robot(joint())).encode("utf-16"))
    with pytest.raises(KinematicsError, match="UTF-8"):
        RobotModel.from_urdf(file)
    file.write_bytes(('<?xml version="1.0" encoding="utf-7"?>' + robot(joint())).encode())
    assert RobotModel.from_urdf(file).joint_names == ("j",)


def test_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urdf_module, "MAX_BYTES", 1000)
    refused(robot(joint()) + " " * 1000, "longer than 1000")
    file = tmp_path / "robot.urdf"
    file.write_text(robot(joint()) + " " * 1000)
    with pytest.raises(KinematicsError, match="larger than 1000"):
        RobotModel.from_urdf(file)
    monkeypatch.setattr(urdf_module, "MAX_LINKS", 1)
    refused(robot(joint()), "2 links")


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        RobotModel.from_urdf(tmp_path / "none.urdf")
    with pytest.raises(ConfigError, match="cannot read"):
        RobotModel.from_urdf("\0")
    with pytest.raises(ConfigError, match="cannot read"):
        RobotModel.from_urdf("")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("<robot><link", "well-formed"),
        ("<sdf/>", "not <robot>"),
        ('<robot xmlns:xacro="http://www.ros.org/wiki/xacro"><xacro:macro name="m"/></robot>', "xacro"),
        ("<robot/>", "0 root links"),
        ("<robot><link/></robot>", "no name"),
        (robot(joint(), links="aab"), "link 'a' is defined more than once"),
        (robot(joint(), joint()), "joint 'j' is defined more than once"),
        (robot(joint(child="c")), "joint j.*link 'c' is not defined"),
        (robot(joint("j"), joint("k")), "two parents, joints j and k"),
        (robot(joint("j", "a", "b"), links="abc"), "2 root links"),
        (robot(joint("j", "a", "b"), joint("k", "c", "d"), joint("l", "d", "c"), links="abcd"), "loop"),
        (robot(joint(inside="")), "joint j: no <limit>"),
        (robot(joint(inside='<limit velocity="1"/>')), "joint j: <limit> has no 'lower'"),
        (robot(joint(inside='<limit lower="-1" upper="1"/>')), "joint j: <limit> has no 'velocity'"),
        (robot(joint(inside='<limit lower="2" upper="1" velocity="1"/>')), "joint j: lower limit 2 is above"),
        (robot(joint(inside='<limit lower="-1" upper="1" velocity="0"/>')), "joint j: velocity limit is 0"),
        (robot(joint(inside='<limit lower="nan" upper="1" velocity="1"/>')), "joint j limit lower: .*finite"),
        (robot(joint(inside='<limit lower="-1" upper="inf" velocity="1"/>')), "joint j limit upper: .*finite"),
        (robot(joint(inside='<limit lower="${x}" upper="1" velocity="1"/>')), "not 1 numbers"),
        (robot(joint(inside=LIMIT + '<axis xyz="0 0 0"/>')), "joint j axis: .*no length"),
        (robot(joint(inside=LIMIT + '<axis xyz="0 1"/>')), "joint j axis"),
        (robot(joint(inside=LIMIT + '<origin xyz="0 0 nan"/>')), "joint j origin xyz"),
        (robot(joint(kind="floating")), "type 'floating' is not supported"),
        (robot(joint(kind="")), "type '' is not supported"),
        (robot('<joint name="j" type="fixed"><parent link="a"/></joint>'), "joint j: no <child"),
        (robot(joint(inside=LIMIT + '<mimic joint="k"/>')), "mimics 'k'"),
        (robot(joint(inside=LIMIT + '<mimic joint="j"/>')), "mimics 'j'"),
        (robot(joint(inside=LIMIT + "<mimic/>")), "names no joint"),
    ],
)
def test_what_is_wrong_is_named(text: str, match: str) -> None:
    refused(text, match)


def test_thousands_of_links_in_one_line_are_fine() -> None:
    count = 1000
    links = "".join(f'<link name="l{i}"/>' for i in range(count))
    joints = "".join(joint(f"j{i}", f"l{i}", f"l{i + 1}", "fixed", "") for i in range(count - 1))
    model = RobotModel.from_urdf(f"<robot>{links}{joints}</robot>")
    assert len(model.links) == count
    assert model.joint_names == ()


def test_lenient_where_a_joint_follows_another() -> None:
    text = robot(
        joint(), joint("k", "b", "c", inside='<mimic joint="j"/><limit effort="1" velocity="0"/>'), links="abc"
    )
    limit = RobotModel.from_urdf(text).limits["k"]
    assert limit.velocity == np.inf


def test_fr3_velocity_limits_that_depend_on_position() -> None:
    element = '<position_based_velocity_limits velocity_offset="0.3" deceleration_limit="6.0"/>'
    limit = RobotModel.from_urdf(robot(joint(inside=LIMIT + element))).limits["j"].position_dependent_velocity
    assert limit is not None
    assert (limit.upper_offset, limit.upper_gain, limit.upper_position) == (0.3, 12.0, 1.0)
    assert (limit.lower_offset, limit.lower_gain, limit.lower_position) == (0.3, 12.0, -1.0)


def test_order_is_depth_first() -> None:
    text = robot(
        joint("j3", "c", "d"), joint("j1", "a", "b"), joint("j4", "a", "e"), joint("j2", "b", "c"), links="abcde"
    )
    assert RobotModel.from_urdf(text).joint_names == ("j1", "j2", "j3", "j4")
