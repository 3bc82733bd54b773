"""Views to one canvas, and the canvas to a resolution tier: the same pixels as the reference builders.

Composition follows cosmos-framework (``compose_multiview`` and the policy server): side views are resized bilinearly
without antialiasing and cut, not rounded, to 8 bits. Fitting to a tier follows diffusers 0.42
``Cosmos3OmniPipeline``: the closest canvas of the tier's table, antialiased bicubic downscaling, never upscaling,
padding at the right and the bottom.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from weakref import ref

import cv2
import numpy as np

from cosmos_ros.embodiment.resample import resize_bicubic, resize_bilinear, resize_pillow_bilinear
from cosmos_ros.embodiment.spec import Camera
from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.types import UInt8Array

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


def fit_to_tier(image: UInt8Array, tier: int, multiple_of: int = 1) -> tuple[UInt8Array, TierSize]:
    """Return the padded canvas of a picture, and where the picture lies on it.

    Args:
        image: ``uint8 [H, W, 3]`` or a video ``uint8 [N, H, W, 3]``.
        tier: 256, 480, 704 or 720.
        multiple_of: 16 squeezes the sides to multiples of 16 first, as diffusers does to every picture it is given
            (540 rows become 528); 1 does not, as in training.

    Returns:
        ``uint8 [(N,) height, width, 3]`` and its sizes. Padding mirrors the picture (``reflect``), or repeats its
        edge where it is as large as the picture.

    Raises:
        InputError, ConfigError: Wrong array, unknown tier.
    """
    frames = image[None] if image.ndim == 3 else image
    for index, frame in enumerate(frames):
        check_image(frame, f"frame {index}")
    sides = [side - side % multiple_of for side in frames.shape[1:3]]
    if 0 in sides:
        raise InputError(f"a picture of {frames.shape[2]}x{frames.shape[1]} pixels is too small", where="image")
    if sides != list(frames.shape[1:3]):
        frames = np.stack([resize_pillow_bilinear(frame, sides[0], sides[1]) for frame in frames])
    size = tier_size(sides[0], sides[1], tier)
    if (size.content_height, size.content_width) != frames.shape[1:3]:
        frames = np.stack([_downscale(frame, size) for frame in frames])
    down, right = size.height - size.content_height, size.width - size.content_width
    if down or right:
        frames = np.pad(
            frames,
            ((0, 0), (0, down), (0, right), (0, 0)),
            mode="edge" if down >= size.content_height or right >= size.content_width else "reflect",
        )
    return (frames[0] if image.ndim == 3 else frames), size


def _downscale(image: UInt8Array, size: TierSize) -> UInt8Array:
    """Downscale in the model's range [-1, 1] as the reference does, and round back to 8 bits."""
    scaled = np.float32(2.0) * (image.astype(np.float32) / np.float32(255.0)) - np.float32(1.0)
    result = resize_bicubic(scaled, size.content_height, size.content_width)
    return np.asarray(np.clip(np.rint((result * 0.5 + 0.5) * 255.0), 0, 255).astype(np.uint8))


class Parts:
    """Views that were scaled ahead of ``compose``. A part goes with its picture. Safe to share by threads."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[ref[UInt8Array], Hashable, UInt8Array]] = {}
        self.primary_size: tuple[int, int] | None = None
        """Width and height of the primary view on the last canvas, pixels."""

    def __reduce__(self) -> tuple[type[Parts], tuple[()]]:
        return Parts, ()  # parts belong to pictures of this process

    def keep(self, image: UInt8Array, how: Hashable, part: UInt8Array) -> None:
        """Hold what was made of a picture, which must not be changed any more."""
        if part is not image:  # a picture that holds itself would never go
            key = id(image)
            self._held[key] = (ref(image, lambda gone: self._forget(key, gone)), how, part)

    def get(self, image: UInt8Array, how: Hashable) -> UInt8Array | None:
        """Return what was made of this very picture in this way, or None."""
        held = self._held.get(id(image))
        return held[2] if held is not None and held[0]() is image and held[1] == how else None

    def _forget(self, key: int, gone: ref[UInt8Array]) -> None:
        held = self._held.get(key)
        if held is not None and held[0] is gone:
            del self._held[key]


def prepare(view: str, image: UInt8Array, cameras: Mapping[str, Camera], rows: list[list[str]], parts: Parts) -> None:
    """Scale one view ahead of ``compose``, which then finds it; pictures that compose will refuse are left to it."""
    try:
        check_image(image, view)
    except InputError:
        return
    if view == rows[0][0]:
        parts.keep(image, cameras[view].max_size, shrink_to(image, cameras[view].max_size))
    elif parts.primary_size is not None:
        width, height = parts.primary_size
        divide = next((cameras[row[0]].divide for row in rows if view in row), 1)
        size = (height // divide, width // divide)
        if 0 not in size:
            parts.keep(image, (parts.primary_size, size), _side(image, parts.primary_size, size))


def _side(image: UInt8Array, largest: tuple[int, int], size: tuple[int, int]) -> UInt8Array:
    # The reference's cameras are never larger than the primary view. Larger ones are brought to its size by area
    # first, as the primary is: bilinear without antialiasing would skip most of their pixels.
    return resize_bilinear(shrink_to(image, largest), *size)


def compose(
    images: Mapping[str, UInt8Array],
    cameras: Mapping[str, Camera],
    rows: list[list[str]],
    parts: Parts | None = None,
) -> UInt8Array:
    """Return the canvas of one set of views.

    Args:
        images: View name → ``uint8 [H, W, 3]`` RGB.
        cameras: View name → its place's description.
        rows: View names row by row.
        parts: What was scaled before.

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
    parts = Parts() if parts is None else parts
    first = rows[0][0]
    primary = parts.get(images[first], cameras[first].max_size)
    if primary is None:
        primary = shrink_to(images[first], cameras[first].max_size)
    height, width = primary.shape[:2]
    parts.primary_size = (width, height)
    scaled: list[list[UInt8Array]] = []
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
        scaled.append([])
        for view in row:
            part = primary if view == first else parts.get(images[view], ((width, height), size))
            scaled[-1].append(_side(images[view], (width, height), size) if part is None else part)
    canvas = np.empty((sum(row[0].shape[0] for row in scaled), width, 3), dtype=np.uint8)
    top = 0
    for row_parts in scaled:
        left = 0
        for part in row_parts:
            canvas[top : top + part.shape[0], left : left + part.shape[1]] = part
            left += part.shape[1]
        top += row_parts[0].shape[0]
    return canvas


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
