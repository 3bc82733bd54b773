"""Poses: algebra by hypothesis, deltas and integration against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from cosmos_ros.errors import DecodeError, InputError
from cosmos_ros.se3 import (
    check_poses,
    conjugate,
    deltas_from_poses,
    integrate_deltas,
    inverse,
    matrix_from_pose9d,
    matrix_from_rotation_6d,
    pose9d_from_matrix,
    pose_error,
    pose_from,
    rotation_6d_from_matrix,
)


@st.composite
def poses(draw: st.DrawFn) -> np.ndarray:
    quaternion = draw(arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1))
    xyz = draw(arrays(np.float64, 3, elements=st.floats(-10, 10)))
    return pose_from(xyz, quaternion / np.linalg.norm(quaternion))


def random_walk(steps: int, seed: int = 0) -> np.ndarray:
    """Poses by a slow, obvious loop."""
    rng = np.random.default_rng(seed)
    result = [pose_from([0.5, 0.0, 0.4], Rotation.random(random_state=seed).as_quat())]
    for _ in range(steps):
        step = pose_from(rng.normal(scale=0.01, size=3), Rotation.from_rotvec(rng.normal(scale=0.02, size=3)).as_quat())
        result.append(result[-1] @ step)
    walk = np.array(result)
    walk[:, :3, :3] = matrix_from_rotation_6d(
        rotation_6d_from_matrix(walk[:, :3, :3])
    )  # the loop itself drifts by 1e-13
    return walk


@settings(max_examples=40)
@given(poses(), poses())
def test_inverse(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_allclose(inverse(a) @ a, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(inverse(a @ b), inverse(b) @ inverse(a), atol=1e-11)


@settings(max_examples=40)
@given(poses(), poses(), poses())
def test_error_is_a_metric(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> None:
    distance, angle = pose_error(a, b)
    back_distance, back_angle = pose_error(b, a)
    assert distance == back_distance
    assert angle == pytest.approx(back_angle, abs=1e-12)
    assert max(pose_error(a, a)) < 1e-12
    assert pose_error(a, c)[1] <= angle + pose_error(b, c)[1] + 1e-9


@settings(max_examples=40)
@given(poses())
def test_pose9d_round_trip(a: np.ndarray) -> None:
    row = pose9d_from_matrix(a)
    np.testing.assert_array_equal(row[:3], a[:3, 3])
    np.testing.assert_allclose(matrix_from_pose9d(row), a, atol=1e-13)


@settings(max_examples=40)
@given(poses(), poses(), poses())
def test_conjugation_moves_deltas_between_frames_of_one_body(
    first: np.ndarray, second: np.ndarray, c: np.ndarray
) -> None:
    link_delta = inverse(first) @ second
    tool_delta = inverse(first @ c) @ (second @ c)
    np.testing.assert_allclose(conjugate(tool_delta, c), link_delta, atol=1e-10)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 16, 33, 1000])
def test_deltas_are_body_frame_and_integrate_back(steps: int) -> None:
    walk = random_walk(steps)
    deltas = deltas_from_poses(walk)
    assert deltas.shape == (steps, 4, 4)
    for k in (0, steps // 2, steps - 1):
        np.testing.assert_allclose(walk[k] @ deltas[k], walk[k + 1], atol=1e-12)
    distance, angle = pose_error(integrate_deltas(walk[0], deltas), walk[1:])
    assert distance.max() < 1e-12
    assert angle.max() < 1e-12


def test_ten_thousand_steps_stay_exact() -> None:
    walk = random_walk(10_000)
    path = integrate_deltas(walk[0], deltas_from_poses(walk))
    distance, angle = pose_error(path, walk[1:])
    assert distance.max() < 1e-9
    assert angle.max() < 1e-9
    product = np.swapaxes(path[:, :3, :3], 1, 2) @ path[:, :3, :3]
    assert np.abs(product - np.eye(3)).max() < 1e-11


def test_integration_leaves_its_input_alone() -> None:
    deltas = deltas_from_poses(random_walk(8))
    before = deltas.copy()
    integrate_deltas(np.eye(4), deltas)
    np.testing.assert_array_equal(deltas, before)


def test_no_deltas_give_no_poses() -> None:
    assert integrate_deltas(np.eye(4), np.zeros((0, 4, 4))).shape == (0, 4, 4)
    assert deltas_from_poses(np.eye(4)[None]).shape == (0, 4, 4)


def test_forgotten_tool_frame_is_not_small() -> None:
    """The check that the conjugation matters: a quarter turn about z, as between a flange and its camera axes."""
    walk = random_walk(16)
    c = pose_from([0, 0, 0], Rotation.from_euler("z", 90, degrees=True).as_quat())
    tool_deltas = deltas_from_poses(walk @ c)
    with_c = integrate_deltas(walk[0], conjugate(tool_deltas, c))
    without = integrate_deltas(walk[0], tool_deltas)
    assert pose_error(with_c, walk[1:])[0].max() < 1e-13
    assert pose_error(without, walk[1:])[0].max() > 0.005


def test_pose_from_takes_matrix_quaternion_or_nothing() -> None:
    quaternion = [0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)]
    matrix = Rotation.from_quat(quaternion).as_matrix()
    np.testing.assert_allclose(pose_from([1, 2, 3], quaternion), pose_from([1, 2, 3], matrix), atol=1e-15)
    assert pose_from([1, 2, 3])[:3, 3].tolist() == [1, 2, 3]
    assert pose_from(np.zeros((5, 3)), matrix).shape == (5, 4, 4)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda p: p.__setitem__((2, 0, 3), np.nan), "pose 2 is not finite"),
        (lambda p: p.__setitem__((1, 3, 3), 2.0), "pose 1 has a last row"),
        (lambda p: p.__setitem__((0, 0, 0), 1.1), "pose 0 has a rotation part"),
        (lambda p: p.__setitem__((3, slice(0, 3), 0), -p[3, :3, 0]), "pose 3 has a rotation part"),
    ],
)
def test_check_poses_names_what_is_wrong(change: object, text: str) -> None:
    batch = random_walk(4)
    assert check_poses(batch, "poses") is not None
    change(batch)  # type: ignore[operator]
    with pytest.raises(InputError, match=text):
        check_poses(batch, "poses")


def test_wrong_shapes_and_numbers() -> None:
    with pytest.raises(DecodeError, match=r"\(16, 7\)"):
        matrix_from_pose9d(np.zeros((16, 7)))
    row = np.tile(pose9d_from_matrix(np.eye(4)), (3, 1))
    row[1, 0] = np.inf
    with pytest.raises(DecodeError, match="index 1: pose is not finite"):
        matrix_from_pose9d(row)
    with pytest.raises(InputError, match="expected"):
        integrate_deltas(np.eye(4), np.eye(4))
