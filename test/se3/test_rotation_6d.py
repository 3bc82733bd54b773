"""Rotations: 6-D form, quaternions, Euler angles. SciPy is the independent reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import polar
from scipy.spatial.transform import Rotation

from cosmos_ros.errors import DecodeError, InputError
from cosmos_ros.se3 import (
    euler_xyz_extrinsic_from_matrix,
    from_euler_xyz_extrinsic,
    matrix_from_quaternion_xyzw,
    matrix_from_rotation_6d,
    quaternion_xyzw_from_matrix,
    rotation_6d_from_matrix,
    rotation_6d_residual,
    rotation_angle,
)

quaternions = arrays(np.float64, 4, elements=st.floats(-1, 1)).filter(lambda q: np.linalg.norm(q) > 0.1)
angles = arrays(np.float64, 3, elements=st.floats(-3.1, 3.1))


def rotations(count: int, seed: int = 0) -> np.ndarray:
    return Rotation.random(count, random_state=seed).as_matrix()


def test_columns_not_rows() -> None:
    turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    assert rotation_6d_from_matrix(np.eye(3)).tolist() == [1, 0, 0, 0, 1, 0]
    np.testing.assert_allclose(rotation_6d_from_matrix(turn), [0, 1, 0, -1, 0, 0], atol=1e-15)


@given(quaternions)
def test_rotation_6d_round_trip(q: np.ndarray) -> None:
    matrix = Rotation.from_quat(q).as_matrix()
    decoded = matrix_from_rotation_6d(rotation_6d_from_matrix(matrix))
    np.testing.assert_allclose(decoded, matrix, atol=1e-14)


@given(arrays(np.float64, 6, elements=st.floats(-2, 2)))
def test_decoding_gives_a_rotation_or_an_error(r6: np.ndarray) -> None:
    try:
        matrix = matrix_from_rotation_6d(r6)
    except DecodeError:
        return
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(3), atol=1e-9)
    assert np.linalg.det(matrix) > 0


def test_decoding_is_the_nearest_rotation_not_gram_schmidt() -> None:
    rng = np.random.default_rng(1)
    noisy = rotation_6d_from_matrix(rotations(200)) + 0.01 * rng.normal(size=(200, 6))
    largest = 0.0
    for r6, got in zip(noisy, matrix_from_rotation_6d(noisy), strict=True):
        c0, c1 = r6[:3], r6[3:]
        nearest, _ = polar(np.column_stack([c0, c1, np.cross(c0, c1)]))
        np.testing.assert_allclose(got, nearest, atol=1e-12)
        e0 = c0 / np.linalg.norm(c0)
        e1 = c1 - (e0 @ c1) * e0
        e1 /= np.linalg.norm(e1)
        gram_schmidt = np.column_stack([e0, e1, np.cross(e0, e1)])
        largest = max(largest, float(rotation_angle(got.T @ gram_schmidt)))
    assert largest > np.radians(0.3)


def test_leading_axes() -> None:
    matrices = rotations(24).reshape(2, 3, 4, 3, 3)
    r6 = rotation_6d_from_matrix(matrices)
    assert r6.shape == (2, 3, 4, 6)
    assert rotation_6d_residual(r6).shape == (2, 3, 4)
    np.testing.assert_allclose(matrix_from_rotation_6d(r6), matrices, atol=1e-14)
    assert quaternion_xyzw_from_matrix(matrices).shape == (2, 3, 4, 4)


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ([0.0] * 6, "zero"),
        ([1, 0, 0, 0, 0, 0], "zero"),
        ([1, 0, 0, -2, 0, 0], "parallel"),
        ([np.nan, 0, 0, 0, 1, 0], "not finite"),
        ([np.inf, 0, 0, 0, 1, 0], "not finite"),
    ],
)
def test_undecodable_rows_name_their_index(row: list[float], text: str) -> None:
    chunk = np.tile([1.0, 0, 0, 0, 1, 0], (2, 4, 1))
    chunk[1, 2] = row
    with pytest.raises(DecodeError, match=rf"index 1, 2: .*{text}"):
        matrix_from_rotation_6d(chunk)


def test_wrong_shapes_are_named() -> None:
    with pytest.raises(DecodeError, match=r"\(16, 7\), expected \[\.\.\., 6\]"):
        matrix_from_rotation_6d(np.zeros((16, 7)))
    with pytest.raises(InputError, match="not a numeric array"):
        matrix_from_quaternion_xyzw(["a", "b", "c", "d"])


def test_residual_is_what_it_says() -> None:
    assert rotation_6d_residual([1, 0, 0, 0, 1, 0]) == 0.0
    assert rotation_6d_residual([1.25, 0, 0, 0, 1, 0]) == pytest.approx(0.25)
    assert rotation_6d_residual([1, 0, 0, 0.3, 1, 0]) == pytest.approx(0.3)
    assert rotation_6d_residual([np.nan, 0, 0, 0, 1, 0]) == np.inf
    assert rotation_6d_residual([np.inf, 0, 0, 0, 1, 0]) == np.inf


@given(quaternions)
def test_quaternion_round_trip(q: np.ndarray) -> None:
    q = q / np.linalg.norm(q)
    matrix = matrix_from_quaternion_xyzw(q)
    np.testing.assert_allclose(matrix, Rotation.from_quat(q).as_matrix(), atol=1e-14)
    back = quaternion_xyzw_from_matrix(matrix)
    assert back[3] >= 0
    assert abs(abs(back @ q) - 1) < 1e-14


@pytest.mark.parametrize("norm", [0.0, 0.9, 0.998, 1.002, 1.1, np.nan, np.inf])
def test_quaternions_off_the_unit_sphere_are_refused(norm: float) -> None:
    batch = np.tile([0.0, 0, 0, 1], (3, 1))
    batch[2, 3] = norm
    with pytest.raises(InputError, match=r"index 2: .*norm"):
        matrix_from_quaternion_xyzw(batch)


def test_hand_written_quaternions_pass() -> None:
    np.testing.assert_allclose(
        matrix_from_quaternion_xyzw([0, 0, 0.7071, 0.7071]), [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12
    )


@given(angles)
def test_euler_is_fixed_axis_xyz(a: np.ndarray) -> None:
    matrix = from_euler_xyz_extrinsic(a)
    np.testing.assert_allclose(matrix, Rotation.from_euler("xyz", a).as_matrix(), atol=1e-14)
    np.testing.assert_allclose(from_euler_xyz_extrinsic(euler_xyz_extrinsic_from_matrix(matrix)), matrix, atol=1e-9)


@pytest.mark.parametrize("pitch", [np.pi / 2, -np.pi / 2])
def test_euler_angles_at_the_poles(pitch: float) -> None:
    matrix = from_euler_xyz_extrinsic([0.3, pitch, -1.1])
    back = euler_xyz_extrinsic_from_matrix(matrix)
    np.testing.assert_allclose(from_euler_xyz_extrinsic(back), matrix, atol=1e-9)


def test_rotation_angle_is_exact_for_tiny_and_half_turns() -> None:
    wanted = np.array([0.0, 1e-12, 1e-9, 1e-6, 0.5, np.pi - 1e-9, np.pi])
    matrices = Rotation.from_rotvec(np.outer(wanted, [0.6, 0.0, 0.8])).as_matrix()
    np.testing.assert_allclose(rotation_angle(matrices), wanted, atol=1e-15, rtol=1e-6)
