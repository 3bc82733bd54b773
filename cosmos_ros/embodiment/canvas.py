"""Views to one canvas, and the canvas to a resolution tier: the same pixels as the reference builders.

Composition follows cosmos-framework (``compose_multiview`` and the policy server): side views are resized bilinearly
without antialiasing and cut, not rounded, to 8 bits. Fitting to a tier follows diffusers 0.42
``Cosmos3OmniPipeline``: the closest canvas of the tier's table, antialiased bicubic downscaling, never upscaling,
padding at the right and the bottom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from cosmos_ros.embodiment.spec import Camera
from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.types import Float32Array, FloatArray, UInt8Array

MAX_SIDE = 8192

TIERS: dict[int, tuple[tuple[float, int, int], ...]] = {
    # (height / width key, height, width); the keys are the table's own rounding of the ratio.
    256: ((1.0, 256, 256), (0.8, 256, 320), (1.25, 320, 256), (0.6, 192, 320), (1.6666666666666667, 320, 192)),
    480: (
        (1.0, 640, 640),
        (0.7391304347826086, 544, 736),
        (1.3529411764705883, 736, 544),
        (0.5769230769230769, 480, 832),
        (1.7333333333333334, 832, 480),
    ),
    704: (
        (1.0, 960, 960),
        (0.7647058823529411, 832, 1088),
        (1.3076923076923077, 1088, 832),
        (0.55, 704, 1280),
        (1.8181818181818181, 1280, 704),
    ),
    720: (
        (1.0, 960, 960),
        (0.7536231884057971, 832, 1104),
        (1.3269230769230769, 1104, 832),
        (0.5625, 720, 1280),
        (1.7777777777777777, 1280, 720),
    ),
}


@dataclass(frozen=True)
class TierSize:
    """Where a picture comes to lie on a tier's canvas, in pixels.

    Attributes:
        height, width: The padded canvas.
        content_height, content_width: The picture at its top left.
    """

    height: int
    width: int
    content_height: int
    content_width: int


def tier_size(height: int, width: int, tier: int) -> TierSize:
    """Return the canvas of ``tier`` for a picture of ``height`` x ``width`` pixels, and the picture's size on it.

    Raises:
        ConfigError: Unknown tier.
        InputError: The picture has no pixels.
    """
    if tier not in TIERS:
        raise ConfigError(f"unknown resolution tier {tier}; allowed: {list(TIERS)}", where="tier")
    if height < 1 or width < 1:
        raise InputError(f"a picture of {width}x{height} pixels has no content", where="image")
    ratio = height / width
    _, canvas_height, canvas_width = min(TIERS[tier], key=lambda entry: abs(entry[0] - ratio))
    scale = min(canvas_width / width, canvas_height / height, 1.0)
    return TierSize(
        canvas_height,
        canvas_width,
        max(1, int(scale * height + 0.5)),
        max(1, int(scale * width + 0.5)),
    )


def fit_to_tier(image: UInt8Array, tier: int) -> tuple[UInt8Array, TierSize]:
    """Return the padded canvas of a picture, and where the picture lies on it.

    Args:
        image: ``uint8 [H, W, 3]`` or a video ``uint8 [N, H, W, 3]``.
        tier: 256, 480, 704 or 720.

    Returns:
        ``uint8 [(N,) height, width, 3]`` and its sizes. Padding mirrors the picture (``reflect``), or repeats its
        edge where it is as large as the picture.

    Raises:
        InputError, ConfigError: Wrong array, unknown tier.
    """
    frames = image[None] if image.ndim == 3 else image
    for index, frame in enumerate(frames):
        check_image(frame, f"frame {index}")
    size = tier_size(frames.shape[1], frames.shape[2], tier)
    if (size.content_height, size.content_width) != frames.shape[1:3]:
        frames = np.stack([resize_bicubic(frame, size.content_height, size.content_width) for frame in frames])
    down, right = size.height - size.content_height, size.width - size.content_width
    if down or right:
        mode = "edge" if down >= size.content_height or right >= size.content_width else "reflect"
        frames = np.pad(frames, ((0, 0), (0, down), (0, right), (0, 0)), mode=mode)  # type: ignore[call-overload]
    return (frames[0] if image.ndim == 3 else frames), size


def resize_bicubic(image: UInt8Array, height: int, width: int) -> UInt8Array:
    """Downscale with the antialiased bicubic filter (a = -0.5, half-pixel centres), rounded to 8 bits."""
    vertical = _bicubic_weights(image.shape[0], height)
    horizontal = _bicubic_weights(image.shape[1], width)
    source = image.astype(np.float64)
    rows = np.tensordot(vertical, source, axes=(1, 0))  # [height, W, 3]
    result = np.tensordot(horizontal, rows, axes=(1, 1)).transpose(1, 0, 2)
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


@lru_cache(maxsize=32)
def _bicubic_weights(source: int, target: int) -> FloatArray:
    """Return ``float64 [target, source]``: Keys' cubic stretched by the scale, each row summing to 1."""
    scale = source / target
    stretch = max(scale, 1.0)
    centres = (np.arange(target) + 0.5) * scale
    first = np.maximum((centres - 2.0 * stretch + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + 2.0 * stretch + 0.5).astype(np.int64), source)
    columns = np.arange(source)
    distance = np.abs((columns[None] - centres[:, None] + 0.5) / stretch)
    near = (1.5 * distance - 2.5) * distance * distance + 1.0
    far = ((-0.5 * distance + 2.5) * distance - 4.0) * distance + 2.0
    weights = np.where(distance < 1.0, near, np.where(distance < 2.0, far, 0.0))
    weights *= (columns[None] >= first[:, None]) & (columns[None] < last[:, None])
    result: FloatArray = weights / weights.sum(axis=1, keepdims=True)
    return result


def compose(images: Mapping[str, UInt8Array], cameras: Mapping[str, Camera], rows: list[list[str]]) -> UInt8Array:
    """Return the canvas of one set of views.

    Args:
        images: View name → ``uint8 [H, W, 3]`` RGB.
        cameras: View name → its place's description.
        rows: View names row by row.

    Returns:
        ``uint8 [H, W, 3]``, not padded.

    Raises:
        InputError: A view is missing, is not an RGB picture, or the rows come out of unequal width.
    """
    missing = [view for row in rows for view in row if view not in images]
    if missing:
        raise InputError(
            f"views {missing} have no image; there are {sorted(images)}",
            where="images",
            hint="Check the camera topics, or declare the view blank.",
        )
    for row in rows:
        for view in row:
            check_image(images[view], f"images[{view}]")
    first = rows[0][0]
    primary = shrink_to(images[first], cameras[first].max_size)
    height, width = primary.shape[:2]
    parts: list[list[UInt8Array]] = []
    for row in rows:
        divide = cameras[row[0]].divide
        size = (height // divide, width // divide)
        if 0 in size:
            raise InputError(f"{width}x{height} pixels are too few to be divided by {divide}", where=f"images[{first}]")
        if size[1] * len(row) != width:
            raise InputError(
                f"a width of {width} pixels cannot be divided into {len(row)} views",
                where=f"images[{first}]",
                hint="Use a camera width that is a multiple of it.",
            )
        parts.append([primary if view == first else resize_bilinear(images[view], *size) for view in row])
    canvas = np.empty((sum(row[0].shape[0] for row in parts), width, 3), dtype=np.uint8)
    top = 0
    for row_parts in parts:
        left = 0
        for part in row_parts:
            canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
            left += part.shape[1]
        top += row_parts[0].shape[0]
    return canvas


def resize_bilinear(image: UInt8Array, height: int, width: int) -> UInt8Array:
    """Resize bilinearly with half-pixel centres and no antialiasing, cut to 8 bits (the reference's order)."""
    if image.shape[:2] == (height, width):
        return image
    if image.shape[:2] == (2 * height, 2 * width):
        # Every new pixel is the mean of four; exact in integers.
        wide = image.astype(np.uint16)
        pairs = wide[0::2] + wide[1::2]
        halves: UInt8Array = ((pairs[:, 0::2] + pairs[:, 1::2]) >> 2).astype(np.uint8)
        return halves
    row, row_next, row_weight = _bilinear(image.shape[0], height)
    column, column_next, column_weight = _bilinear(image.shape[1], width)
    source = image.astype(np.float32)
    w1, h1 = column_weight[None, :, None], row_weight[:, None, None]
    w0, h0 = np.float32(1.0) - w1, np.float32(1.0) - h1
    upper, lower = source[row], source[row_next]
    top = upper[:, column] * w0 + upper[:, column_next] * w1
    bottom = lower[:, column] * w0 + lower[:, column_next] * w1
    return np.asarray((top * h0 + bottom * h1).astype(np.uint8))


@lru_cache(maxsize=32)
def _bilinear(source: int, target: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Float32Array]:
    """Return lower index, upper index and the upper one's weight for each target pixel."""
    scale = np.float32(source) / np.float32(target)
    place = scale * (np.arange(target, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5)
    place = np.maximum(place, np.float32(0.0)).astype(np.float32)
    low = place.astype(np.int64)
    return low, np.minimum(low + 1, source - 1), (place - low.astype(np.float32)).astype(np.float32)


def shrink_to(image: UInt8Array, max_size: tuple[int, int] | None) -> UInt8Array:
    """Return the picture scaled down to fit ``(width, height)`` with its aspect kept; never up."""
    if max_size is None:
        return image
    height, width = image.shape[:2]
    scale = min(max_size[0] / width, max_size[1] / height)
    if scale >= 1.0:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def check_image(image: UInt8Array, where: str) -> None:
    """Refuse what is not ``uint8 [H, W, 3]`` of sane size; raises InputError."""
    if np.ndim(image) != 3 or image.shape[2] != 3:
        shape = list(np.shape(image))
        raise InputError(f"expected an RGB picture [H, W, 3], got shape {shape}", where=where)
    if image.dtype != np.uint8:
        raise InputError(f"expected uint8, got {image.dtype}", where=where, hint="Convert to 0..255 first.")
    if 0 in image.shape or max(image.shape[:2]) > MAX_SIDE:
        raise InputError(f"{image.shape[1]}x{image.shape[0]} pixels are not between 1 and {MAX_SIDE}", where=where)
