"""Figures against scikit-image and against cases computed by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cosmos_ros.errors import InputError
from cosmos_ros.evaluation import frame_metrics as m
from cosmos_ros.evaluation import motion_metrics as mm
from cosmos_ros.evaluation.bootstrap import percentile_interval, resampled_means


def picture(seed: int, height: int = 41, width: int = 57) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, size=(height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 1.5)


def psnr(predicted: np.ndarray, truth: np.ndarray, mask: np.ndarray | None = None) -> float:
    return m.psnr_of(m.mean_squared_error(predicted, truth, mask))


def ssim(predicted: np.ndarray, truth: np.ndarray) -> float:
    return m.SsimReference(truth).compare(predicted)


def noisy(image: np.ndarray, seed: int, amount: int) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(-amount, amount + 1, size=image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("seed", "amount"), [(0, 2), (1, 20), (2, 120)])
def test_psnr_and_ssim_are_those_of_scikit_image(seed: int, amount: int) -> None:
    reference = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    truth = picture(seed)
    predicted = noisy(truth, seed + 10, amount)
    assert psnr(predicted, truth) == pytest.approx(
        reference.peak_signal_noise_ratio(truth, predicted, data_range=255), abs=1e-9
    )
    expected = reference.structural_similarity(truth, predicted, channel_axis=-1, data_range=255)
    assert ssim(predicted, truth) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(("height", "width"), [(7, 7), (8, 300), (331, 640), (1100, 9), (152, 401)])
def test_strips_do_not_show(height: int, width: int) -> None:
    reference = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    truth = picture(3, height, width)
    predicted = noisy(truth, 4, 30)
    expected = reference.structural_similarity(truth, predicted, channel_axis=-1, data_range=255)
    assert ssim(predicted, truth) == pytest.approx(expected, abs=2e-5)
    change = np.abs(truth.astype(int) - predicted).sum(-1)
    assert np.array_equal(m.moving_pixels(predicted, truth) > 0, change >= max(np.percentile(change, 80), 1))


@pytest.mark.parametrize("values", [(0, 0), (255, 255), (0, 255), (7, 9)])
def test_ssim_of_flat_frames(values: tuple[int, int]) -> None:
    reference = pytest.importorskip("skimage.metrics", reason="scikit-image is not installed")
    a, b = (np.full((12, 9, 3), v, np.uint8) for v in values)
    expected = reference.structural_similarity(a, b, channel_axis=-1, data_range=255)
    assert ssim(a, b) == pytest.approx(expected, abs=1e-5)


def test_psnr_by_hand() -> None:
    truth = np.zeros((2, 2, 3), np.uint8)
    predicted = truth.copy()
    assert psnr(predicted, truth) == math.inf
    predicted[0, 0] = (3, 4, 0)  # 25 over 12 values
    assert m.mean_squared_error(predicted, truth) == 25 / 12
    assert psnr(predicted, truth) == pytest.approx(10 * math.log10(255**2 * 12 / 25))
    mask = np.array([[0, 255], [255, 255]], np.uint8)
    assert psnr(predicted, truth, mask) == math.inf
    assert psnr(predicted, truth, 255 - mask) == pytest.approx(10 * math.log10(255**2 * 3 / 25))
    assert math.isnan(psnr(predicted, truth, np.zeros((2, 2), np.uint8)))


def test_the_moving_fifth() -> None:
    before = np.zeros((1, 10, 3), np.uint8)
    truth = before.copy()
    truth[0, :, 1] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    # numpy's percentile of 0..9 at 80 is 7.2: pixels 8 and 9.
    assert np.flatnonzero(m.moving_pixels(before, truth)[0]).tolist() == [8, 9]
    predicted = truth.copy()
    predicted[0, 0] = 200  # does not move: does not count
    assert psnr(predicted, truth, m.moving_pixels(before, truth)) == math.inf
    predicted[0, 9, 1] = 9 + 6
    assert psnr(predicted, truth, m.moving_pixels(before, truth)) == pytest.approx(10 * math.log10(255**2 * 6 / 36))
    assert m.moving_pixels(before, before) is None
    one = before.copy()
    one[0, 3] = 50  # a tenth moves: only that counts, not the still rest
    assert np.flatnonzero(m.moving_pixels(before, one)[0]).tolist() == [3]


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([3, 40, 255]))
def test_the_threshold_is_numpys_percentile(seed: int, top: int) -> None:
    rng = np.random.default_rng(seed)
    before = np.zeros((9, 7, 3), np.uint8)
    truth = rng.integers(0, top + 1, size=before.shape, dtype=np.uint8)
    change = truth.astype(int).sum(-1)
    mask = m.moving_pixels(before, truth)
    expected = change >= max(np.percentile(change, 80), 1)
    assert (mask is None and not expected.any()) or np.array_equal(mask > 0, expected)


def test_frames_that_do_not_fit_are_refused() -> None:
    frame = np.zeros((8, 8, 3), np.uint8)
    for other in (np.zeros((8, 9, 3), np.uint8), np.zeros((8, 8, 3)), np.zeros((8, 8), np.uint8)):
        with pytest.raises(InputError):
            psnr(frame, other)
    with pytest.raises(InputError, match="less than 7"):
        ssim(frame[:5], frame[:5])


def test_action_errors_by_dimension() -> None:
    squared, absolute = mm.action_errors(np.array([[1.0, 0.0], [3.0, -2.0]]), np.zeros((2, 2)))
    assert squared.tolist() == [5.0, 2.0] and absolute.tolist() == [2.0, 1.0]
    with pytest.raises(InputError, match="cannot be compared"):
        mm.action_errors(np.zeros((2, 2)), np.zeros((3, 2)))


def test_pose_errors_by_hand() -> None:
    truth = np.repeat(np.eye(4)[None], 4, axis=0)
    predicted = truth.copy()
    predicted[0, :3, 3] = (0.03, 0.0, 0.04)
    predicted[1, :3, :3] = Rotation.from_euler("z", 90, degrees=True).as_matrix()
    predicted[2, :3, :3] = Rotation.from_euler("x", 1e-5, degrees=True).as_matrix()
    predicted[3, :3, :3] = Rotation.from_euler("y", 180, degrees=True).as_matrix()
    centimetres, degrees = mm.pose_errors(predicted, truth)
    np.testing.assert_allclose(centimetres, [5, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(degrees, [0, 90, 1e-5, 180], rtol=1e-6, atol=1e-9)


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_rotation_error_is_the_relative_rotations_angle(seed: int) -> None:
    a, b = Rotation.random(2, rng=np.random.default_rng(seed))
    poses = np.repeat(np.eye(4)[None], 2, axis=0)
    poses[0, :3, :3], poses[1, :3, :3] = a.as_matrix(), b.as_matrix()
    _, degrees = mm.pose_errors(poses[:1], poses[1:])
    assert degrees[0] == pytest.approx(math.degrees((a.inv() * b).magnitude()), abs=1e-5)


def test_the_row_that_is_due() -> None:
    assert [mm.step_at(s, 15.0, 16) for s in (0.5, 1.0, 2.0)] == [7, 14, None]
    assert mm.step_at(0.5, 10.0, 16) == 4 and mm.step_at(0.01, 10.0, 16) is None


def test_gripper_agreement() -> None:
    agree = mm.gripper_agreement(np.array([0.0, 0.4, 0.6, 1.0]), np.array([0.1, 0.9, 0.9, 0.5]))
    assert agree.tolist() == [True, False, True, False]


def test_jerk_of_a_cubic_is_its_third_derivative() -> None:
    t = np.arange(10) * 0.1
    positions = np.stack([2.0 * t**3, 5.0 * t**2], axis=1)  # 12 and 0
    assert mm.jerk_rms(positions, 0.1) == pytest.approx(12 / math.sqrt(2))
    assert math.isnan(mm.jerk_rms(positions[:3], 0.1))


def test_shuffled_rows_are_a_permutation_and_repeat() -> None:
    rows = np.arange(32.0).reshape(16, 2)
    first = mm.shuffled_rows(rows, 3)
    assert not np.array_equal(first, rows)
    assert np.array_equal(np.sort(first[:, 0]), rows[:, 0])
    assert np.array_equal(first, mm.shuffled_rows(rows, 3))


def interval(values: np.ndarray) -> tuple[float, float]:
    return percentile_interval(resampled_means(values, 10_000, np.random.default_rng(0)), 0.95)


def test_bootstrap_covers_the_mean() -> None:
    # The interval of a normal sample's mean is close to mean ± 1.96 s / sqrt n.
    values = np.random.default_rng(1).normal(2.0, 1.0, size=400)
    low, high = interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert low == pytest.approx(values.mean() - half, abs=0.02)
    assert high == pytest.approx(values.mean() + half, abs=0.02)
    assert interval(np.full(5, 3.0)) == (3.0, 3.0)
    assert all(math.isnan(v) for v in interval(np.ones(1)))


def test_quantiles() -> None:
    assert m.quantiles([]) is None
    assert m.quantiles(list(range(101))) == {"p50": 50.0, "p95": 95.0, "p99": 99.0, "n": 101}
