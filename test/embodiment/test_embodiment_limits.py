"""Limits against the vendors' numbers, typed in here a second time or read from the shared tables."""

from __future__ import annotations

import json
import re
from math import inf, pi

import pytest
from robots import embodiment, sample

from cosmos_ros.embodiment import load_embodiment
from cosmos_ros.errors import ConfigError
from cosmos_ros.resources import resource
from cosmos_ros.schema import plain

PANDA = {
    "acceleration": [15, 7.5, 10, 12.5, 15, 20, 20],
    "jerk": [7500, 3750, 5000, 6250, 7500, 10000, 10000],
    "velocity": [2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61],
    "effort": [87, 87, 87, 87, 12, 12, 12],
    "lower": [-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973],
    "upper": [2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973],
}
FR3 = {
    "acceleration": [10] * 7,
    "jerk": [5000] * 7,
    "velocity": [2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26],
    "effort": [87, 87, 87, 87, 12, 12, 12],
    "lower": [-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159],
    "upper": [2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159],
}


def fields(name, field, joints=None):
    robot = embodiment(name)
    return [getattr(robot.limits.joints[joint], field) for joint in joints or robot.joint_names]


@pytest.mark.parametrize(("name", "expected"), [("franka", PANDA), ("franka_fr3", FR3)])
@pytest.mark.parametrize("field", sorted(PANDA))
def test_franka_limits(name, expected, field):
    assert fields(name, field) == pytest.approx(expected[field], abs=1e-12)


@pytest.mark.parametrize("field", sorted(PANDA))
def test_both_arms_of_the_dual_have_the_same_limits(field):
    assert fields("franka_dual", field) == pytest.approx(PANDA[field] * 2, abs=1e-12)


def test_franka_cartesian_limits():
    panda, fr3 = embodiment("franka").limits.cartesian[0], embodiment("franka_fr3").limits.cartesian[0]
    assert (panda.linear_speed, panda.angular_speed) == (1.7, 2.5)
    assert (panda.linear_acceleration, panda.angular_acceleration) == (13.0, 25.0)
    assert (fr3.linear_speed, fr3.angular_speed) == (3.0, 2.5)
    assert (fr3.linear_acceleration, fr3.angular_acceleration) == (9.0, 17.0)


def test_fr3_position_dependent_velocity_equals_the_shared_constants():
    cases = json.loads(sample("COSMOS_ROS_LIMIT_CASES", "limit_cases.json").read_text())
    constants = cases["position_dependent_velocity_constants"]["fr3"]
    for name, upper, lower in zip(constants["joints"], constants["upper"], constants["lower"], strict=True):
        curve = embodiment("franka_fr3").limits.joints[name].position_dependent_velocity
        assert [curve.upper_offset, curve.upper_gain, curve.upper_position] == upper
        assert [curve.lower_offset, curve.lower_gain, -curve.lower_position] == lower


def test_fr3_may_stand_at_its_position_bounds_only_at_rest():
    """The curve ends close to the mechanical bound: beyond the bound minus 10 mrad next to no speed is left."""
    for name, limit in list(embodiment("franka_fr3").limits.joints.items())[:7]:
        curve = limit.position_dependent_velocity

        def upper(q, curve=curve, limit=limit):
            room = max(0.0, curve.upper_gain * (curve.upper_position - q)) ** 0.5
            return min(limit.velocity, max(0.0, room - curve.upper_offset))

        def lower(q, curve=curve, limit=limit):
            room = max(0.0, curve.lower_gain * (q - curve.lower_position)) ** 0.5
            return max(-limit.velocity, min(0.0, curve.lower_offset - room))

        middle = 0.5 * (limit.lower + limit.upper)
        assert upper(middle) > 0.5, name
        assert lower(middle) < -0.5, name
        assert upper(limit.upper) < 0.1, name
        assert lower(limit.lower) > -0.1, name


def test_panda_capsules_and_pairs_equal_the_shared_cases():
    body = json.loads(sample("COSMOS_ROS_LIMIT_CASES", "limit_cases.json").read_text())["self_collision_capsules"]
    robot = embodiment("franka")
    given = [plain(capsule) for capsule in robot.spec.collision.capsules]
    assert given == [{**capsule, "xyz": [float(v) for v in capsule["xyz"]]} for capsule in body["panda"]]
    index = [8 if c["link"] == "panda_hand" else int(c["link"][-1]) for c in body["panda"]]
    pairs = {(i, j) for i in range(10) for j in range(i + 1, 10) if abs(index[i] - index[j]) >= 3}
    assert set(robot.collision_pairs()) == pairs


def test_two_arms_are_checked_against_each_other():
    robot = embodiment("franka_dual")
    sides = [capsule.link.split("_")[0] for capsule in robot.spec.collision.capsules]
    across = [(i, j) for i, j in robot.collision_pairs() if sides[i] != sides[j]]
    assert len(across) == 100
    assert len(robot.collision_pairs()) == 100 + 2 * len(embodiment("franka").collision_pairs())


@pytest.mark.parametrize(
    ("name", "velocity", "effort"),
    [
        ("ur3e", [180, 180, 180, 360, 360, 360], [54, 54, 28, 9, 9, 9]),
        ("ur5e", [180] * 6, [150, 150, 150, 28, 28, 28]),
        ("ur10e", [120, 120, 180, 180, 180, 180], [330, 330, 150, 54, 54, 54]),
        ("ur16e", [120, 120, 180, 180, 180, 180], [330, 330, 150, 54, 54, 54]),
        ("ur20", [120, 120, 150, 210, 210, 210], [738, 738, 433, 107, 107, 107]),
        ("ur30", [120, 120, 150, 210, 210, 210], [738, 738, 433, 107, 107, 107]),
    ],
)
def test_ur_limits(name, velocity, effort):
    assert fields(name, "velocity") == pytest.approx([v * pi / 180 for v in velocity])
    assert fields(name, "effort") == pytest.approx(effort)
    assert fields(name, "acceleration") == [5.0] * 6
    # The UR3e's last joint turns without end.
    last = inf if name == "ur3e" else 2 * pi
    assert fields(name, "continuous") == [False] * 5 + [name == "ur3e"]
    assert fields(name, "upper") == pytest.approx([2 * pi, 2 * pi, pi, 2 * pi, 2 * pi, last])
    assert fields(name, "lower") == pytest.approx([-2 * pi, -2 * pi, -pi, -2 * pi, -2 * pi, -last])
    assert fields(name, "jerk") == [inf] * 6


def test_widowx_limits():
    assert fields("widowx250s", "upper") == pytest.approx(
        [pi - 1e-5, 1.98968, 1.60570, pi - 1e-5, 2.14675, pi - 1e-5], abs=1e-5
    )
    assert fields("widowx250s", "lower") == pytest.approx(
        [1e-5 - pi, -1.88496, -2.14675, 1e-5 - pi, -1.74533, 1e-5 - pi], abs=1e-5
    )
    assert fields("widowx250s", "velocity") == pytest.approx([pi] * 6)
    assert fields("widowx250s", "effort") == [10, 20, 15, 2, 5, 1]
    finger = embodiment("widowx250s").limits.joints
    assert (finger["left_finger"].lower, finger["left_finger"].upper) == (0.015, 0.037)
    assert finger["right_finger"].mimic.source == "left_finger"
    assert finger["right_finger"].mimic.multiplier == -1.0


def test_agibot_limits_are_the_narrower_of_both_descriptions():
    robot = embodiment("agibot_g1")
    left = [j for j in robot.joint_names if "left_arm" in j]
    right = [j for j in robot.joint_names if "right_arm" in j]
    assert fields("agibot_g1", "lower", left) == [-3.14, -2.09, -3.10, -1.48, -3.10, -1.74, -3.10]
    assert fields("agibot_g1", "upper", left) == [3.14, 1.48, 3.10, 1.43, 3.10, 1.74, 3.10]
    assert fields("agibot_g1", "lower", right) == [-3.14, -1.48, -3.10, -1.43, -3.10, -1.74, -3.10]
    assert fields("agibot_g1", "upper", right) == [3.14, 2.09, 3.10, 1.48, 3.10, 1.74, 3.10]
    assert fields("agibot_g1", "velocity", left + right) == [3.14] * 14
    assert fields("agibot_g1", "velocity", robot.joint_names[:4]) == [0.1, 0.5, 1.0, 1.0]


def test_grippers():
    assert embodiment("franka").gripper_joints["gripper"].max_velocity == pytest.approx(0.05)
    robotiq = embodiment("ur5e").gripper_joints["gripper"]
    assert (robotiq.joint, robotiq.closed, robotiq.open) == ("robotiq_85_left_knuckle_joint", 0.8, 0.0)
    # Never faster than the joint's own limit, which the guard holds it to.
    assert robotiq.max_velocity == embodiment("ur5e").limits.joints[robotiq.joint].velocity == 0.5
    g1 = embodiment("agibot_g1")
    for gripper, joint in g1.gripper_joints.items():
        side = "r" if gripper.startswith("right") else "l"
        gaps = []
        for position in (joint.closed, joint.open):
            q = {**g1.home, joint.joint: position}
            inner, outer = (g1.robot.fk(q, f"gripper_{side}_{part}_link4")[:3, 3] for part in ("inner", "outer"))
            gaps.append(float(((inner - outer) ** 2).sum() ** 0.5))
        width = g1.spec.grippers[gripper].width
        assert gaps == pytest.approx([width.closed, width.open], abs=5e-5)


@pytest.mark.parametrize(
    ("field", "value", "given"),
    [("upper", 172.0, 3.0), ("lower", -172.0, -3.0), ("velocity", 172.0, 172.0), ("upper", 172.0, 172.0)],
)
def test_limits_in_degrees_are_refused_unless_the_file_says_so(tmp_path, field, value, given):
    text = resource("embodiments", "urdf/ur5e.urdf").read_text(encoding="utf-8")
    start = text.index('<joint name="shoulder_pan_joint"')
    end = text.index("</joint>", start)
    joint, count = re.subn(rf'{field}="[^"]*"', f'{field}="{value}"', text[start:end], count=1)
    assert count == 1
    (tmp_path / "arm.urdf").write_text(text[:start] + joint + text[end:])
    cell = tmp_path / "cell.yaml"
    cell.write_text(f"extends: ur5e.yaml\nname: cell\nrobot: {{urdf: {tmp_path / 'arm.urdf'}}}\n")
    own = load_embodiment("ur5e").limits.joints["shoulder_pan_joint"]
    with pytest.raises(ConfigError, match=rf"shoulder_pan_joint: the URDF's {field} is {value:g}: degrees or milli"):
        load_embodiment(str(cell))
    cell.write_text(cell.read_text() + f"limits: {{joints: {{shoulder_pan_joint: {{{field}: {given}}}}}}}\n")
    found = load_embodiment(str(cell)).limits.joints["shoulder_pan_joint"]
    assert getattr(found, field) == given != getattr(own, field)
