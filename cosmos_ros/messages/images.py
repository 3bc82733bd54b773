"""``sensor_msgs/Image`` to numpy, exactly: the built-in converter. ``cv_bridge_images`` uses cv_bridge instead.

Anything with the message's fields is accepted, so messages of rclpy and of rosbags both work. The result may be a
read-only view on the message's data where no conversion is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from cosmos_ros.errors import InputError
from cosmos_ros.types import UInt8Array

MAX_PIXELS = 64 * 1024 * 1024
"""Images above this are refused before anything is allocated for them."""

AnyArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Encoding:
    """Memory layout of one encoding: ``bytes_per_pixel`` of a row, ``rows`` of it per image row (1.5 for NV12)."""

    kind: str
    depth: int = 8
    channels: int = 3
    rows_numerator: int = 2

    @property
    def bytes_per_pixel(self) -> int:
        """Bytes that one pixel takes in a row of the first plane."""
        return self.channels * self.depth // 8


_YUYV = Encoding("yuyv", channels=2)
_UYVY = Encoding("uyvy", channels=2)
# 8UC3 and 8UC4 say nothing about colour; OpenCV's own order is what their publishers mean.
ENCODINGS: dict[str, Encoding] = {
    "rgb8": Encoding("rgb"),
    "bgr8": Encoding("bgr"),
    "8UC3": Encoding("bgr"),
    "rgba8": Encoding("rgb", channels=4),
    "bgra8": Encoding("bgr", channels=4),
    "8UC4": Encoding("bgr", channels=4),
    "mono8": Encoding("mono", channels=1),
    "8UC1": Encoding("mono", channels=1),
    "rgb16": Encoding("rgb", depth=16),
    "bgr16": Encoding("bgr", depth=16),
    "rgba16": Encoding("rgb", depth=16, channels=4),
    "bgra16": Encoding("bgr", depth=16, channels=4),
    "mono16": Encoding("mono", depth=16, channels=1),
    "16UC1": Encoding("depth_mm", depth=16, channels=1),
    "32FC1": Encoding("depth_m", depth=32, channels=1),
    "yuv422": _UYVY,
    "uyvy": _UYVY,
    "yuv422_yuy2": _YUYV,
    "yuyv": _YUYV,
    "nv12": Encoding("nv12", channels=1, rows_numerator=3),
    "nv21": Encoding("nv21", channels=1, rows_numerator=3),
}
ENCODINGS.update(
    {
        f"bayer_{pattern}{depth}": Encoding(f"bayer_{pattern}", depth=depth, channels=1)
        for pattern in ("rggb", "bggr", "gbrg", "grbg")
        for depth in (8, 16)
    }
)

# OpenCV names a pattern by the second row's second and third pixel.
_BAYER_CODES = {
    "bayer_rggb": "COLOR_BayerBG2RGB",
    "bayer_bggr": "COLOR_BayerRG2RGB",
    "bayer_gbrg": "COLOR_BayerGR2RGB",
    "bayer_grbg": "COLOR_BayerGB2RGB",
}
_YUV_CODES = {
    "uyvy": "COLOR_YUV2RGB_UYVY",
    "yuyv": "COLOR_YUV2RGB_YUY2",
    "nv12": "COLOR_YUV2RGB_NV12",
    "nv21": "COLOR_YUV2RGB_NV21",
}


def decode_image(message: Any, *, topic: str = "image") -> UInt8Array:
    """Return an Image as ``uint8 [H, W, 3]`` RGB.

    Sixteen-bit colours are scaled to eight bits with rounding, alpha is dropped, grey is repeated.

    Args:
        message: Object with height, width, encoding, is_bigendian, step and data.
        topic: Name for errors.

    Raises:
        InputError: Unsupported or non-colour encoding, zero or absurd size, impossible step, truncated data.
    """
    encoding = check_image(message, topic=topic)
    if encoding.kind.startswith("depth"):
        raise InputError(
            f"{message.encoding} is a depth image, not a colour image",
            where=f"{topic} encoding",
            hint="Choose the camera's colour topic for this view.",
        )
    height, width = int(message.height), int(message.width)
    pixels = _pixels(message, encoding, topic)
    if encoding.kind in _YUV_CODES:
        if width % 2 or (encoding.rows_numerator == 3 and height % 2):
            raise InputError(
                f"{width} x {height} is odd, which {message.encoding} cannot store", where=f"{topic} width"
            )
        return _convert(np.ascontiguousarray(pixels), _YUV_CODES[encoding.kind])
    if encoding.kind in _BAYER_CODES:
        if width < 2 or height < 2:
            raise InputError(f"a Bayer image needs 2 x 2 pixels, not {width} x {height}", where=f"{topic} width")
        return _to_eight_bits(_convert(np.ascontiguousarray(pixels), _BAYER_CODES[encoding.kind]))
    pixels = _to_eight_bits(pixels)
    if encoding.kind == "mono":
        return _convert(pixels, "COLOR_GRAY2RGB")
    if encoding.kind == "bgr":
        return swap_red_and_blue(pixels)
    return np.ascontiguousarray(pixels[..., :3])


def check_image(message: Any, *, topic: str = "image") -> Encoding:
    """Check that an Image is whole and of a known encoding, without converting it (a microsecond).

    Raises:
        InputError: See decode_image.
    """
    try:
        name, height, width, step = str(message.encoding), int(message.height), int(message.width), int(message.step)
        size = len(message.data)
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(f"not a sensor_msgs/Image: {error}", where=topic) from error
    encoding = ENCODINGS.get(name) or ENCODINGS.get(name.lower())
    if encoding is None:
        raise InputError(
            f"encoding {name!r} is not supported",
            where=f"{topic} encoding",
            hint=f"Supported: {', '.join(sorted(ENCODINGS))}.",
        )
    check_size(height, width, topic=topic)
    if step < width * encoding.bytes_per_pixel:
        raise InputError(
            f"step {step} is less than a row of {width} {name} pixels ({width * encoding.bytes_per_pixel} bytes)",
            where=f"{topic} step",
        )
    needed = step * (height * encoding.rows_numerator // 2)
    if size < needed:
        raise InputError(f"truncated: {size} bytes of {needed} for {width} x {height} {name}", where=f"{topic} data")
    if step > 16 * width * encoding.bytes_per_pixel + 4096:
        raise InputError(f"step {step} is absurd for a width of {width}", where=f"{topic} step")
    return encoding


def check_size(height: int, width: int, *, topic: str) -> None:
    """Refuse empty and absurdly large images.

    Raises:
        InputError: A side is zero, or there are more than MAX_PIXELS pixels.
    """
    if height <= 0 or width <= 0:
        raise InputError(f"the image is empty ({width} x {height})", where=f"{topic} width")
    if height * width > MAX_PIXELS:
        raise InputError(
            f"{width} x {height} is more than {MAX_PIXELS // 1024 // 1024} megapixels", where=f"{topic} width"
        )


def swap_red_and_blue(pixels: AnyArray) -> UInt8Array:
    """Return ``uint8 [H, W, 3]`` with the first and third channel exchanged; a fourth channel is dropped."""
    import cv2

    code = cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    swapped: UInt8Array = cv2.cvtColor(np.ascontiguousarray(pixels), code)
    return swapped


def as_bytes(data: Any, *, where: str) -> UInt8Array:
    """Return a message's byte sequence as ``uint8 [N]`` without copying where it is a buffer.

    Raises:
        InputError: Not bytes.
    """
    try:
        if isinstance(data, list | tuple):
            return np.frombuffer(bytes(data), np.uint8)
        return np.frombuffer(data, np.uint8)
    except (TypeError, ValueError, BufferError) as error:
        raise InputError(f"data is not a sequence of bytes: {error}", where=where) from error


def _pixels(message: Any, encoding: Encoding, topic: str) -> AnyArray:
    """The image's samples as ``[rows, W]`` or ``[rows, W, channels]`` in their own byte order, padding cut off."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    rows = height * encoding.rows_numerator // 2
    data = as_bytes(message.data, where=f"{topic} data")[: rows * step].reshape(rows, step)
    data = data[:, : width * encoding.bytes_per_pixel]
    if encoding.depth != 8:
        order = ">" if message.is_bigendian else "<"
        letter = "f" if encoding.depth == 32 else "u"
        data = np.ascontiguousarray(data).view(f"{order}{letter}{encoding.depth // 8}")
    return data if encoding.channels == 1 else data.reshape(rows, width, encoding.channels)


def _to_eight_bits(pixels: AnyArray) -> UInt8Array:
    if pixels.dtype == np.uint8:
        return pixels
    # 65535 / 255 = 257, so this is v * 255 / 65535 rounded to nearest, and there are no ties.
    return ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _convert(pixels: AnyArray, code: str) -> AnyArray:
    import cv2

    # OpenCV wants native endian samples.
    converted: AnyArray = cv2.cvtColor(pixels.astype(pixels.dtype.newbyteorder("="), copy=False), getattr(cv2, code))
    return converted
