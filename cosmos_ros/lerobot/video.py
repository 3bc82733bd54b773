"""Video files frame by frame, so that a recording of any length needs one frame of memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from cosmos_ros.errors import ConfigError, InputError
from cosmos_ros.messages.images import check_size
from cosmos_ros.types import FloatArray, UInt8Array


def frames_at(path: Path, times_s: FloatArray, tolerance_s: float) -> Iterator[UInt8Array | None]:
    """Yield the frame shown at each time, or None where the file has none within the tolerance.

    Args:
        path: Any container that PyAV reads.
        times_s: ``float64 [N]`` increasing presentation times in the file.
        tolerance_s: A frame may be this far from its time.

    Yields:
        ``uint8 [H, W, 3]`` RGB or None; N times.

    Raises:
        InputError: Not a video, or damaged; what was decoded before has been yielded.
        ConfigError: PyAV is not installed.
    """
    av = _av()
    frames = _frames(av, path)
    candidate = next(frames, None)
    for time_s in times_s:
        while candidate is not None and candidate[0] < time_s - tolerance_s:
            candidate = next(frames, None)
        if candidate is None or candidate[0] > time_s + tolerance_s:
            yield None
            continue
        yield candidate[1]
        candidate = next(frames, None)


def _frames(av: Any, path: Path) -> Iterator[tuple[float, UInt8Array]]:
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError("the file holds no video", where=str(path))
            stream = container.streams.video[0]
            if stream.codec_context is None:
                raise InputError("the video is of a kind that cannot be decoded", where=str(path))
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                check_size(frame.height, frame.width, topic=str(path))
                if frame.pts is None:
                    raise InputError("a frame has no time", where=str(path))
                yield float(frame.pts * stream.time_base), frame.to_ndarray(format="rgb24")
    except (av.FFmpegError, ValueError, EOFError) as error:
        raise InputError(f"the video cannot be decoded: {error}", where=str(path)) from error


class VideoWriter:
    """Writes ``uint8 [H, W, 3]`` RGB frames as an H.264 MP4. Use it as a context manager.

    Odd sizes are padded by a repeated row or column, since the format's chroma needs even ones.

    Args:
        path: File to create.
        fps: Frames per second.

    Raises:
        ConfigError: PyAV is not installed.
    """

    codec = "h264"
    pixel_format = "yuv420p"

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._fps = Fraction(fps).limit_denominator(1001)
        self._av = _av()
        self._container: Any = None
        self._stream: Any = None
        self.size: tuple[int, int] | None = None
        self.frames = 0

    def __enter__(self) -> VideoWriter:
        """Create the file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._container = self._av.open(str(self._path), mode="w", format="mp4")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the file."""
        container, self._container = self._container, None
        try:
            if self._stream is not None and kind is None:
                container.mux(self._stream.encode())
        finally:
            # What went wrong before says more than that the file cannot be finished either.
            with nullcontext() if kind is None else suppress(OSError):
                container.close()

    def write(self, frame: UInt8Array) -> None:
        """Append one frame.

        Raises:
            InputError: Another size than the first frame's.
        """
        height, width = frame.shape[:2]
        even = np.pad(frame, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge")
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._fps)
            self._stream.height, self._stream.width = even.shape[:2]
            self._stream.pix_fmt = self.pixel_format
            self._stream.options = {"crf": "17", "preset": "veryfast"}
            self.size = (height, width)
        elif self.size != (height, width):
            raise InputError(f"a frame is {width} x {height}, the first was {self.size}", where=str(self._path))
        image = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        image.pts = self.frames
        image.time_base = 1 / self._fps
        self._container.mux(self._stream.encode(image))
        self.frames += 1


def _av() -> Any:
    try:
        import av
    except ImportError as error:
        raise ConfigError("PyAV is not installed", where="video", hint="Install it: pip install av.") from error
    return av
