"""Checks and conversions that an input goes through before it is kept; all cheap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cosmos_ros.errors import InputError
from cosmos_ros.messages.compressed import check_compressed
from cosmos_ros.messages.cv_bridge_images import BridgeImage
from cosmos_ros.messages.images import check_image
from cosmos_ros.messages.pose_messages import matrix_from_message
from cosmos_ros.messages.stamps import ns_from_stamp
from cosmos_ros.observation.snapshot import decode_payload
from cosmos_ros.types import FloatArray

REFUSALS = (InputError, AttributeError, TypeError, ValueError)
"""What a malformed message, or an object that is not the message, raises in here."""


def check_image_payload(image: Any) -> None:
    """Check an Image, a BridgeImage, a CompressedImage or an RGB array without decoding it.

    Raises:
        InputError: It is malformed.
    """
    if isinstance(image, np.ndarray):
        decode_payload(image, "image")
    elif isinstance(image, BridgeImage):
        image.check(topic="image")
    elif hasattr(image, "encoding"):
        check_image(image)
    else:
        check_compressed(image)


def stamp_of(value: Any, stamp_ns: int | None) -> int:
    """Return the given stamp, or the one in the message's header."""
    if stamp_ns is not None:
        return stamp_ns
    return ns_from_stamp(value.header.stamp, where="header.stamp")


def matrix(pose: Any) -> FloatArray:
    """Return a PoseStamped or an array as a finite ``float64 [4, 4]``."""
    if not isinstance(pose, np.ndarray):
        return matrix_from_message(pose.pose, where="pose")
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise InputError(f"not a finite [4, 4] pose: {list(pose.shape)}", where="pose")
    return pose.astype(np.float64)


def matrices(poses: Mapping[str, Any]) -> dict[str, FloatArray]:
    """Return named poses as finite ``float64 [4, 4]``."""
    return {name: matrix(pose) for name, pose in poses.items()}


def finite(value: float) -> float:
    """Return a finite float."""
    if not np.isfinite(value):
        raise InputError(f"the width is {value}", where="gripper width")
    return float(value)


def error_text(error: Exception) -> str:
    """One line for a refusal."""
    return str(error) or type(error).__name__


def duration_text(ns: int) -> str:
    """A duration as people read it."""
    return f"{ns / 1e6:.0f} ms" if abs(ns) < 10_000_000_000 else f"{ns / 1e9:.0f} s"
