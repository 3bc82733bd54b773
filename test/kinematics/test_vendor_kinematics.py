"""The shipped URDFs against the makers' own kinematics: DH tables and screw axes, computed the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cosmos_ros.kinematics import RobotModel
from cosmos_ros.resources import resource
from cosmos_ros.se3 import inverse, pose_error

H = np.pi / 2
COUNT = 500
# 1e-6 mm, and the angle that moves a point at 1 m by as much.
TOLERANCE = 1e-9


def load(name: str) -> RobotModel:
    return RobotModel.from_urdf(resource("embodiments", "urdf", f"{name}.urdf"))


def transform(rotation: np.ndarray, xyz: list[float]) -> np.ndarray:
    pose = np.eye(4)
    pose[:3, :3] = rotation
    pose[:3, 3] = xyz
    return pose


def random_configurations(model: RobotModel, joints: list[str], seed: int = 3) -> np.ndarray:
    lower = [max(model.limits[j].lower, -2 * np.pi) for j in joints]
    upper = [min(model.limits[j].upper, 2 * np.pi) for j in joints]
    return np.random.default_rng(seed).uniform(lower, upper, (COUNT, len(joints)))


def compare(model: RobotModel, joints: list[str], base: str, tip: str, reference) -> None:
    q = random_configurations(model, joints)
    whole = np.zeros((COUNT, len(model.joint_names)))
    whole[:, [model.joint_names.index(j) for j in joints]] = q
    found = model.fk_batch_links(whole, [base, tip])
    ours = inverse(found[base]) @ found[tip]
    theirs = np.array([reference(row) for row in q])
    distance, angle = pose_error(ours, theirs)
    assert distance.max() < TOLERANCE
    assert angle.max() < TOLERANCE


def modified_dh(a: float, d: float, alpha: float, theta: float) -> np.ndarray:
    """Craig's convention, as the Franka documentation gives its table."""
    ca, sa, ct, s = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
    return np.array([[ct, -s, 0, a], [s * ca, ct * ca, -sa, -d * sa], [s * sa, ct * sa, ca, d * ca], [0, 0, 0, 1]])


FRANKA = [
    (0, 0.333, 0),
    (0, 0, -H),
    (0, 0.316, H),
    (0.0825, 0, H),
    (-0.0825, 0.384, -H),
    (0, 0, H),
    (0.088, 0, H),
]


@pytest.mark.parametrize("name", ["panda", "fr3"])
def test_franka(name: str) -> None:
    def flange(q: np.ndarray) -> np.ndarray:
        pose = np.eye(4)
        for (a, d, alpha), angle in zip(FRANKA, q, strict=True):
            pose = pose @ modified_dh(a, d, alpha, angle)
        return pose @ modified_dh(0, 0.107, 0, 0)

    compare(load(name), [f"{name}_joint{i}" for i in range(1, 8)], f"{name}_link0", f"{name}_link8", flange)


# Universal Robots' published DH parameters: d1, a2, a3, d4, d5, d6.
UR = {
    "ur3e": (0.15185, -0.24355, -0.2132, 0.13105, 0.08535, 0.0921),
    "ur5e": (0.1625, -0.425, -0.3922, 0.1333, 0.0997, 0.0996),
    "ur10e": (0.1807, -0.6127, -0.57155, 0.17415, 0.11985, 0.11655),
    "ur16e": (0.1807, -0.4784, -0.36, 0.17415, 0.11985, 0.11655),
    "ur20": (0.2363, -0.862, -0.7287, 0.201, 0.1593, 0.1543),
    "ur30": (0.2363, -0.637, -0.5037, 0.201, 0.1593, 0.1543),
}
UR_JOINTS = [
    "shoulder_pan_joint",
    "shoulder_lift_joint",
    "elbow_joint",
    "wrist_1_joint",
    "wrist_2_joint",
    "wrist_3_joint",
]


@pytest.mark.parametrize("name", UR)
def test_universal_robots(name: str) -> None:
    d1, a2, a3, d4, d5, d6 = UR[name]
    table = [(0, d1, H), (a2, 0, 0), (a3, 0, 0), (0, d4, H), (0, d5, -H), (0, d6, 0)]

    def tool(q: np.ndarray) -> np.ndarray:
        pose = np.eye(4)
        for (a, d, alpha), angle in zip(table, q, strict=True):
            about_z = transform(Rotation.from_euler("z", angle).as_matrix(), [0, 0, d])
            pose = pose @ about_z @ transform(Rotation.from_euler("x", alpha).as_matrix(), [a, 0, 0])
        return pose

    # The controller's base frame; base_link is turned by 180 degrees.
    compare(load(name), UR_JOINTS, "base", "tool0", tool)


def test_widowx_250s() -> None:
    """Interbotix give the home pose and the screw axes in the base frame (Lynch and Park's convention)."""
    home = transform(np.eye(3), [0.458325, 0, 0.36065])
    screws = [
        (0, 0, 1, 0, 0, 0),
        (0, 1, 0, -0.11065, 0, 0),
        (0, 1, 0, -0.36065, 0, 0.04975),
        (1, 0, 0, 0, 0.36065, 0),
        (0, 1, 0, -0.36065, 0, 0.29975),
        (1, 0, 0, 0, 0.36065, 0),
    ]

    def exponential(screw: tuple[float, ...], angle: float) -> np.ndarray:
        x, y, z, *v = screw
        k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        shift = np.eye(3) * angle + (1 - np.cos(angle)) * k + (angle - np.sin(angle)) * k @ k
        return transform(np.eye(3) + np.sin(angle) * k + (1 - np.cos(angle)) * k @ k, list(shift @ v))

    def gripper(q: np.ndarray) -> np.ndarray:
        pose = np.eye(4)
        for screw, angle in zip(screws, q, strict=True):
            pose = pose @ exponential(screw, angle)
        return pose @ home

    joints = ["waist", "shoulder", "elbow", "forearm_roll", "wrist_angle", "wrist_rotate"]
    compare(load("wx250s"), joints, "base_link", "ee_gripper_link", gripper)


# AgiBot G1, joint by joint: xyz, rpy, slides; all axes z. None stands for a fixed joint.
G1_TRUNK = [
    ("idx01_waist_lift_joint", (0, 0, 0.3485), (0, 0, 0)),
    ("idx02_waist_pitch_joint", (0.131, 0, 0), (-H, 0, 0)),
]
G1_HEAD = [
    ("idx03_head_yaw_joint", (0, -0.441, 0), (H, 0, 0)),
    ("idx04_head_pitch_joint", (0.050238, 0, 0.060065), (-H, 0, 0)),
    (
        None,
        (0.09461925863619018, -0.05452213241733138, -0.016133405411526518),
        (1.2085727642078068, 1.550953767949243, 1.2020721271172659),
    ),
]


def g1_arm(side: str) -> list[tuple[str | None, tuple[float, ...], tuple[float, ...]]]:
    left = side == "left"
    sign, first = (1, 5) if left else (-1, 12)
    joints = [f"idx{first + i:02d}_{side}_arm_joint{i + 1}" for i in range(7)]
    origins = [
        ((0, 0, 0.1859 if left else 0.188), (0, 0, 0)),
        ((0, 0, 0), (-H, 0, sign * H)),
        ((0, -0.305, 0), (-H, sign * H, np.pi)),
        ((0, 0, 0), (-H, 0, np.pi)),
        ((0, -0.1975, 0), (-H, 0, -np.pi)),
        ((0, 0, 0), (-H, 0, 0)),
        ((0, -0.1805, 0), (H, 0, 0)),
    ]
    return [
        *G1_TRUNK,
        (None, (0, -0.305, 0), (H, 0, 0)),
        (None, (0, sign * 0.025, 0), (-H, 0, 0 if left else np.pi)),
        *((name, *origin) for name, origin in zip(joints, origins, strict=True)),
        (None, (0, 0, 0.0061), (0, 0, sign * H)),
    ]


@pytest.mark.parametrize(
    ("tip", "chain"),
    [
        ("head_camera_link", [*G1_TRUNK, *G1_HEAD]),
        ("gripper_l_base_link", g1_arm("left")),
        ("gripper_r_base_link", g1_arm("right")),
    ],
)
def test_agibot_g1(tip: str, chain: list) -> None:
    joints = [name for name, _, _ in chain if name]

    def link(q: np.ndarray) -> np.ndarray:
        values = dict(zip(joints, q, strict=True))
        pose = np.eye(4)
        for name, xyz, rpy in chain:
            pose = pose @ transform(Rotation.from_euler("xyz", rpy).as_matrix(), list(xyz))
            if name == "idx01_waist_lift_joint":
                pose = pose @ transform(np.eye(3), [0, 0, values[name]])
            elif name:
                pose = pose @ transform(Rotation.from_euler("z", values[name]).as_matrix(), [0, 0, 0])
        return pose

    compare(load("g1"), joints, "base_link", tip, link)


def test_dual_franka_is_two_pandas_on_their_mounts() -> None:
    dual, panda = load("franka_dual"), load("panda")
    q = np.random.default_rng(5).uniform(-1, 1, (20, 16))
    for side, offset, columns in (("left", 0.3, slice(0, 8)), ("right", -0.3, slice(8, 16))):
        ours = dual.fk_batch(q, f"{side}_panda_hand_tcp")
        mount = transform(np.eye(3), [0, offset, 0])
        distance, angle = pose_error(ours, mount @ panda.fk_batch(q[:, columns], "panda_hand_tcp"))
        assert distance.max() < 1e-12
        assert angle.max() < 1e-12


# Position limits, velocity and effort that a user would look up first.
@pytest.mark.parametrize(
    ("robot", "joint", "lower", "upper", "velocity", "effort"),
    [
        ("panda", "panda_joint4", -3.0718, -0.0698, 2.175, 87),
        ("panda", "panda_joint6", -0.0175, 3.7525, 2.61, 12),
        ("fr3", "fr3_joint1", -2.7437, 2.7437, 2.62, 87),
        ("fr3", "fr3_joint6", 0.5445, 4.5169, 4.18, 12),
        ("ur5e", "elbow_joint", -np.pi, np.pi, np.pi, 150),
        ("ur10e", "shoulder_lift_joint", -2 * np.pi, 2 * np.pi, np.radians(120), 330),
        ("ur30", "wrist_1_joint", -2 * np.pi, 2 * np.pi, np.radians(210), 107),
        ("ur3e", "wrist_3_joint", -np.inf, np.inf, 2 * np.pi, 9),
        ("wx250s", "shoulder", np.radians(-108), np.radians(114), np.pi, 20),
        ("wx250s", "wrist_angle", np.radians(-100), np.radians(123), np.pi, 5),
        ("g1", "idx06_left_arm_joint2", -2.09, 1.48, 3.14, 60),
        ("g1", "idx15_right_arm_joint4", -1.43, 1.48, 3.14, 60),
    ],
)
def test_limits(robot: str, joint: str, lower: float, upper: float, velocity: float, effort: float) -> None:
    limit = load(robot).limits[joint]
    assert (limit.lower, limit.upper) == pytest.approx((lower, upper), abs=1e-12)
    assert limit.velocity == pytest.approx(velocity, abs=1e-12)
    assert limit.effort == effort
    assert limit.continuous == np.isinf(lower)
