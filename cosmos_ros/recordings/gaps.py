"""Finds where the streams of a recording hold nothing, so that what was never recorded is counted too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cosmos_ros.types import NANOSECONDS


@dataclass
class _StreamSpan:
    """One stream between two clock resets."""

    first_ns: int
    last_ns: int


@dataclass
class _GapTotals:
    count: int = 0
    total_ns: int = 0
    longest_ns: int = 0


class StreamGaps:
    """Counts the pauses of streams, by header stamps; also those before a stream begins and after it ends.

    Args:
        limit_ns: A longer time without a message is a gap.
    """

    def __init__(self, limit_ns: int) -> None:
        self._limit_ns = limit_ns
        self._epoch = 0
        self._spans: dict[str, _StreamSpan] = {}
        self._found: dict[str, _GapTotals] = {}

    def note(self, stream: str, stamp_ns: int, epoch: int) -> None:
        """Note one usable message; a new epoch says that the clock went back before it."""
        if epoch != self._epoch:
            self.close()
            self._epoch = epoch
        span = self._spans.setdefault(stream, _StreamSpan(stamp_ns, stamp_ns))
        self._count(stream, stamp_ns - span.last_ns)
        span.last_ns = max(span.last_ns, stamp_ns)

    def close(self) -> None:
        """End a run: what began late or ended early is counted."""
        if self._spans:
            first = min(span.first_ns for span in self._spans.values())
            last = max(span.last_ns for span in self._spans.values())
            for stream, span in self._spans.items():
                self._count(stream, span.first_ns - first)
                self._count(stream, last - span.last_ns)
        self._spans.clear()

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Return stream → ``count``, ``total_s`` and ``longest_s`` of its gaps; without streams that have none."""
        return {
            stream: {
                "count": found.count,
                "total_s": round(found.total_ns / NANOSECONDS, 6),
                "longest_s": round(found.longest_ns / NANOSECONDS, 6),
            }
            for stream, found in sorted(self._found.items())
        }

    def _count(self, stream: str, span_ns: int) -> None:
        if span_ns > self._limit_ns:
            found = self._found.setdefault(stream, _GapTotals())
            found.count += 1
            found.total_ns += span_ns
            found.longest_ns = max(found.longest_ns, span_ns)
