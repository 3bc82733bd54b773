"""``sensor_msgs/CompressedImage`` (JPEG and PNG) to numpy, with the sizes checked before anything is decoded."""

from __future__ import annotations

import struct
from typing import Any

from cosmos_ros.errors import InputError
from cosmos_ros.messages.images import as_bytes, check_size, swap_red_and_blue
from cosmos_ros.types import UInt8Array

MAX_COMPRESSED_BYTES = 256 * 1024 * 1024

_JPEG_MAGIC = b"\xff\xd8\xff"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# Start-of-frame markers: C0..CF without DHT (C4), JPG (C8) and DAC (CC).
_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA


def decode_compressed(message: Any, *, topic: str = "image/compressed") -> UInt8Array:
    """Return a CompressedImage as ``uint8 [H, W, 3]`` RGB.

    The payload's own signature decides between JPEG and PNG. Orientation tags are ignored, as ROS drivers do.

    Raises:
        InputError: Unknown format, truncated or undecodable data, absurd size, a depth image.
    """
    import cv2

    text, data = check_compressed(message, topic=topic)
    # image_transport names the channel order it handed to the encoder; OpenCV calls the first channel blue.
    as_stored = "compressed rgb" in text
    # The decoder writes RGB by itself where OpenCV lets it (4.11 and later).
    to_rgb = None if as_stored else getattr(cv2, "IMREAD_COLOR_RGB", None)
    flags = cv2.IMREAD_COLOR if to_rgb is None else to_rgb
    try:
        pixels: UInt8Array | None = cv2.imdecode(data, flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise InputError(f"cannot be decoded: {str(error).strip()}", where=f"{topic} data") from error
    if pixels is None:
        raise InputError("cannot be decoded: the image data are corrupt", where=f"{topic} data")
    return pixels if as_stored or to_rgb is not None else swap_red_and_blue(pixels)


def check_compressed(message: Any, *, topic: str = "image/compressed") -> tuple[str, UInt8Array]:
    """Check that a CompressedImage is a whole JPEG or PNG of a sane size and no depth image, without decoding it.

    Returns:
        The format text and the payload as ``uint8 [N]``.

    Raises:
        InputError: See decode_compressed.
    """
    try:
        text = str(message.format)
    except AttributeError as error:
        raise InputError(f"not a sensor_msgs/CompressedImage: {error}", where=topic) from error
    if "compressedDepth" in text:
        raise InputError(
            "a compressed depth image is not a colour image",
            where=f"{topic} format",
            hint="Choose the camera's colour topic for this view.",
        )
    data = as_bytes(getattr(message, "data", None), where=f"{topic} data")
    if data.size == 0:
        raise InputError("the image is empty (0 bytes)", where=f"{topic} data")
    if data.size > MAX_COMPRESSED_BYTES:
        raise InputError(f"{data.size} bytes is absurd for a compressed image", where=f"{topic} data")
    height, width = compressed_size(data, topic=topic)
    check_size(height, width, topic=topic)
    return text, data


def compressed_size(data: UInt8Array, *, topic: str) -> tuple[int, int]:
    """Return ``(height, width)`` from the headers of a JPEG or PNG, and check that its end is there.

    Raises:
        InputError: Neither JPEG nor PNG, or truncated.
    """
    view = data.data
    if bytes(view[:3]) == _JPEG_MAGIC:
        return _jpeg_size(view, topic)
    if bytes(view[:8]) == _PNG_MAGIC:
        if len(view) < 33 or b"IEND" not in bytes(view[-64:]):
            raise InputError(f"truncated PNG ({len(view)} bytes)", where=f"{topic} data")
        width, height = struct.unpack_from(">II", view, 16)
        return height, width
    raise InputError(
        "the payload is neither JPEG nor PNG",
        where=f"{topic} format",
        hint="Set the camera's transport to jpeg or png.",
    )


def _jpeg_size(view: memoryview, topic: str) -> tuple[int, int]:
    truncated = InputError(f"truncated JPEG ({len(view)} bytes)", where=f"{topic} data")
    size: tuple[int, int] | None = None
    position = 2
    while position + 4 <= len(view):
        if view[position] != 0xFF:
            raise InputError(f"corrupt JPEG header at byte {position}", where=f"{topic} data")
        marker = view[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a payload
            position += 2
            continue
        length = struct.unpack_from(">H", view, position + 2)[0]
        if marker in _START_OF_FRAME:
            if position + 9 > len(view):
                raise truncated
            size = struct.unpack_from(">HH", view, position + 5)
        position += 2 + length
        if marker == _START_OF_SCAN:
            # Entropy-coded data cannot contain the end marker, so its absence means that the rest is missing;
            # libjpeg would fill it with grey and only print a warning.
            if size is None:
                raise InputError("corrupt JPEG: no frame header before the scan", where=f"{topic} data")
            if position >= len(view) or bytes(view[position:]).rfind(b"\xff\xd9") < 0:
                raise truncated
            return size
    raise truncated
