"""Finds where the streams of a recording have no messages, so that what was never recorded is counted too."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from cosmos_ros.types import NANOSECONDS


class StreamGaps:
    """Counts the pauses of streams, by header stamps; also those before a stream begins and after it ends.

    Args:
        limit_ns: A longer time without a message is a gap.
    """

    def __init__(self, limit_ns: int) -> None:
        self._limit_ns = limit_ns
        self._epoch = 0
        # Stream → first and last stamp since the last clock reset.
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        self._gaps: dict[str, list[int]] = defaultdict(list)

    def note(self, stream: str, stamp_ns: int, epoch: int) -> None:
        """Note one usable message; a new epoch says that the clock went back before it."""
        if epoch != self._epoch:
            self.close()
            self._epoch = epoch
        self._first.setdefault(stream, stamp_ns)
        last = self._last.setdefault(stream, stamp_ns)
        self._count(stream, stamp_ns - last)
        self._last[stream] = max(last, stamp_ns)

    def close(self) -> None:
        """End an epoch: what began late or ended early is counted."""
        first, last = min(self._first.values(), default=0), max(self._last.values(), default=0)
        for stream, stamp_ns in self._first.items():
            self._count(stream, stamp_ns - first)
            self._count(stream, last - self._last[stream])
        self._first.clear()
        self._last.clear()

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return stream → ``count``, ``total_s`` and ``longest_s`` of its gaps; without streams that have none."""
        return {
            stream: {
                "count": len(gaps),
                "total_s": round(sum(gaps) / NANOSECONDS, 6),
                "longest_s": round(max(gaps) / NANOSECONDS, 6),
            }
            for stream, gaps in sorted(self._gaps.items())
        }

    def _count(self, stream: str, span_ns: int) -> None:
        if span_ns > self._limit_ns:
            self._gaps[stream].append(span_ns)
