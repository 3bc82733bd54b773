"""Predicted frames, kept until the moment that they predict, so that they can be compared with what happened."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

Frame = TypeVar("Frame")


class Playback(Generic[Frame]):
    """Plays one rollout to its end, then the newest one that has come.

    Always taking the newest rollout would only ever show its first frames, which any model gets right.
    """

    def __init__(self) -> None:
        self._playing: deque[tuple[int, Frame]] = deque()
        self._next: deque[tuple[int, Frame]] = deque()
        self._receiving = self._next
        self._last_stamp: int | None = None
        self._shown: int | None = None

    def add(self, stamp_ns: int, frame: Frame) -> None:
        """Add a frame; a stamp that is not after the last one's begins a new rollout."""
        if self._last_stamp is None or stamp_ns <= self._last_stamp:
            self._next = self._receiving = deque()
        self._last_stamp = stamp_ns
        self._receiving.append((stamp_ns, frame))

    def due(self, now_ns: int) -> tuple[int, Frame] | None:
        """Return (stamp, frame) of the newest frame whose moment has come; None when there is no new one."""
        newest = self._take(now_ns)
        if newest is None and not self._playing and self._next:
            # Frames of it that still arrive are appended to what is being played.
            self._playing, self._next = self._next, deque()
            newest = self._take(now_ns)
        return newest

    def clear(self) -> None:
        """Forget everything, e.g. when the clock was reset."""
        self.__init__()  # type: ignore[misc]

    def _take(self, now_ns: int) -> tuple[int, Frame] | None:
        newest = None
        while self._playing and self._playing[0][0] <= now_ns:
            frame = self._playing.popleft()
            # The next rollout overlaps with the end of the one that was played.
            if self._shown is None or frame[0] > self._shown:
                newest = frame
                self._shown = frame[0]
        return newest
