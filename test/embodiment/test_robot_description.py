"""A robot's own description beside its embodiment: tighter limits, calibration, and what is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.embodiment.robot_description import _tighter_curve, with_robot_description
from cosmos_ros.errors import ConfigError
from cosmos_ros.limits import PositionDependentVelocity
from cosmos_ros.resources import resource


def urdf(name: str) -> str:
    return resource("embodiments", f"urdf/{name}.urdf").read_text(encoding="utf-8")


def changed(text: str, joint: str, pattern: str, value: str) -> str:
    """Replace an attribute inside one joint's element."""
    start = text.index(f'<joint name="{joint}"')
    end = text.index("</joint>", start)
    new, count = re.subn(pattern, value, text[start:end], count=1)
    assert count == 1
    return text[:start] + new + text[end:]


def test_the_same_description_changes_nothing() -> None:
    robot = with_robot_description("ur5e", urdf("ur5e"))
    assert robot.differences == ()
    assert robot.embodiment.limits == load_embodiment("ur5e").limits


def test_the_tighter_of_each_limit_holds_and_is_told() -> None:
    text = changed(urdf("ur5e"), "shoulder_pan_joint", r'velocity="[^"]*"', 'velocity="1.5"')
    text = changed(text, "elbow_joint", r'upper="[^"]*"', 'upper="2.5"')
    text = changed(text, "wrist_1_joint", r'velocity="[^"]*"', 'velocity="9.0"')
    robot = with_robot_description("ur5e", text)
    own, joints = load_embodiment("ur5e").limits.joints, robot.embodiment.limits.joints
    assert joints["shoulder_pan_joint"].velocity == 1.5
    assert joints["elbow_joint"].upper == 2.5 and joints["elbow_joint"].lower == own["elbow_joint"].lower
    assert joints["wrist_1_joint"].velocity == own["wrist_1_joint"].velocity  # the robot allows more: ours holds
    assert joints["shoulder_pan_joint"].acceleration == own["shoulder_pan_joint"].acceleration
    assert [line.partition(":")[0] for line in robot.differences] == [
        "shoulder_pan_joint",
        "elbow_joint",
        "wrist_1_joint",
    ]
    assert robot.differences[0].endswith("1.5 in the robot: 1.5 holds")


def test_a_calibrated_arm_has_its_own_kinematics() -> None:
    own = load_embodiment("ur5e")
    text = changed(urdf("ur5e"), "elbow_joint", r'xyz="-0\.425[^ ]*', 'xyz="-0.4262')
    robot = with_robot_description("ur5e", text)
    assert any("tool0 is up to 1.2" in line and "mm" in line for line in robot.differences), robot.differences
    shift = robot.embodiment.robot.fk(own.home, "tool0")[:3, 3] - own.robot.fk(own.home, "tool0")[:3, 3]
    assert np.linalg.norm(shift) == pytest.approx(0.0012, abs=1e-4)


def test_the_links_of_a_driver_may_have_a_prefix() -> None:
    text = re.sub(r'(link name=|parent link=|child link=)"', r'\1"wx250s/', urdf("wx250s"))
    robot = with_robot_description("widowx250s", text)
    assert robot.differences == ("links have the prefix wx250s/",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("robot_state_publisher", "is not XML"),
        ("<robot", "not well-formed"),
        ('<!DOCTYPE r [<!ENTITY a "a">]><robot name="&a;"/>', "DTD or an entity"),
        ("<robot><link name='base_link'/></robot>", "robot.joints below base_link"),
        ("<!-- " + "x" * (8 << 20) + " --><robot/>", "longer than"),
    ],
    ids=["text", "broken", "entities", "empty", "huge"],
)
def test_hostile_and_foreign_descriptions_are_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        with_robot_description("ur5e", text)


def test_another_robot_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"tool0 is up to .* more than a calibration moves it"):
        with_robot_description("ur5e", urdf("ur10e"))
    turned = changed(urdf("wx250s"), "elbow", r'<axis xyz="[^"]*"', '<axis xyz="0 0 1"')
    with pytest.raises(ConfigError, match="more than a calibration moves it"):
        with_robot_description("widowx250s", turned)
    apart = changed(urdf("ur5e"), "elbow_joint", r'lower="[^"]*" upper="[^"]*"', 'lower="4.0" upper="5.0"')
    with pytest.raises(ConfigError, match="elbow_joint"):
        with_robot_description("ur5e", apart)
    with pytest.raises(ConfigError, match="has no robot"):
        with_robot_description("umi", urdf("ur5e"))


numbers = st.floats(0.05, 3.0)
curves = st.builds(
    lambda a, b, c, d, e, f: PositionDependentVelocity(a, 4 * b, c, d, 4 * e, -f),
    numbers, numbers, numbers, numbers, numbers, numbers,
)  # fmt: skip


@given(curves, curves)
def test_the_tighter_curve_allows_no_more_than_either(one: PositionDependentVelocity, two: PositionDependentVelocity):
    q = np.linspace(-3.0, 3.0, 41)

    def bounds(curve: PositionDependentVelocity) -> np.ndarray:
        # As cosmos_ros.limits defines them, for a joint of at most 2 rad/s.
        rise = np.sqrt(np.maximum(0.0, curve.upper_gain * (curve.upper_position - q)))
        fall = np.sqrt(np.maximum(0.0, curve.lower_gain * (q - curve.lower_position)))
        return np.stack([np.clip(rise - curve.upper_offset, 0.0, 2.0), np.clip(fall - curve.lower_offset, 0.0, 2.0)])

    assert (bounds(_tighter_curve(one, two)) <= np.minimum(bounds(one), bounds(two)) + 1e-12).all()
