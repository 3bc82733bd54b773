"""Images and clips on their way to a server, and frames on their way back."""

from __future__ import annotations

import asyncio

import numpy as np

from cosmos_ros.embodiment.canvas import TierSize, tier_size
from cosmos_ros.errors import CapabilityError
from cosmos_ros.types import Mode, Request, UInt8Array
from cosmos_ros.world_models.mp4 import decode_video, encode_video


def conditioning_image(where: str, request: Request) -> UInt8Array:
    """Return the conditioning frame ``uint8 [H, W, 3]``, or the first of the clip; CapabilityError when missing."""
    if request.mode is Mode.INVERSE_DYNAMICS:
        if request.video is None or len(request.video) != request.chunk_size + 1:
            raise CapabilityError(f"the request carries no video of {request.chunk_size + 1} frames", where=where)
        first: UInt8Array = request.video[0]
        return first
    if request.image is None:
        raise CapabilityError("the request carries no image", where=where)
    if request.mode is Mode.FORWARD_DYNAMICS and (
        request.actions is None or request.actions.shape != (request.chunk_size, request.action_dim)
    ):
        raise CapabilityError(
            f"the request carries no actions [{request.chunk_size}, {request.action_dim}]", where=where
        )
    return request.image


def canvas_of(where: str, request: Request) -> TierSize:
    """Return the tier's canvas for the request's image; raises CapabilityError as :func:`conditioning_image`."""
    height, width = conditioning_image(where, request).shape[:2]
    return tier_size(height, width, request.resolution_tier)


def encode_png(where: str, request: Request) -> bytes:
    """Return the conditioning frame as PNG, which keeps every pixel."""
    import cv2

    image = cv2.cvtColor(conditioning_image(where, request), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def encode_clip(where: str, request: Request) -> bytes:
    """Return the conditioning clip as H.264 MP4."""
    conditioning_image(where, request)
    assert request.video is not None
    return encode_video(request.video, request.fps)


async def decode_frames(where: str, data: bytes, request: Request, canvas: TierSize) -> UInt8Array:
    """Return the predicted frames ``uint8 [T+1, H, W, 3]`` of an MP4, without the canvas's padding when they have it.

    Raises:
        InputError: Not a video, too large, or with another number of frames.
    """
    # Decoding takes a good part of a second for large clips; the loop must stay able to cancel.
    frames, _ = await asyncio.to_thread(
        decode_video,
        data,
        where=where,
        max_frames=request.chunk_size + 1,
        exact_frames=request.chunk_size + 1,
        largest=(canvas.height, canvas.width),
    )
    if frames.shape[1:3] == (canvas.height, canvas.width):
        return np.ascontiguousarray(frames[:, : canvas.content_height, : canvas.content_width])
    return frames
