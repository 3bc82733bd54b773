"""Stands in for cv_bridge 3.4 and 4.1, which come with ROS only: what their Python interface has to convert images.

It answers as the original does, its faults included: rows are taken to be a whole number of pixels long, bytes in the
other order are swapped by a method that NumPy 2 no longer has, and encodings without a colour are refused.
"""

from __future__ import annotations

import re
import sys

import cv2
import numpy as np

_TYPES = {
    "8U": "uint8",
    "8S": "int8",
    "16U": "uint16",
    "16S": "int16",
    "32S": "int32",
    "32F": "float32",
    "64F": "float64",
}
_COLOURS = {
    "mono": ("GRAY", 1), "rgb": ("RGB", 3), "bgr": ("BGR", 3), "rgba": ("RGBA", 4), "bgra": ("BGRA", 4),
    "bayer_rggb": ("BayerBG", 1), "bayer_bggr": ("BayerRG", 1),
    "bayer_gbrg": ("BayerGR", 1), "bayer_grbg": ("BayerGB", 1),
}  # fmt: skip
_PACKED = {"yuv422": "YUV2{}_UYVY", "yuv422_yuy2": "YUV2{}_YUY2"}


class CvBridgeError(TypeError):
    """What the original raises when it cannot convert."""


def _colour(encoding: str) -> tuple[str, int, str] | None:
    """OpenCV's name of the order, channels, and type; None for encodings that say nothing about colour."""
    if encoding in _PACKED:
        return _PACKED[encoding], 2, "8U"
    match = re.fullmatch(r"(\D+)(8|16)", encoding)
    if match is None or match[1] not in _COLOURS:
        return None
    return *_COLOURS[match[1]], f"{match[2]}U"


class CvBridge:
    """Converts images."""

    def encoding_to_dtype_with_channels(self, encoding: str) -> tuple[str, int]:
        colour = _colour(encoding)
        if colour is not None:
            return _TYPES[colour[2]], colour[1]
        match = re.fullmatch(r"(8U|8S|16U|16S|32S|32F|64F)(?:C([0-9]+))?", encoding)
        if match is None:
            raise CvBridgeError(f"Unrecognized image encoding [{encoding}]")
        return _TYPES[match[1]], int(match[2] or 1)

    def imgmsg_to_cv2(self, img_msg: object, desired_encoding: str = "passthrough") -> np.ndarray:
        name, channels = self.encoding_to_dtype_with_channels(img_msg.encoding)
        dtype = np.dtype(name).newbyteorder(">" if img_msg.is_bigendian else "<")
        shape = (img_msg.height, int(img_msg.step / dtype.itemsize / channels), channels)
        image = np.ndarray(shape=shape[:2] if channels == 1 else shape, dtype=dtype, buffer=img_msg.data)
        image = np.ascontiguousarray(image[:, : img_msg.width])
        if bool(img_msg.is_bigendian) == (sys.byteorder == "little"):
            image = image.byteswap().newbyteorder()  # an AttributeError with NumPy 2, as in the original
        if desired_encoding == "passthrough":
            return image
        return self._convert(image, img_msg.encoding, desired_encoding)

    def _convert(self, image: np.ndarray, source: str, target: str) -> np.ndarray:
        if source == target:
            return image.copy()
        found, wanted = _colour(source), _colour(target)
        if wanted is None or found is None:
            raise CvBridgeError(
                f"[{source}] is not a color format. but [{target}] is. The conversion does not make sense"
            )
        packed = "{}" in found[0]
        code = found[0].format(wanted[0]) if packed else f"{found[0]}2{wanted[0]}"
        image = image if code == f"{wanted[0]}2{wanted[0]}" else cv2.cvtColor(image, getattr(cv2, f"COLOR_{code}"))
        if found[2] != wanted[2]:
            image = (
                cv2.convertScaleAbs(image, alpha=255.0 / 65535.0)
                if wanted[2] == "8U"
                else image.astype(np.uint16) * 257
            )
        return image
