"""Figures of predicted frames: PSNR, PSNR where something moves, SSIM.

Definitions: PSNR is ``10 log10(255² / MSE)``; the dynamic PSNR takes only the pixels whose change from the true frame
before is at or above the 80th percentile; SSIM is Wang et al. 2004 with a 7 x 7 uniform window and sample covariances,
averaged over channels and all windows inside the frame, as scikit-image's ``structural_similarity`` computes it.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import cv2
import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.types import FloatArray, UInt8Array

PEAK = 255.0
MOVING_PERCENTILE = 80.0
WINDOW = 7
_K1, _K2 = 0.01, 0.03
_WORKSPACES = 4


def mean_squared_error(predicted: UInt8Array, truth: UInt8Array, mask: UInt8Array | None = None) -> float:
    """Return the mean squared difference over all channels of ``uint8 [H, W, 3]``, exactly; NaN for no pixel.

    Args:
        predicted, truth: Frames of one size.
        mask: ``uint8 [H, W]``, non-zero where a pixel counts; None counts all.

    Raises:
        InputError: The frames differ in size, or are not ``uint8 [H, W, 3]``.
    """
    _check(predicted, truth)
    pixels = predicted.shape[0] * predicted.shape[1] if mask is None else int(np.count_nonzero(mask))
    if not pixels:
        return math.nan
    # Integers squared and added in integers: exact whatever the order.
    total = (
        cv2.norm(predicted, truth, cv2.NORM_L2SQR) if mask is None else cv2.norm(predicted, truth, cv2.NORM_L2SQR, mask)
    )
    return float(total) / (3.0 * pixels)


def psnr_of(mse: float) -> float:
    """Return the PSNR in dB of a mean squared error; infinite for zero, NaN for NaN."""
    if math.isnan(mse):
        return math.nan
    return math.inf if mse == 0.0 else 10.0 * math.log10(PEAK**2 / mse)


def psnr(predicted: UInt8Array, truth: UInt8Array, mask: UInt8Array | None = None) -> float:
    """Return the PSNR in dB; see ``mean_squared_error`` for arguments and errors."""
    return psnr_of(mean_squared_error(predicted, truth, mask))


def moving_pixels(before: UInt8Array, truth: UInt8Array, percentile: float = MOVING_PERCENTILE) -> UInt8Array | None:
    """Return where a true frame moves most: ``uint8 [H, W]``, 255 at or above the percentile of the change.

    The change of a pixel is the sum of its channels' absolute differences. In a scene where less than a fifth moves at
    all the percentile is zero, and only what moves counts.

    Returns:
        The mask; None when nothing moved.
    """
    _check(before, truth)
    channels = cv2.split(cv2.absdiff(before, truth))
    change: Any = channels[0].astype(np.uint16)
    change += channels[1]
    change += channels[2]
    counts = np.bincount(change.reshape(-1), minlength=3 * 255 + 1)
    threshold = max(_percentile_of_counts(counts, percentile), 1.0)
    if not counts[math.ceil(threshold) :].any():
        return None
    return np.where(change >= threshold, np.uint8(255), np.uint8(0))


def dynamic_psnr(predicted: UInt8Array, truth: UInt8Array, before: UInt8Array) -> float:
    """Return the PSNR in dB over the pixels that moved most from ``before`` to ``truth``; NaN when nothing moved."""
    mask = moving_pixels(before, truth)
    return math.nan if mask is None else psnr(predicted, truth, mask)


def _percentile_of_counts(counts: Any, percentile: float) -> float:
    """Return the percentile (linear interpolation, as numpy's) of values that occur ``counts[value]`` times."""
    ends = np.cumsum(counts)
    place = percentile / 100.0 * (int(ends[-1]) - 1)
    low = int(np.searchsorted(ends, math.floor(place), side="right"))
    high = int(np.searchsorted(ends, math.ceil(place), side="right"))
    return low + (place - math.floor(place)) * (high - low)


class SsimReference:
    """SSIM against one true frame; what depends on it alone is computed once.

    Args:
        truth: ``uint8 [H, W, 3]``, both sides at least 7.

    Raises:
        InputError: Too small, or not such an array.
    """

    def __init__(self, truth: UInt8Array) -> None:
        _check(truth, truth)
        if min(truth.shape[:2]) < WINDOW:
            raise InputError(f"{truth.shape[1]}x{truth.shape[0]} pixels are less than {WINDOW}", where="ssim")
        self.truth = truth
        self._x = truth.astype(np.float32)
        self._sum = _box(self._x)
        self._squares = _box(self._x * self._x)
        self._sum_squared = self._sum * self._sum

    def compare(self, predicted: UInt8Array) -> float:
        """Return the mean SSIM of a frame of the same size."""
        _check(predicted, self.truth)
        n = float(WINDOW * WINDOW)
        c1 = np.float32((_K1 * PEAK * n) ** 2)
        c2 = np.float32((_K2 * PEAK) ** 2 * n * (n - 1.0))
        # Fresh megabytes for every step would cost more than the arithmetic; everything is done in place.
        y, product, sums, powers, variances, covariance = _workspace(self._x.shape)
        np.copyto(y, predicted)
        # Sums of at most 49 · 255² are whole numbers that float32 holds exactly.
        sum_y = _box(y, powers)
        variances = _box(np.multiply(y, y, out=product), variances)
        covariance = _box(np.multiply(self._x, y, out=product), covariance)
        np.multiply(self._sum, sum_y, out=sums)
        powers = np.multiply(sum_y, sum_y, out=powers)
        powers += self._sum_squared
        variances += self._squares
        variances *= np.float32(n)
        variances -= powers  # n (n - 1) times the sum of the sample variances
        variances += c2
        powers += c1
        powers *= variances
        covariance *= np.float32(n)
        covariance -= sums
        covariance *= np.float32(2.0)
        covariance += c2
        sums *= np.float32(2.0)
        sums += c1
        sums *= covariance
        sums /= powers
        half = WINDOW // 2
        return float(np.mean(cv2.mean(sums[half:-half, half:-half])[:3]))


def ssim(predicted: UInt8Array, truth: UInt8Array) -> float:
    """Return the mean structural similarity of two frames ``uint8 [H, W, 3]``, in [-1, 1]."""
    return SsimReference(truth).compare(predicted)


def _box(values: Any, out: Any = None) -> Any:
    """Return the sums over the windows around every pixel; those at the edges are not used."""
    return cv2.boxFilter(values, -1, (WINDOW, WINDOW), dst=out, normalize=False)


_local = threading.local()


def _workspace(shape: tuple[int, ...]) -> list[Any]:
    """Return six float32 arrays of this thread, to be overwritten."""
    kept: dict[tuple[int, ...], list[Any]] = getattr(_local, "arrays", {})
    if shape not in kept:
        if len(kept) >= _WORKSPACES:
            kept.clear()
        kept[shape] = [np.empty(shape, dtype=np.float32) for _ in range(6)]
        _local.arrays = kept
    return kept[shape]


def _check(predicted: UInt8Array, truth: UInt8Array) -> None:
    for name, frame in (("predicted", predicted), ("truth", truth)):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
            raise InputError(f"{frame.dtype} {list(frame.shape)} is not uint8 [H, W, 3]", where=f"{name} frame")
    if predicted.shape != truth.shape:
        raise InputError(
            f"predicted {list(predicted.shape)} and true {list(truth.shape)} frames differ", where="frames"
        )


def quantiles(values: FloatArray | list[float]) -> dict[str, float | int] | None:
    """Return p50, p95, p99 and n; None for no values."""
    if not len(values):
        return None
    p50, p95, p99 = np.percentile(values, [50, 95, 99])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99), "n": len(values)}
