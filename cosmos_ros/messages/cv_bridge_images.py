"""Images that cv_bridge converts: all that it can, or only those of an encoding that ``messages.images`` lacks.

A cv_bridge that was built against another NumPy prints, raises, or ends the process when it is used. So it is tried in
a process of its own first, and anything but a right answer is one line of explanation; the built-in converter goes on.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.messages.images import ENCODINGS, as_bytes, check_size
from cosmos_ros.settings import DeclaredSettings, setting
from cosmos_ros.types import UInt8Array

CONVERTERS = ("auto", "builtin", "cv_bridge")

# Enough for Python, NumPy, OpenCV and rclpy's messages on a loaded small computer.
_PROBE_TIMEOUT_S = 60.0
# What a camera can be set to; more names than these are somebody's nonsense.
_MOST_ENCODINGS = 64
_PROBE = """
import numpy as np
from types import SimpleNamespace
from cv_bridge import CvBridge
message = SimpleNamespace(height=1, width=2, encoding="bgr8", is_bigendian=0, step=6, data=bytes([1, 2, 3, 4, 5, 6]))
image = CvBridge().imgmsg_to_cv2(message, desired_encoding="rgb8")
assert np.array_equal(image, [[[3, 2, 1], [6, 5, 4]]]), f"bgr8 became {image.tolist()}"
"""


@dataclass(frozen=True)
class ImageConversion(DeclaredSettings):
    """Who converts raw images."""

    image_converter: str = setting(
        "auto",
        "Who converts raw images: builtin; cv_bridge, where it knows the encoding; auto, which uses cv_bridge only for "
        "encodings that the built-in converter lacks.",
        choices=CONVERTERS,
        read_only=True,
    )


@cache
def cv_bridge_problem() -> str | None:
    """Return why cv_bridge cannot be used here, in one line; None where it can. Takes a process's start, once."""
    if importlib.util.find_spec("cv_bridge") is None:
        return "cv_bridge is not installed"
    command = [sys.executable, "-c", _PROBE]
    try:
        done = subprocess.run(  # noqa: S603 - our own text
            command, capture_output=True, text=True, errors="replace", timeout=_PROBE_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cv_bridge cannot be tried: {error}"
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    why = lines[-1] if lines and done.returncode > 0 else f"it ends the process (status {done.returncode})"
    return f"cv_bridge is broken here, perhaps built against another NumPy than {np.__version__}: {why[:300]}"


class ImageConverter:
    """Decides for each raw image who converts it; see ``ImageConversion``.

    Args:
        settings: The choice.
        warn: Called with one line where cv_bridge is asked for, or is there, but cannot be used.
    """

    def __init__(self, settings: ImageConversion, warn: Callable[[str], None]) -> None:
        self._first = settings.image_converter == "cv_bridge"
        self._bridge: Any = None
        self._known: dict[str, bool] = {}
        if settings.image_converter == "builtin":
            return
        problem = cv_bridge_problem()
        if problem is None:
            from cv_bridge import CvBridge

            self._bridge = CvBridge()
        elif self._first or importlib.util.find_spec("cv_bridge") is not None:
            warn(f"{problem}; the built-in converter is used")

    def prepare(self, message: Any) -> Any:
        """Return what to keep of an Image: the message itself, or a ``BridgeImage`` where cv_bridge converts it."""
        if self._bridge is None:
            return message
        encoding = str(getattr(message, "encoding", ""))
        ours = encoding in ENCODINGS or encoding.lower() in ENCODINGS
        return BridgeImage(message, self._bridge) if (self._first or not ours) and self._knows(encoding) else message

    def _knows(self, encoding: str) -> bool:
        if encoding not in self._known:
            if len(self._known) >= _MOST_ENCODINGS:
                return False
            # Two by two pixels: Bayer and YUV images have no smaller ones.
            blank = SimpleNamespace(height=2, width=2, encoding=encoding, is_bigendian=0, step=0, data=bytes(512))
            try:
                image = BridgeImage(blank, self._bridge)
                size = image.bytes_per_pixel()
                blank.step = 2 * size
                blank.data = bytes(4 * size)
                image.decode(topic="image")
                self._known[encoding] = True
            except InputError:
                self._known[encoding] = False
        return self._known[encoding]


@dataclass(frozen=True)
class BridgeImage:
    """A raw image that cv_bridge converts when it is needed.

    Attributes:
        message: ``sensor_msgs/Image``.
        bridge: ``cv_bridge.CvBridge``.
    """

    message: Any
    bridge: Any

    @property
    def header(self) -> Any:
        """The message's header."""
        return self.message.header

    def bytes_per_pixel(self) -> int:
        """Return how many bytes a pixel takes in a row.

        Raises:
            InputError: cv_bridge does not know the encoding.
        """
        dtype, channels = self._layout("image")
        return int(dtype.itemsize) * channels

    def check(self, *, topic: str) -> None:
        """Check that the image is whole, without converting it.

        Raises:
            InputError: Zero or absurd size, impossible step, truncated data.
        """
        self._packed(topic)

    def decode(self, *, topic: str) -> UInt8Array:
        """Return the image as ``uint8 [H, W, 3]`` RGB.

        Raises:
            InputError: See check; or cv_bridge refuses it.
        """
        message = self._packed(topic)
        try:
            pixels = self.bridge.imgmsg_to_cv2(message, desired_encoding="rgb8")
        except Exception as error:  # CvBridgeError, OpenCV's error, and whatever its bindings raise
            raise InputError(f"cv_bridge cannot convert {message.encoding}: {error}", where=f"{topic} data") from error
        if pixels.dtype != np.uint8 or pixels.shape != (message.height, message.width, 3):
            got = f"{pixels.dtype} {list(pixels.shape)}"
            raise InputError(f"cv_bridge made {got} of {message.encoding}, not uint8 RGB", where=f"{topic} data")
        return np.ascontiguousarray(pixels)

    def _layout(self, topic: str) -> tuple[np.dtype[Any], int]:
        try:
            dtype, channels = self.bridge.encoding_to_dtype_with_channels(str(self.message.encoding))
            return np.dtype(dtype), int(channels)
        except Exception as error:
            raise InputError(
                f"cv_bridge does not know {self.message.encoding!r}: {error}", where=f"{topic} encoding"
            ) from error

    def _packed(self, topic: str) -> SimpleNamespace:
        """The message with rows without padding and in this machine's byte order, which cv_bridge gets wrong."""
        dtype, channels = self._layout(topic)
        try:
            height, width, step = (int(getattr(self.message, name)) for name in ("height", "width", "step"))
            other_order = bool(self.message.is_bigendian) != (sys.byteorder == "big")
        except (AttributeError, TypeError, ValueError) as error:
            raise InputError(f"not a sensor_msgs/Image: {error}", where=topic) from error
        check_size(height, width, topic=topic)
        row = width * channels * dtype.itemsize
        if not row <= step <= 16 * row + 4096:
            raise InputError(f"step {step} is not that of a row of {row} bytes", where=f"{topic} step")
        data = as_bytes(self.message.data, where=f"{topic} data")
        if data.size < height * step:
            raise InputError(f"truncated: {data.size} bytes of {height * step}", where=f"{topic} data")
        data = data[: height * step].reshape(height, step)[:, :row]
        if other_order and dtype.itemsize > 1:
            data = np.ascontiguousarray(data).view(dtype).byteswap().view(np.uint8)
        return SimpleNamespace(
            height=height,
            width=width,
            encoding=str(self.message.encoding),
            is_bigendian=int(sys.byteorder == "big"),
            step=row,
            data=np.ascontiguousarray(data).tobytes(),
        )
