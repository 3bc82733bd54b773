"""Predicted frames from fields: the first canvas's pixels moved, and new content where the model sees some.

A view's fields are ``float32 [T, 6, h, w]``: displacement x and y in shares of half the view, the share of new content,
and its colour, -1 to 1. Each pixel of a later frame is looked up that far away in the first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cosmos_ros.types import Float32Array, UInt8Array
from cosmos_ros.world_models.compact.robot_inputs import ViewInput


def predicted_view(first: UInt8Array, fields: Float32Array) -> UInt8Array:
    """Return ``uint8 [T, H, W, 3]`` of the first picture ``uint8 [H, W, 3]`` and fields ``[T, 6, h, w]``."""
    import cv2

    height, width = first.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    frames = np.empty((len(fields), height, width, 3), dtype=np.uint8)
    for frame, field in zip(frames, fields, strict=True):
        flow_x, flow_y, share = (cv2.resize(plane, (width, height)) for plane in field[:3])
        moved = cv2.remap(
            first,
            x + 0.5 * width * flow_x,
            y + 0.5 * height * flow_y,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        colour = np.rint(np.clip(127.5 * (field[3:].transpose(1, 2, 0) + 1.0), 0.0, 255.0)).astype(np.uint8)
        # It divides by the sum of the weights and a little more: whole pixels stay whole.
        cv2.blendLinear(moved, cv2.resize(colour, (width, height)), 1.0 - share, share, frame)
    return frames


def predicted_canvases(
    canvas: UInt8Array, views: Sequence[ViewInput], fields: Mapping[str, Float32Array], scale: float
) -> UInt8Array:
    """Return the canvases ``uint8 [T+1, H, W, 3]``, the present one first.

    Args:
        canvas: ``uint8 [H', W', 3]`` as seen.
        views: The views on it.
        fields: View → ``[T, 6, h, w]``.
        scale: Size of the answer relative to the canvas.
    """
    import cv2

    if scale != 1.0:
        # Even, so that side views of half the width fit.
        size = tuple(max(16, 2 * round(0.5 * scale * side)) for side in canvas.shape[1::-1])
        canvas = np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    steps = len(next(iter(fields.values())))
    result = np.repeat(canvas[None], steps + 1, axis=0)
    for view in views:
        # A cut is a view of the array: writing to it writes the canvas.
        for after, predicted in zip(result[1:], predicted_view(view.cut(canvas), fields[view.name]), strict=True):
            view.cut(after)[:] = predicted
    return result
