"""numpy to ``sensor_msgs/Image`` and ``CompressedImage``; needs ROS when called, not when imported."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.messages.images import check_size
from cosmos_ros.messages.stamps import stamp_message
from cosmos_ros.types import UInt8Array


def image_message(pixels: UInt8Array, *, stamp_ns: int, frame_id: str) -> Any:
    """Return a ``sensor_msgs/msg/Image`` of ``uint8 [H, W, 3]`` RGB, without padding.

    Args:
        pixels: The image.
        stamp_ns: Header stamp.
        frame_id: Camera optical frame.

    Raises:
        InputError: Wrong array.
    """
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise InputError(f"needs uint8 [H, W, 3], not {pixels.dtype} {list(pixels.shape)}", where="image")
    height, width = pixels.shape[:2]
    check_size(height, width, topic="image")
    return Image(
        header=Header(stamp=stamp_message(stamp_ns), frame_id=frame_id),
        height=height,
        width=width,
        encoding="rgb8",
        is_bigendian=0,
        step=3 * width,
        data=_byte_array(np.ascontiguousarray(pixels).data.cast("B")),
    )


def compressed_image_message(pixels: UInt8Array, *, stamp_ns: int, frame_id: str, quality: int = 85) -> Any:
    """Return a JPEG ``sensor_msgs/msg/CompressedImage`` of ``uint8 [H, W, 3]`` RGB or ``uint8 [H, W]`` grey.

    Raises:
        InputError: Wrong array or quality.
    """
    from sensor_msgs.msg import CompressedImage
    from std_msgs.msg import Header

    data = _byte_array(compress(pixels, quality=quality))
    return CompressedImage(header=Header(stamp=stamp_message(stamp_ns), frame_id=frame_id), format="jpeg", data=data)


def _byte_array(data: bytes | memoryview) -> array[int]:
    """Return the one type that every supported rclpy takes for ``uint8[]`` without looking at each byte."""
    result = array("B")
    result.frombytes(data)
    return result


def compress(pixels: UInt8Array, *, image_format: str = "jpeg", quality: int = 85) -> bytes:
    """Encode ``uint8 [H, W, 3]`` RGB or ``uint8 [H, W]`` grey as JPEG (lossy) or PNG (exact).

    Args:
        pixels: The image.
        image_format: ``jpeg`` or ``png``.
        quality: JPEG quality, 1 to 100.

    Raises:
        InputError: Wrong array, format or quality.
    """
    import cv2

    if pixels.dtype != np.uint8 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise InputError(f"needs uint8 [H, W, 3] or [H, W], not {pixels.dtype} {list(pixels.shape)}", where="image")
    check_size(pixels.shape[0], pixels.shape[1], topic="image")
    if image_format == "jpeg":
        if not 1 <= quality <= 100:
            raise InputError(f"JPEG quality {quality} is outside [1, 100]", where="quality")
        extension, parameters = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
    elif image_format == "png":
        extension, parameters = ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]
    else:
        raise InputError(f"unknown image format {image_format!r}", where="format", hint="Use jpeg or png.")
    pixels = np.ascontiguousarray(pixels)
    ok, encoded = cv2.imencode(
        extension, pixels if pixels.ndim == 2 else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), parameters
    )
    if not ok:
        raise InputError(f"{list(pixels.shape)} could not be encoded as {image_format}", where="image")
    payload: bytes = encoded.tobytes()
    return payload
