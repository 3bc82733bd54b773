"""Metrics of predicted frames: PSNR, PSNR where something moves, SSIM.

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
_EDGE = WINDOW - 1
# In strips, what is needed between the steps stays in the processor's cache.
_STRIP_PIXELS = 48_000
_COUNTED_ROWS = 1024


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


def moving_pixels(before: UInt8Array, truth: UInt8Array) -> UInt8Array | None:
    """Return where a true frame moves most: ``uint8 [H, W]``, 255 at or above the 80th percentile of the change.

    The change of a pixel is the sum of its channels' absolute differences. In a scene where less than a fifth moves at
    all the percentile is zero, and only what moves counts.

    Returns:
        The mask; None when nothing moved.
    """
    _check(before, truth)
    blue, green, red = cv2.split(cv2.absdiff(before, truth))
    change: Any = cv2.add(cv2.add(blue, green, dtype=cv2.CV_16U), red, dtype=cv2.CV_16U)
    # Counts in float32 are exact up to 16 million pixels; a larger image is counted in parts.
    parts = [change[top : top + _COUNTED_ROWS] for top in range(0, len(change), _COUNTED_ROWS)]
    bins = 3 * 255 + 1
    counts = sum(cv2.calcHist([part], [0], None, [bins], [0, bins]).reshape(-1).astype(np.int64) for part in parts)
    threshold = max(_percentile_of_counts(counts, MOVING_PERCENTILE), 1.0)
    if not counts[math.ceil(threshold) :].any():
        return None
    return np.asarray(cv2.compare(change, math.ceil(threshold), cv2.CMP_GE), dtype=np.uint8)


def _percentile_of_counts(counts: Any, percentile: float) -> float:
    """Return the percentile (linear interpolation, as numpy's) of values that occur ``counts[value]`` times."""
    ends = np.cumsum(counts)
    place = percentile / 100.0 * (int(ends[-1]) - 1)
    low = int(np.searchsorted(ends, math.floor(place), side="right"))
    high = int(np.searchsorted(ends, math.ceil(place), side="right"))
    return low + (place - math.floor(place)) * (high - low)


class SsimReference:
    """SSIM against one true frame; what depends on it alone is computed once.

    With ``S`` for sums over a window of n pixels, the means, variances and covariances of the definition are multiplied
    by n or n (n - 1), so that they come from whole numbers: ``2 Sx Sy`` and ``Sx² + Sy²`` for the means,
    ``n Sxy - Sx Sy`` and ``n (Sxx + Syy) - Sx² - Sy²`` for the rest; ``xx + yy = (x - y)² + 2 xy`` saves a filter.

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
        self._strips = [
            (rows, _box(truth[rows])) for rows in _strips(truth.shape[0], max(1, _STRIP_PIXELS // truth.shape[1]))
        ]

    def compare(self, predicted: UInt8Array) -> float:
        """Return the mean SSIM of a frame of the same size."""
        _check(predicted, self.truth)
        height, width, channels = self.truth.shape
        total = math.fsum(self._sum(rows, sums, predicted[rows]) for rows, sums in self._strips)
        return float(total / ((height - _EDGE) * (width - _EDGE) * channels))

    def _sum(self, rows: slice, sum_x: Any, y: UInt8Array) -> float:
        """Return the sum of the SSIM of every window inside a strip."""
        n = float(WINDOW * WINDOW)
        c1 = np.float32((_K1 * PEAK * n) ** 2)
        c2 = (_K2 * PEAK) ** 2 * n * (n - 1.0)
        x = self.truth[rows]
        # Fresh memory for every step would cost more than the arithmetic.
        apart, squares, sum_y, covariance, variances, products = _workspace(x.shape)
        _box(y, sum_y)
        # Sums of 49 products of 8 bits, doubled too, are whole numbers that float32 holds exactly.
        _box(np.multiply(x, y, out=squares, dtype=np.uint16), covariance)
        cv2.absdiff(x, y, dst=apart)
        _box(np.multiply(apart, apart, out=squares, dtype=np.uint16), variances)
        cv2.scaleAdd(covariance, 2.0, variances, dst=variances)
        np.multiply(sum_x, sum_y, out=products)
        products *= np.float32(2.0)
        powers = np.subtract(sum_x, sum_y, out=sum_y)
        powers *= powers
        powers += products
        cv2.addWeighted(covariance, 2.0 * n, products, -1.0, c2, dst=covariance)
        cv2.addWeighted(variances, n, powers, -1.0, c2, dst=variances)
        products += c1
        powers += c1
        products *= covariance
        powers *= variances
        products /= powers
        half = WINDOW // 2
        return float(math.fsum(cv2.sumElems(products[half:-half, half:-half])[:3]))


def _strips(height: int, rows: int) -> list[slice]:
    """Return overlapping slices of an image's rows, whose windows together are the image's."""
    return [slice(top, min(top + rows + _EDGE, height)) for top in range(0, height - _EDGE, rows)]


def _box(values: Any, out: Any = None) -> Any:
    """Return the sums over the windows around every pixel as float32; those at the edges are not used."""
    return cv2.boxFilter(values, cv2.CV_32F, (WINDOW, WINDOW), dst=out, normalize=False)


_local = threading.local()


def _workspace(shape: tuple[int, ...]) -> list[Any]:
    """Return arrays of this thread, to be overwritten: one of uint8, one of uint16, four of float32."""
    size = math.prod(shape)
    kept: list[Any] = getattr(_local, "arrays", [])
    if not kept or len(kept[0]) < size:
        kept = _local.arrays = [np.empty(size, dtype=kind) for kind in (np.uint8, np.uint16, *[np.float32] * 4)]
    return [array[:size].reshape(shape) for array in kept]


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
