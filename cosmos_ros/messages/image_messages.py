"""numpy to ``sensor_msgs/Image`` and ``CompressedImage``; needs ROS when called, not when imported."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.messages.images import AnyArray, check_size
from cosmos_ros.messages.stamps import stamp_message
from cosmos_ros.types import UInt8Array

# encoding -> (dtype, channels); what our own publishers may send.
_OUTGOING: dict[str, tuple[type[np.generic], int]] = {
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "rgba8": (np.uint8, 4),
    "bgra8": (np.uint8, 4),
    "mono8": (np.uint8, 1),
    "mono16": (np.uint16, 1),
    "16UC1": (np.uint16, 1),
    "32FC1": (np.float32, 1),
}


def image_message(pixels: AnyArray, *, stamp_ns: int, frame_id: str, encoding: str = "rgb8") -> Any:
    """Return a ``sensor_msgs/msg/Image`` with the array's bytes, little endian, without padding.

    Args:
        pixels: ``[H, W]`` or ``[H, W, C]`` of the dtype that the encoding names; channel order as the encoding says.
        stamp_ns: Header stamp.
        frame_id: Camera optical frame.
        encoding: rgb8, bgr8, rgba8, bgra8, mono8, mono16, 16UC1 or 32FC1.

    Raises:
        InputError: dtype or shape does not fit the encoding.
    """
    from sensor_msgs.msg import Image
    from std_msgs.msg import Header

    if encoding not in _OUTGOING:
        raise InputError(f"cannot publish encoding {encoding!r}", where="encoding", hint=f"Use {', '.join(_OUTGOING)}.")
    dtype, channels = _OUTGOING[encoding]
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[2] != channels or pixels.dtype != dtype:
        raise InputError(
            f"{encoding} needs {np.dtype(dtype).name} [H, W, {channels}], not {pixels.dtype} {list(pixels.shape)}",
            where="image",
        )
    height, width = pixels.shape[:2]
    check_size(height, width, topic="image")
    little_endian = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("<"))
    # array.array is the one type that every supported rclpy takes without looking at each byte.
    data = array("B")
    data.frombytes(little_endian.reshape(-1).view(np.uint8).data)
    return Image(
        header=Header(stamp=stamp_message(stamp_ns), frame_id=frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * channels * np.dtype(dtype).itemsize,
        data=data,
    )


def compressed_image_message(
    pixels: UInt8Array, *, stamp_ns: int, frame_id: str, image_format: str = "jpeg", quality: int = 85
) -> Any:
    """Return a ``sensor_msgs/msg/CompressedImage`` of ``uint8 [H, W, 3]`` RGB or ``uint8 [H, W]`` grey.

    Raises:
        InputError: Wrong array, format or quality.
    """
    from sensor_msgs.msg import CompressedImage
    from std_msgs.msg import Header

    payload = compress(pixels, image_format=image_format, quality=quality)
    data = array("B")
    data.frombytes(payload)
    return CompressedImage(
        header=Header(stamp=stamp_message(stamp_ns), frame_id=frame_id), format=image_format, data=data
    )


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
