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

import numpy as np

from cosmos_ros.embodiment.resample import resize_bicubic, resize_bilinear
from cosmos_ros.embodiment.spec import ViewSpec
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
    """Where an image comes to lie on a tier's canvas, in pixels.

    Attributes:
        height, width: The padded canvas.
        content_height, content_width: The image at its top left.
    """

    height: int
    width: int
    content_height: int
    content_width: int


def tier_size(height: int, width: int, tier: int) -> TierSize:
    """Return the canvas of ``tier`` for an image of ``height`` x ``width`` pixels, and the image's size on it.

    Raises:
        ConfigError: Unknown tier.
        InputError: The image has no pixels.
    """
    if tier not in TIERS:
        raise ConfigError(f"unknown resolution tier {tier}; allowed: {list(TIERS)}", where="tier")
    if height < 1 or width < 1:
        raise InputError(f"an image of {width}x{height} pixels has no content", where="image")
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
    """Return the padded canvas of an image, and where the image lies on it.

    Args:
        image: ``uint8 [H, W, 3]`` or a video ``uint8 [N, H, W, 3]``.
        tier: 256, 480, 704 or 720.

    Returns:
        ``uint8 [(N,) height, width, 3]`` and its sizes. Padding mirrors the image (``reflect``), or repeats its edge
        where it is as large as the image.

    Raises:
        InputError, ConfigError: Wrong array, unknown tier.
    """
    frames = image[None] if image.ndim == 3 else image
    for index, frame in enumerate(frames):
        check_image(frame, f"frame {index}")
    size = tier_size(frames.shape[1], frames.shape[2], tier)
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


class Composer:
    """Lays the views of one embodiment onto its canvas. ``prepare`` may be called from any thread.

    Args:
        cameras: View name → its place's description.
        rows: View names row by row, the primary first.
    """

    def __init__(self, cameras: Mapping[str, ViewSpec], rows: list[list[str]]) -> None:
        self._cameras, self._rows = cameras, rows
        self._primary_size: tuple[int, int] | None = None  # width and height on the last canvas, pixels
        # id of an image → the image, how it was scaled, the result. An entry goes with its image.
        self._prepared: dict[int, tuple[ref[UInt8Array], Hashable, UInt8Array]] = {}

    def prepare(self, view: str, image: UInt8Array) -> None:
        """Scale one view before ``compose``, which then finds it; the image must not be changed any more.

        Images that ``compose`` will refuse are left to it. Side views need the size of the primary view, which is
        known from the last canvas.
        """
        try:
            check_image(image, view)
        except InputError:
            return
        if view == self._rows[0][0]:
            largest = self._cameras[view].max_size
            self._keep(image, largest, shrink_to(image, largest))
        elif self._primary_size is not None:
            width, height = self._primary_size
            divide = next((self._cameras[row[0]].divide for row in self._rows if view in row), 1)
            size = (height // divide, width // divide)
            if 0 not in size:
                self._keep(image, (self._primary_size, size), _side_view(image, self._primary_size, size))

    def compose(self, images: Mapping[str, UInt8Array]) -> UInt8Array:
        """Return the canvas ``uint8 [H, W, 3]``, not padded, of one ``uint8 [H, W, 3]`` RGB image for each view.

        Raises:
            InputError: A view is missing, is not an RGB image, or the rows come out of unequal width.
        """
        placed = [view for row in self._rows for view in row]
        missing = [view for view in placed if view not in images]
        if missing:
            raise InputError(
                f"views {missing} have no image; there are {sorted(images)}",
                where="images",
                hint="Check the camera topics, or declare the view blank.",
            )
        for view in placed:
            check_image(images[view], f"images[{view}]")
        first = self._rows[0][0]
        largest = self._cameras[first].max_size
        primary = self._find(images[first], largest)
        if primary is None:
            primary = shrink_to(images[first], largest)
        height, width = primary.shape[:2]
        self._primary_size = (width, height)
        rows: list[UInt8Array] = []
        for row in self._rows:
            divide = self._cameras[row[0]].divide
            size = (height // divide, width // divide)
            if 0 in size:
                raise InputError(
                    f"{width}x{height} pixels are too few to be divided by {divide}", where=f"images[{first}]"
                )
            if size[1] * len(row) != width:
                raise InputError(
                    f"a width of {width} pixels cannot be divided into {len(row)} views",
                    where=f"images[{first}]",
                    hint="Use a camera width that is a multiple of it.",
                )
            parts = []
            for view in row:
                part = primary if view == first else self._find(images[view], ((width, height), size))
                parts.append(_side_view(images[view], (width, height), size) if part is None else part)
            rows.append(parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))
        return np.concatenate(rows)

    def _keep(self, image: UInt8Array, how: Hashable, part: UInt8Array) -> None:
        if part is not image:  # an entry that refers to its own image would never go
            key = id(image)
            self._prepared[key] = (ref(image, lambda gone: self._forget(key, gone)), how, part)

    def _find(self, image: UInt8Array, how: Hashable) -> UInt8Array | None:
        entry = self._prepared.get(id(image))
        return entry[2] if entry is not None and entry[0]() is image and entry[1] == how else None

    def _forget(self, key: int, gone: ref[UInt8Array]) -> None:
        entry = self._prepared.get(key)
        if entry is not None and entry[0] is gone:
            del self._prepared[key]


def _side_view(image: UInt8Array, largest: tuple[int, int], size: tuple[int, int]) -> UInt8Array:
    # The reference's cameras are never larger than the primary view. Larger ones are brought to its size by area
    # first, as the primary is: bilinear without antialiasing would skip most of their pixels.
    return resize_bilinear(shrink_to(image, largest), *size)


def shrink_to(image: UInt8Array, max_size: tuple[int, int] | None) -> UInt8Array:
    """Return the image scaled down to fit ``(width, height)`` with its aspect kept; never up."""
    if max_size is None:
        return image
    height, width = image.shape[:2]
    scale = min(max_size[0] / width, max_size[1] / height)
    if scale >= 1.0:
        return image
    import cv2  # heavy, and not needed where only the robot is of interest

    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def check_image(image: UInt8Array, where: str) -> None:
    """Refuse what is not ``uint8 [H, W, 3]`` of sane size; raises InputError."""
    if np.ndim(image) != 3 or image.shape[2] != 3:
        shape = list(np.shape(image))
        raise InputError(f"expected an RGB image [H, W, 3], got shape {shape}", where=where)
    if image.dtype != np.uint8:
        raise InputError(f"expected uint8, got {image.dtype}", where=where, hint="Convert to 0..255 first.")
    if 0 in image.shape or max(image.shape[:2]) > MAX_SIDE:
        raise InputError(f"{image.shape[1]}x{image.shape[0]} pixels are not between 1 and {MAX_SIDE}", where=where)
