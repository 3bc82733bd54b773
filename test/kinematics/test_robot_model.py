"""RobotModel: both backends, Jacobians by differences, mimic joints, threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos_ros.errors import KinematicsError
from cosmos_ros.kinematics import RobotModel
from cosmos_ros.resources import resource
from cosmos_ros.se3 import pose_error

ROBOTS = ["panda", "fr3", "ur3e", "ur5e", "wx250s", "g1", "franka_dual"]
SKEW = """<robot name="skew"><link name="a"/><link name="b"/><link name="c"/><link name="d"/>
<joint name="slide" type="prismatic"><parent link="a"/><child link="b"/><origin xyz="0 0.1 0" rpy="0.1 0.2 0.3"/>
  <axis xyz="1 2 2"/><limit lower="-1" upper="1" velocity="1"/></joint>
<joint name="turn" type="continuous"><parent link="b"/><child link="c"/><origin xyz="0.3 0 0" rpy="0 0 1"/>
  <axis xyz="0 -3 4"/></joint>
<joint name="follow" type="revolute"><parent link="c"/><child link="d"/><origin xyz="0 0 0.5"/>
  <axis xyz="1 1 0"/><limit lower="-9" upper="9" velocity="1"/>
  <mimic joint="turn" multiplier="-0.5" offset="0.2"/></joint></robot>"""


def load(name: str, backend: str = "auto") -> RobotModel:
    source = SKEW if name == "skew" else resource("embodiments", "urdf", f"{name}.urdf")
    return RobotModel.from_urdf(source, backend=backend)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [*ROBOTS, "skew"])
def test_backends_agree(name: str) -> None:
    pytest.importorskip("pinocchio")
    fast, slow = load(name, "pinocchio"), load(name, "numpy")
    assert (fast.backend, slow.backend) == ("pinocchio", "numpy")
    assert fast.joint_names == slow.joint_names
    q = np.random.default_rng(0).uniform(-3, 3, (5, len(fast.joint_names)))
    for link in fast.links:
        batch = slow.fk_batch(q, link)
        for row, pose in zip(q, batch, strict=True):
            np.testing.assert_allclose(fast.fk(row, link), pose, atol=1e-14)
            np.testing.assert_allclose(slow.fk(row, link), pose, atol=1e-14)
            np.testing.assert_allclose(fast.jacobian(row, link), slow.jacobian(row, link), atol=1e-14)


@pytest.mark.parametrize("name", ["panda", "skew", "g1"])
def test_jacobian_is_the_derivative(name: str) -> None:
    model = load(name)
    q = np.random.default_rng(1).uniform(-1, 1, len(model.joint_names))
    step = 1e-6
    for link in (model.links[-1], model.links[len(model.links) // 2]):
        jacobian = model.jacobian(q, link)
        for column in range(len(q)):
            dq = np.zeros_like(q)
            dq[column] = step
            plus, minus = model.fk(q + dq, link), model.fk(q - dq, link)
            linear = (plus[:3, 3] - minus[:3, 3]) / (2 * step)
            spin = (plus[:3, :3] - minus[:3, :3]) / (2 * step) @ model.fk(q, link)[:3, :3].T
            np.testing.assert_allclose(jacobian[:3, column], linear, atol=1e-8)
            np.testing.assert_allclose(jacobian[3:, column], [spin[2, 1], spin[0, 2], spin[1, 0]], atol=1e-8)


def test_mimic_joints_follow() -> None:
    panda = load("panda")
    assert "panda_finger_joint2" not in panda.joint_names
    assert panda.limits["panda_finger_joint2"].mimic is not None
    q = np.zeros(8)
    q[-1] = 0.03
    left, right = panda.fk(q, "panda_leftfinger"), panda.fk(q, "panda_rightfinger")
    assert np.linalg.norm(left[:3, 3] - right[:3, 3]) == pytest.approx(0.06, abs=1e-12)
    wx = load("wx250s")
    q = np.append(np.zeros(6), 0.02)
    assert wx.fk(q, "left_finger_link")[1, 3] == pytest.approx(0.02)
    assert wx.fk(q, "right_finger_link")[1, 3] == pytest.approx(-0.02)


def test_continuous_joints_are_one_plain_number() -> None:
    model = load("ur3e")
    assert len(model.joint_names) == 6
    assert model.limits["wrist_3_joint"].continuous
    q = np.array([0.1, -1.0, 0.5, 0.2, 0.3, 0.4])
    turned = q + np.array([0, 0, 0, 0, 0, 2 * np.pi])
    distance, angle = pose_error(model.fk(q, "tool0"), model.fk(turned, "tool0"))
    assert max(distance, angle) < 1e-12


def test_mappings_need_only_what_moves_the_link() -> None:
    model = load("panda")
    values = {f"panda_joint{i}": 0.1 * i for i in range(1, 8)}
    array = np.append([0.1 * i for i in range(1, 8)], 0.0)
    np.testing.assert_array_equal(model.fk(values | {"elsewhere": 9.0}, "panda_link8"), model.fk(array, "panda_link8"))
    model.fk({"panda_joint1": 0.5}, "panda_link1")
    with pytest.raises(KinematicsError, match="'panda_joint2' has no value"):
        model.fk({"panda_joint1": 0.5}, "panda_link2")
    with pytest.raises(KinematicsError, match="'panda_finger_joint1' has no value"):
        model.fk(values, "panda_rightfinger")


@pytest.mark.parametrize(
    ("q", "link", "match"),
    [
        (np.zeros(7), "panda_link8", r"shape \(7,\), expected \[8\]"),
        (np.append(np.zeros(7), np.nan), "panda_link8", "'panda_finger_joint1' is not finite"),
        (np.zeros(8), "panda_link9", "Did you mean panda_link"),
        (np.zeros(8), "tool", "no link 'tool'"),
    ],
)
def test_errors_name_the_culprit(q: np.ndarray, link: str, match: str) -> None:
    model = load("panda")
    with pytest.raises(KinematicsError, match=match):
        model.fk(q, link)
    with pytest.raises(KinematicsError, match=match):
        model.jacobian(q, link)


def test_batches_are_checked() -> None:
    model = load("panda")
    q = np.zeros((4, 8))
    q[2, 3] = np.inf
    with pytest.raises(KinematicsError, match="row 2: joint 'panda_joint4'"):
        model.fk_batch(q, "panda_link8")
    with pytest.raises(KinematicsError, match=r"expected \[N, 8\]"):
        model.fk_batch(np.zeros(8), "panda_link8")
    assert model.fk_batch(np.zeros((0, 8)), "panda_link8").shape == (0, 4, 4)


def test_restricted_models_give_the_same_poses() -> None:
    model = load("g1")
    part = model.restricted_to(["gripper_r_base_link", "gripper_r_outer_link4"])
    assert all("left" not in name and "head" not in name for name in part.joint_names)
    assert "idx71_gripper_r_inner_joint1" in part.joint_names  # drives the outer links, from another branch
    values = dict(zip(model.joint_names, np.random.default_rng(2).uniform(-1, 1, 20), strict=True))
    for link in ("gripper_r_base_link", "gripper_r_outer_link4"):
        np.testing.assert_allclose(part.fk(values, link), model.fk(values, link), atol=1e-15)
    assert part.backend == model.backend


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=8, max_size=8))
def test_many_links_at_once(values: list[float]) -> None:
    model = load("panda", "numpy")
    batch = model.fk_batch_links([values, values], model.links)
    for link in model.links:
        np.testing.assert_array_equal(batch[link][1], model.fk(values, link))


@pytest.mark.parametrize("backend", ["pinocchio", "numpy"])
def test_threads_do_not_disturb_each_other(backend: str) -> None:
    if backend == "pinocchio":
        pytest.importorskip("pinocchio")
    model = load("panda", backend)
    q = np.random.default_rng(3).uniform(-1, 1, (4, 8))
    expected = [model.fk(row, "panda_link8") for row in q]
    wrong: list[int] = []
    barrier = threading.Barrier(4)

    def work(index: int) -> None:
        barrier.wait()
        for _ in range(300):
            if not np.array_equal(model.fk(q[index], "panda_link8"), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_without_pinocchio(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    from cosmos_ros.errors import ConfigError

    real = importlib.import_module

    def missing(name: str, package: str | None = None) -> object:
        if name.endswith("pinocchio_backend"):
            raise ImportError("No module named 'pinocchio'")
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", missing)
    assert load("panda").backend == "numpy"
    with pytest.raises(ConfigError, match="Pinocchio"):
        load("panda", "pinocchio")
