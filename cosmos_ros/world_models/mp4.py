"""MP4 to frames and back, in memory, with every size bounded: what a server sends is not trusted."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.types import UInt8Array

if TYPE_CHECKING:
    from types import ModuleType

MAX_SIDE = 4096
MAX_PIXELS = 1 << 29  # of a whole clip: 1.5 GiB as RGB, twice the longest chunk at the largest canvas
_ROUNDED_TIME = 1e-3  # seconds; some containers round time stamps so far


def decode_video(
    data: bytes | Path,
    *,
    where: str,
    max_frames: int,
    exact_frames: int | None = None,
    largest: tuple[int, int] | None = None,
) -> tuple[UInt8Array, float]:
    """Return a clip as ``uint8 [N, H, W, 3]`` RGB and its frame rate in 1/s (0 when the file does not say).

    Args:
        data: The file's bytes, or its path.
        where: For the error message: the server or file it came from.
        max_frames: More frames than this are an error.
        exact_frames: Any other number of frames is an error.
        largest: Largest height and width in pixels; None for ``MAX_SIDE`` both ways.

    Raises:
        InputError: Not a video, truncated, too large, or with the wrong number of frames.
        ConfigError: PyAV is not installed.
    """
    frames: list[UInt8Array] = []
    rate = 0.0
    for image, said, _ in _decoded(data, where, largest, exact_frames or 1):
        if len(frames) >= max_frames:
            raise InputError(f"the video has more than {max_frames} frames", where=where)
        frames.append(image)
        rate = said
    if not frames:
        raise InputError("the video has no frames", where=where)
    if exact_frames is not None and len(frames) != exact_frames:
        raise InputError(f"the video has {len(frames)} frames, expected {exact_frames}", where=where)
    return np.stack(frames), rate


def sample_video(path: Path, fps: float, *, wanted: int | None = None) -> UInt8Array:
    """Return what a video file shows at 0, 1/fps, 2/fps … as ``uint8 [N, H, W, 3]`` RGB; nothing else is kept.

    Of the frames the one nearest in time is taken, so that they need not be evenly spaced. Files without times count
    as recorded at ``fps``.

    Args:
        path: The file.
        fps: Rate of the answer, 1/s.
        wanted: Stop after so many frames; None: to the end.

    Raises:
        InputError: Not a video, damaged, too large, or with fewer frames a second than ``fps``.
        ConfigError: PyAV is not installed.
    """
    kept: list[UInt8Array] = []
    begin = 0.0
    newest: tuple[UInt8Array, float] | None = None

    def keep_until(image: UInt8Array, end: float) -> None:
        while len(kept) != wanted and begin + len(kept) / fps <= end:
            _check_size(image.shape[1], image.shape[0], len(kept) + 1, str(path))
            kept.append(image)

    for image, rate, shown_at in _decoded(path, str(path), None, 1):
        if 0.0 < rate < 0.9 * fps:
            raise InputError(f"it has {rate:g} frames a second, the embodiment needs {fps:g}", where=str(path))
        if len(kept) == wanted:
            break
        if shown_at is None:
            keep_until(image, begin + len(kept) / fps)
        elif newest is None:
            begin, newest = shown_at, (image, shown_at)
        else:
            keep_until(newest[0], 0.5 * (newest[1] + shown_at))
            newest = (image, shown_at)
    if newest is not None:
        keep_until(newest[0], newest[1] + _ROUNDED_TIME)
    if not kept:
        raise InputError("the video has no frames", where=str(path))
    return np.stack(kept)


def _decoded(
    data: bytes | Path, where: str, largest: tuple[int, int] | None, frames: int
) -> Iterator[tuple[UInt8Array, float, float | None]]:
    """Yield image, frame rate (1/s, 0 when unknown) and time (s, None when unknown) of each frame."""
    av = _av()
    source: Any = str(data) if isinstance(data, Path) else io.BytesIO(data)
    # Bytes come from a server: only MP4 then, since playlist formats make the reader open what they name.
    only = None if isinstance(data, Path) else "mp4"
    highest, widest = largest or (MAX_SIDE, MAX_SIDE)
    try:
        with av.open(source, mode="r", format=only) as container:
            if not container.streams.video:
                raise InputError("the file has no video", where=where)
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise InputError("the video is of a kind that cannot be decoded", where=where)
            width, height = int(stream.codec_context.width), int(stream.codec_context.height)
            if width > widest or height > highest:
                raise InputError(
                    f"the video is {width}x{height}, the largest allowed is {widest}x{highest}", where=where
                )
            _check_size(width, height, frames, where)
            # Frames may say another size than the file: the decoder must not make room for that first.
            stream.codec_context.options = {"max_pixels": str((width + 64) * (height + 64))}
            rate = float(stream.average_rate or 0)
            for frame in container.decode(stream):
                if (frame.width, frame.height) != (width, height):
                    raise InputError("the video changes its size on the way", where=where)
                yield frame.to_ndarray(format="rgb24"), rate, frame.time
    except (av.FFmpegError, ValueError, EOFError, OverflowError, MemoryError) as error:
        raise InputError(f"the video cannot be decoded: {error}", where=where) from error


def encode_video(frames: UInt8Array, fps: float, *, lossless: bool = False) -> bytes:
    """Return ``uint8 [N, H, W, 3]`` RGB as an H.264 MP4.

    Odd sizes are padded by one repeated row or column, since the format's chroma needs even ones.

    Args:
        frames: The clip.
        fps: Frame rate, 1/s.
        lossless: Keep RGB exactly (for replies that are compared); else visually lossless YUV 4:2:0.

    Raises:
        InputError: Wrong shape or rate.
        ConfigError: PyAV is not installed.
    """
    if frames.ndim != 4 or frames.shape[3] != 3 or 0 in frames.shape or frames.dtype != np.uint8:
        raise InputError(f"frames have shape {list(frames.shape)} and dtype {frames.dtype}", where="encode_video")
    if not 0 < fps <= 1000:
        raise InputError(f"frame rate {fps}", where="encode_video")
    av = _av()
    even = np.pad(frames, [(0, 0), (0, frames.shape[1] % 2), (0, frames.shape[2] % 2), (0, 0)], mode="edge")
    buffer = io.BytesIO()
    with av.open(buffer, mode="w", format="mp4") as container:
        stream = container.add_stream(
            "libx264rgb" if lossless else "libx264", rate=Fraction(fps).limit_denominator(1001)
        )
        stream.height, stream.width = even.shape[1:3]
        stream.pix_fmt = "rgb24" if lossless else "yuv420p"
        stream.options = {"crf": "0" if lossless else "17", "preset": "veryfast"}
        for frame in even:
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return buffer.getvalue()


def _check_size(width: int, height: int, frames: int, where: str) -> None:
    if not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE:
        raise InputError(f"the video is {width}x{height}, the largest side allowed is {MAX_SIDE}", where=where)
    if width * height * frames > MAX_PIXELS:
        raise InputError(
            f"{frames} frames of {width}x{height} are more than {MAX_PIXELS} pixels",
            where=where,
            hint="Take fewer steps or a smaller image.",
        )


def _av() -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise ConfigError(
            "PyAV is not installed, so videos can be neither read nor written",
            where="video",
            hint="Install it: pip install av.",
        ) from error
    return av
