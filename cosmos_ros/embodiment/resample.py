"""Image scaling with the exact arithmetic of the libraries the reference builders call.

A filter's formula fixes an image only to the last bit of float32, and cutting or rounding to 8 bits turns that bit
into a grey level. So the order of float32 operations follows torch's CPU kernels (bilinear, antialiased bicubic;
compared bit by bit with torch 2.13).
"""

from __future__ import annotations

from functools import lru_cache
from math import ceil

import numpy as np
import numpy.typing as npt

from cosmos_ros.types import Float32Array, FloatArray, Int64Array, UInt8Array

_F = np.float32
_STRIP = 30


def resize_bilinear(image: UInt8Array, height: int, width: int) -> UInt8Array:
    """Resize ``uint8 [H, W, C]`` as torch's ``interpolate(mode="bilinear")``, then cut to 8 bits.

    Half-pixel centres, no antialiasing. Cutting, not rounding, is what cosmos-framework's view composition does.
    Halving is exact. For other ratios torch's own kernels (which one runs depends on its threads) differ from each
    other by one grey level in about 1e-4 of the pixels; this is the single-threaded one.
    """
    if image.shape[:2] == (height, width):
        return image
    if image.shape[:2] == (2 * height, 2 * width):
        return _halve(image)
    top, bottom, down = _bilinear_taps(image.shape[0], height)
    left, right, across = _bilinear_taps(image.shape[1], width)
    h1, w1 = down[:, None, None], across[None, :, None]
    h0, w0 = _F(1.0) - h1, _F(1.0) - w1
    upper, lower = image[top], image[bottom]
    result = (upper[:, right] * (h0 * w1)).astype(np.float32)
    result = _multiply_add(upper[:, left], h0 * w0, result)
    result = _multiply_add(lower[:, left], h1 * w0, result)
    result = _multiply_add(lower[:, right], h1 * w1, result)
    return np.asarray(result.astype(np.uint8))


def _halve(image: UInt8Array) -> UInt8Array:
    """Return the means of two by two pixels, cut to 8 bits.

    Four times the pixels have whole means, which OpenCV averages exactly and fast; dividing after it cuts. In strips,
    so that what is needed in between stays in the processor's cache.
    """
    import cv2  # heavy, and not needed where only the robot is of interest

    height, width = image.shape[0] // 2, image.shape[1] // 2
    result = np.empty((height, width, image.shape[2]), dtype=np.uint8)
    for top in range(0, height, _STRIP):
        strip = np.left_shift(image[2 * top : 2 * (top + _STRIP)], 2, dtype=np.uint16)
        means = cv2.resize(strip, (width, len(strip) // 2), interpolation=cv2.INTER_AREA)
        np.right_shift(means, 2, out=result[top : top + _STRIP], casting="unsafe")
    return result


@lru_cache(maxsize=64)
def _bilinear_taps(source: int, target: int) -> tuple[Int64Array, Int64Array, Float32Array]:
    """Return lower index, upper index and the upper one's weight of each target pixel."""
    scale = _F(source) / _F(target)
    place = (float(scale) * (np.arange(target) + 0.5) - 0.5).astype(np.float32)
    place = np.maximum(place, _F(0.0))
    low = place.astype(np.int64)
    return low, np.minimum(low + 1, source - 1), (place - low.astype(np.float32)).astype(np.float32)


def resize_bicubic(image: Float32Array, height: int, width: int) -> Float32Array:
    """Resize ``float32 [H, W, C]`` as torch's ``interpolate(mode="bicubic", antialias=True)``.

    Keys' cubic with a = -0.5, stretched by the scale when downscaling. Columns first, then rows.
    """
    columns = _apply(image, *_bicubic_taps(image.shape[1], width), axis=1)
    return _apply(columns, *_bicubic_taps(image.shape[0], height), axis=0)


@lru_cache(maxsize=64)
def _bicubic_taps(source: int, target: int) -> tuple[Int64Array, Int64Array, Float32Array]:
    """Return first index, number of taps and weights ``float32 [target, taps]`` of each target pixel."""
    scale = _F(source) / _F(target)
    support = float(_F(2.0) * scale) if scale >= 1.0 else 2.0
    inverse = float(_F(1.0 / float(scale))) if scale >= 1.0 else 1.0
    centre = (float(scale) * (np.arange(target) + 0.5)).astype(np.float32)
    first = np.maximum(((centre - _F(support)).astype(np.float64) + 0.5).astype(np.int64), 0)
    last = np.minimum(((centre + _F(support)).astype(np.float64) + 0.5).astype(np.int64), source)
    taps = ceil(support) * 2 + 1
    count = np.clip(last - first, 0, taps)
    place = (first[:, None] + np.arange(taps)).astype(np.float32) - centre[:, None]
    x = np.abs(((place.astype(np.float64) + 0.5) * inverse).astype(np.float32)).astype(np.float64)
    # Each line rounds to float32 where the compiled kernel does: once a fused multiply-add.
    near = (1.5 * x - 2.5).astype(np.float32)
    near = (near * x.astype(np.float32)).astype(np.float32)
    near = (near * x + 1.0).astype(np.float32)
    far = (-0.5 * x + 2.5).astype(np.float32)
    far = (far * x - 4.0).astype(np.float32)
    far = (far * x + 2.0).astype(np.float32)
    weights = np.where(x < 1.0, near, np.where(x < 2.0, far, _F(0.0)))
    weights = np.where(np.arange(taps) < count[:, None], weights, _F(0.0)).astype(np.float32)
    total = np.zeros(target, dtype=np.float32)
    for tap in range(taps):
        total += weights[:, tap]
    return first, count, (weights / total[:, None]).astype(np.float32)


def _apply(image: Float32Array, first: Int64Array, count: Int64Array, weights: Float32Array, axis: int) -> Float32Array:
    """Apply taps along one axis, in the order and with the rounding of the vectorised kernel."""
    source = np.moveaxis(image, axis, 0)
    lines = (-1,) + (1,) * (source.ndim - 1)
    index = np.minimum(first[:, None] + np.arange(weights.shape[1]), len(source) - 1)
    result = (source[index[:, 0]] * weights[:, 0].reshape(lines)).astype(np.float32)
    # After the first, taps are taken four at a time with separate rounding; the rest are fused.
    separate = 1 + (count - 1) // 4 * 4
    for tap in range(1, weights.shape[1]):
        values, weight = source[index[:, tap]], weights[:, tap].reshape(lines)
        fused = _multiply_add(values, weight, result)
        rounded = result + (values * weight).astype(np.float32)
        step = np.where((tap < separate).reshape(lines), rounded, fused)
        result = np.where((tap < count).reshape(lines), step, result)
    return np.asarray(np.moveaxis(result, 0, axis))


def _multiply_add(a: npt.NDArray[np.generic], b: Float32Array, c: Float32Array) -> Float32Array:
    """Return ``a b + c`` rounded once to float32; products of two float32 are exact in float64."""
    product: FloatArray = a.astype(np.float64) * b.astype(np.float64)
    return np.asarray((product + c).astype(np.float32))
